"""What a device plugin asks for, and nobody on the node can give it: whole recordings."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pytest_gpu.cluster.recording.recorded import open_recording
from tests.samples.mending import apply
from tests.samples.sample_copy import SampleCopy
from tests.support.changes import each_object, entry
from tests.support.judging import judge

SPEC = "files/run/cdi/k8s.device-plugin.nvidia.com-gpu.json"
KIND = "k8s.device-plugin.nvidia.com/gpu"
OFF = ("fails", "runtime", "runtime/cdi-off-in-containerd")
Document = dict[str, Any]


def judged(copy: SampleCopy) -> Document:
    """Return the verdict document on a copy."""
    with open_recording(copy.folder, copy.spec) as cluster:
        return judge(cluster)


def verdict(document: Document) -> tuple[str, str | None, str | None]:
    """Return verdict, layer and cause of the only GPU node."""
    (node,) = document["nodes"]
    return node["verdict"], node["layer"], node["cause"]


def set_strategy(daemonset: Document, means: str) -> None:
    """Let a plugin's DaemonSet hand devices over by other strategies."""
    for container in daemonset["spec"]["template"]["spec"]["containers"]:
        if "k8s-device-plugin" in container["image"] and "env" in container:
            env = [e for e in container["env"] if e["name"] != "DEVICE_LIST_STRATEGY"]
            container["env"] = [*env, {"name": "DEVICE_LIST_STRATEGY", "value": means}]


def plugin_spec(copy: SampleCopy) -> None:
    """Write the spec that the plugin writes when it starts."""
    devices = json.loads((copy.node / "nvml.json").read_text())["devices"]
    made = [
        {
            "name": each["uuid"],
            "containerEdits": {"deviceNodes": [{"path": f"/dev/nvidia{each['index']}"}]},
        }
        for each in devices
    ]
    path = copy.node / SPEC
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"cdiVersion": "0.5.0", "kind": KIND, "devices": made}))


@pytest.fixture(params=["healthy-kubeadm", "healthy-dgx-spark"])
def by_cdi(request: pytest.FixtureRequest, tmp_path: Path) -> SampleCopy:
    """Return a node with containerd 1.7 whose plugin uses the operator's two CDI strategies."""
    copy = SampleCopy(request.param, tmp_path)
    each_object(copy, "daemonsets", partial(set_strategy, means="cdi-annotations,cdi-cri"))
    plugin_spec(copy)
    return copy


def test_neither_of_two_strategies_works(by_cdi: SampleCopy) -> None:
    """CDI is off in containerd, which passes no annotations on; the toolkit writes that file."""
    document = judged(by_cdi)
    assert verdict(document) == OFF
    (cause,) = document["causes"]
    said = " ".join(each["text"] for each in cause["evidence"])
    assert "DEVICE_LIST_STRATEGY=cdi-annotations,cdi-cri" in said
    kept = {"gpu-1": "no container_annotations for cdi.k8s.io/*", "spark-1": 'mode = "legacy"'}
    assert kept[by_cdi.node.name] in said
    fix = "\n".join(cause["fix"])
    assert fix.index("RUNTIME_ENABLE_CDI") < fix.index("enable_cdi = true")


def test_the_repaired_twin(by_cdi: SampleCopy) -> None:
    """The patch, and a restart of containerd."""
    (cause,) = judged(by_cdi)["causes"]
    apply(cause["fix"], by_cdi.node / "files")
    assert verdict(judged(by_cdi))[1:] == OFF[1:]  # containerd has not read it yet
    path = by_cdi.node / "commands.yaml"
    by_cdi.edit(path, lambda text: text.replace('"enableCDI": false', '"enableCDI": true'))
    document = judged(by_cdi)
    assert document["nodes"][0]["layers"]["runtime"]["state"] == "passed"


@pytest.mark.parametrize("means", ["envvar,cdi-cri", "cdi-annotations,envvar"])
@pytest.mark.parametrize("sample", ["healthy-kubeadm", "healthy-k8s-snap"])
def test_one_strategy_that_works_is_enough(tmp_path: Path, sample: str, means: str) -> None:
    """The NVIDIA runtime takes the variable; nobody reads the names."""
    copy = SampleCopy(sample, tmp_path)
    each_object(copy, "daemonsets", partial(set_strategy, means=means))
    assert verdict(judged(copy)) == ("conforms", None, None)


@pytest.mark.parametrize("sample", ["healthy-kubeadm", "healthy-k8s-snap"])
def test_annotations_that_are_passed_on(tmp_path: Path, sample: str) -> None:
    """The toolkit's own setting: the NVIDIA runtime reads them, whatever containerd does."""
    copy = SampleCopy(sample, tmp_path)
    each_object(copy, "daemonsets", partial(set_strategy, means="cdi-annotations,cdi-cri"))
    plugin_spec(copy)
    assert verdict(judged(copy)) == OFF
    for path in (copy.node / "files/etc/containerd").rglob("*.toml"):
        head, mark, tail = path.read_text().partition(".runtimes.nvidia]\n")
        if mark:
            path.write_text(f'{head}{mark}container_annotations = ["cdi.k8s.io/*"]\n{tail}')
    assert verdict(judged(copy))[0] != "fails"


def index_only(copy: SampleCopy) -> None:
    """Set the operator's handler to cdi mode, with a spec that names GPUs by index."""
    own = "files/usr/local/nvidia/toolkit/.config/nvidia-container-runtime/config.toml"
    copy.edit(copy.node / own, lambda text: re.sub(r'\bmode = "\w+"', 'mode = "cdi"', text))
    path = copy.node / own
    path.write_text(path.read_text().replace('"management.nvidia.com/gpu"', '"nvidia.com/gpu"'))
    plugin_spec(copy)

    def by_index(document: Document) -> None:
        document["kind"] = "nvidia.com/gpu"
        for at, each in enumerate(document["devices"]):
            each["name"] = str(at)
        document["devices"].append({**document["devices"][0], "name": "all"})

    copy.edit_json(copy.node / SPEC, by_index)


@pytest.mark.parametrize("sample", ["healthy-kubeadm", "healthy-dgx-spark"])
def test_names_by_index_for_a_handler_in_cdi_mode(tmp_path: Path, sample: str) -> None:
    """Two GPUs, or one: named 0, 1 by the spec, and by their UUIDs by the plugin."""
    copy = SampleCopy(sample, tmp_path)
    index_only(copy)
    document = judged(copy)
    assert verdict(document) == ("fails", "runtime", "runtime/cdi-names-differ")
    (cause,) = document["causes"]
    fix = "\n".join(cause["fix"])
    assert "--device-name-strategy=uuid" in fix
    assert "DEVICE_ID_STRATEGY" in fix
    uuids = [each["uuid"] for each in json.loads((copy.node / "nvml.json").read_text())["devices"]]

    def both(document: Document) -> None:
        first = document["devices"][0]
        document["devices"] += [{**first, "name": uuid} for uuid in uuids]

    copy.edit_json(copy.node / SPEC, both)
    assert judged(copy)["nodes"][0]["layers"]["runtime"]["state"] == "passed"


def lose(copy: SampleCopy, path: str) -> None:
    """Let a file of the node be gone."""
    (copy.node / f"files{path}").unlink()
    entry(copy, path)


@pytest.fixture
def without_spec(tmp_path: Path) -> SampleCopy:
    """Return a node without handlers whose plugin names CDI devices, and whose spec is gone."""
    copy = SampleCopy("healthy-cdi", tmp_path)
    lose(copy, SPEC.removeprefix("files"))
    return copy


def test_where_the_plugin_names_cdi_devices_no_handler_is_missed(without_spec: SampleCopy) -> None:
    """It is the spec that is missing; with it the node conforms."""
    document = judged(without_spec)
    assert verdict(document) == ("fails", "runtime", "runtime/cdi-device-missing")
    assert {each["id"] for each in document["causes"]} == {"runtime/cdi-device-missing"}
    plugin_spec(without_spec)
    assert verdict(judged(without_spec))[0] != "fails"


def test_where_the_plugin_sets_a_variable_a_handler_is_missed(without_spec: SampleCopy) -> None:
    """Nobody hands over CDI devices then."""
    lose(without_spec, "/run/cdi/nvidia.yaml")
    each_object(without_spec, "daemonsets", partial(set_strategy, means="envvar"))
    each_object(without_spec, "pods", by_variable)
    cause = verdict(judged(without_spec))[2]
    assert cause == "runtime/handler-not-configured"


def by_variable(pod: Document) -> None:
    """Let a pod of the plugin hand devices over in a variable."""
    for container in pod["spec"]["containers"]:
        container["env"] = [
            {**each, "value": "envvar"} if each["name"] == "DEVICE_LIST_STRATEGY" else each
            for each in container.get("env", ())
        ]
