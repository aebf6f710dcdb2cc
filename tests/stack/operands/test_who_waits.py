"""One operand does not come up and the others wait for it: whole verdicts, over healthy samples.

Logs are written from NVIDIA/gpu-operator's cmd/nvidia-validator/main.go and from
nvidia-container-toolkit's cmd/nvidia-ctk-installer; none was recorded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pytest_gpu.cluster.recording.recorded import open_recording
from pytest_gpu.cluster.recording.samples import sample_path
from pytest_gpu.stack.kube.objects import name_of, namespace_of
from pytest_gpu.stack.operands.logs import path_of_log
from pytest_gpu.stack.operands.state import containers_in
from tests.stack.operands.made_up_operands import Object
from tests.stack.operands.test_own_fault import LINKS, MAJOR, NO_SMI, SMI, UNSTARTED
from tests.support import yaml_text
from tests.support.judging import judge

TOOLKIT = "nvidia-container-toolkit-daemonset"
PLUGIN = "nvidia-device-plugin-daemonset"
VALIDATOR = "nvidia-operator-validator"
OTHERS = (PLUGIN, "gpu-feature-discovery", "nvidia-dcgm-exporter")
CRASHES: Object = {
    "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting"}},
    "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}},
    "restartCount": 14,
    "ready": False,
}
WITHOUT = ["outcomes", "crictl-info", "runtime-handlers"]
"""What a recording with other files of containerd must not keep."""


class Overlay:
    """A recording that changes some pods of a healthy sample, and files of its only node."""

    def __init__(self, sample: str, folder: Path) -> None:
        self.sample, self.folder = sample, folder
        with open_recording(sample_path(sample), sample) as cluster:
            self.taken = cluster.taken
            self.pods = {name_of(each): each for each in cluster.objects("pods")}
            [self.node] = (name_of(each) for each in cluster.objects("nodes") if _has_gpus(each))
        self.objects: dict[str, list[Object]] = {"pods": []}
        self.absent: list[str] = []

    def ago(self, minutes: int) -> str:
        """Return the time some minutes before the recording was taken."""
        return (self.taken - timedelta(minutes=minutes)).isoformat()

    def pod(self, start: str) -> Object:
        """Return the pod whose name starts so; it is part of the overlay from now on."""
        found = next(pod for name, pod in self.pods.items() if name.startswith(start))
        if found not in self.objects["pods"]:
            self.objects["pods"].append(found)
        return found

    def initializing(self, start: str, stage: str, status: Object, log: str = "") -> None:
        """Let a pod stand at one of its init containers, all others not begun or done."""
        pod = self.pod(start)
        inits = [each["name"] for each in pod["spec"]["initContainers"]]
        done: Object = {"state": {"terminated": {"exitCode": 0}}, "ready": True}
        before = inits[: inits.index(stage)]
        told = [{"name": name, **(done if name in before else UNSTARTED)} for name in inits]
        told[inits.index(stage)] |= status
        main = [{"name": each["name"], **UNSTARTED} for each in pod["spec"]["containers"]]
        pod["status"] |= {
            "phase": "Pending",
            "initContainerStatuses": told,
            "containerStatuses": main,
            "conditions": [{"type": "Ready", "status": "False"}],
        }
        if log:
            self.log(pod, stage, status.get("restartCount", 0), log)

    def log(self, pod: Object, name: str, number: int, text: str) -> None:
        """Add the log of one run of a container."""
        container = next(each for each in containers_in(pod) if each.name == name)
        self.file(path_of_log(pod, container, number), text)

    def file(self, path: str, text: str) -> None:
        """Add a file of the node."""
        where = self.folder / f"nodes/{self.node}/files{path}"
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_text(text)

    def others_wait(self) -> None:
        """Let all that wait for the toolkit do so."""
        running: Object = {"state": {"running": {"startedAt": self.ago(60)}}, "ready": False}
        for start in OTHERS:
            self.initializing(start, "toolkit-validation", running)
        self.offers_nothing()

    def offers_nothing(self) -> None:
        """Take the GPUs from what the node offers, as without a plugin."""
        with open_recording(sample_path(self.sample), self.sample) as cluster:
            nodes = list(cluster.objects("nodes"))
        for each in nodes:
            each["status"]["allocatable"].pop("nvidia.com/gpu", None)
        self.objects["nodes"] = nodes
        self.absent.append("outcomes")

    def no_handlers(self) -> None:
        """Take NVIDIA's handlers out of containerd's file."""
        path = "/etc/containerd/config.toml"
        before = (sample_path(self.sample) / f"nodes/{self.node}/files{path}").read_text()
        kept, skip = list[str](), False
        for line in before.splitlines():
            skip = "runtimes.nvidia" in line if line.strip().startswith("[") else skip
            kept += [] if skip else [line]
        self.file(path, "\n".join(kept) + "\n")
        self.absent += WITHOUT

    def event(self, about: Object, reason: str, message: str, minutes: int) -> None:
        """Add a warning about a pod."""
        where = {"name": name_of(about), "namespace": namespace_of(about)}
        said = {"type": "Warning", "reason": reason, "message": message}
        self.objects.setdefault("events", []).append(
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {**where, "name": f"{where['name']}.1"},
                **said,
                "lastTimestamp": self.ago(minutes),
                "involvedObject": {"kind": "Pod", **where},
            }
        )

    def verdict(self) -> Mapping[str, Any]:
        """Write the overlay and return the verdict on its GPU node."""
        about = {"format": 1, "suite": "0.1.0", "base": f"sample:{self.sample}"}
        about |= {"absent": sorted({*self.absent})} if self.absent else {}
        (self.folder / "recording.yaml").write_text(yaml_text.dump(about))
        (self.folder / "kubernetes").mkdir(exist_ok=True)
        for resource, items in self.objects.items():
            # JSON is YAML, without aliases for what several pods share.
            text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, default=str)
            (self.folder / f"kubernetes/{resource}.yaml").write_text(text)
        with open_recording(self.folder, "overlay") as cluster:
            [node] = judge(cluster)["nodes"]
        assert isinstance(node, dict)
        assert node["errors"] == []
        return node


def _has_gpus(node: Object | Any) -> bool:
    return "nvidia.com/gpu" in node["status"]["capacity"]


def said(finding: Mapping[str, Any]) -> str:
    """Return the evidence of a finding as text."""
    return "\n".join(f"{each['source']}: {each['text']}" for each in finding["evidence"])


@pytest.mark.parametrize("sample", ["healthy-kubeadm", "healthy-rke2"])
def test_the_toolkits_own_validation_fails(sample: str, tmp_path: Path) -> None:
    """It found the driver and cannot make links to its devices: it is no victim."""
    made = Overlay(sample, tmp_path)
    made.initializing(TOOLKIT, "driver-validation", CRASHES, LINKS)
    made.others_wait()
    node = made.verdict()
    assert (node["layer"], node["cause"]) == ("device-plugin", "runtime/operand-fails")
    assert MAJOR in said(node)
    assert f"what waits for it: {PLUGIN}" in said(node)
    assert said(node).count(PLUGIN) == 1


def test_the_toolkits_own_validation_fails_before_it_wrote(tmp_path: Path) -> None:
    """The handlers are missing because of that; no settings are advised, nor a package."""
    made = Overlay("healthy-kubeadm", tmp_path)
    made.initializing(TOOLKIT, "driver-validation", CRASHES, LINKS)
    made.others_wait()
    made.no_handlers()
    node = made.verdict()
    assert (node["layer"], node["cause"]) == ("runtime", "runtime/operand-fails")
    assert MAJOR in said(node)
    fix = "\n".join(node["fix"])
    assert not [word for word in ("toolkit.env", "nvidia-ctk", "patch") if word in fix]


@pytest.mark.parametrize(
    ("sample", "stage", "log", "text"),
    [
        ("healthy-rke2", "driver-validation", LINKS, MAJOR),
        ("healthy-rke2", "toolkit-validation", NO_SMI, SMI),
        ("healthy-kubeadm", "toolkit-validation", NO_SMI, SMI),
    ],
)
def test_the_validator_fails_on_a_node_that_works(
    sample: str, stage: str, log: str, text: str, tmp_path: Path
) -> None:
    """Latent, with its line: what it looks at works, as the others show."""
    made = Overlay(sample, tmp_path)
    made.initializing(VALIDATOR, stage, CRASHES, log)
    node = made.verdict()
    assert node["verdict"] == "conforms"
    [latent] = node["latent"]
    assert latent["cause"] == "device-plugin/operand-fails"
    assert text in said(latent)


@pytest.mark.parametrize("sample", ["healthy-kubeadm", "healthy-rke2"])
def test_all_wait_for_a_validator_that_fails(sample: str, tmp_path: Path) -> None:
    """The toolkit is ready; nobody has written the file that says so."""
    made = Overlay(sample, tmp_path)
    made.initializing(VALIDATOR, "toolkit-validation", CRASHES, NO_SMI)
    made.others_wait()
    node = made.verdict()
    assert (node["layer"], node["cause"]) == ("device-plugin", "device-plugin/operand-fails")
    assert SMI in said(node)
    assert f"what waits for it: {PLUGIN}" in said(node)


def test_a_validator_that_waits_is_not_to_blame(tmp_path: Path) -> None:
    """Near miss: the toolkit crashes, so nvidia-smi is not there either."""
    made = Overlay("healthy-rke2", tmp_path)
    toolkit = made.pod(TOOLKIT)
    name = toolkit["status"]["containerStatuses"][0]["name"]
    toolkit["status"]["containerStatuses"][0] |= CRASHES
    made.log(toolkit, name, 14, 'time="2026-02-10T09:57:10Z" level=error msg="quux is gone"\n')
    made.initializing(VALIDATOR, "toolkit-validation", CRASHES, NO_SMI)
    made.others_wait()
    node = made.verdict()
    assert node["cause"] == "runtime/operand-fails"
    assert "quux is gone" in said(node)
    assert SMI not in said(node)
    assert f"{VALIDATOR}-6tz2m (Init:CrashLoopBackOff)" in said(node)


@pytest.mark.parametrize("handlers", [True, False])
def test_a_toolkit_that_hangs(tmp_path: Path, *, handlers: bool) -> None:
    """Neither ended nor ready: its last words are shown, and since when it runs."""
    made = Overlay("healthy-kubeadm", tmp_path)
    toolkit = made.pod(TOOLKIT)
    [status] = toolkit["status"]["containerStatuses"]
    running = {"running": {"startedAt": made.ago(90)}}
    status |= {"ready": False, "restartCount": 0, "state": running, "lastState": {}}
    hangs = 'time="2025-03-04T08:30:02Z" level=warning msg="Error signaling containerd, 4/6"\n'
    made.log(toolkit, status["name"], 0, hangs)
    made.others_wait()
    if not handlers:
        made.no_handlers()
    node = made.verdict()
    layer = "device-plugin" if handlers else "runtime"
    assert (node["layer"], node["cause"]) == (layer, "runtime/operand-fails")
    assert "is Running, but not ready; nvidia-container-toolkit-ctr started 90 min ago" in said(
        node
    )
    assert "Error signaling containerd, 4/6" in said(node)
    assert f"what waits for it: {PLUGIN}" in said(node)
    assert f"-c {status['name']} " in "\n".join(node["fix"])


@pytest.mark.parametrize("minutes", [2, 35])
def test_a_toolkit_that_has_not_begun(minutes: int, tmp_path: Path) -> None:
    """A recent warning is its failure; an old one explains it and has its age."""
    made = Overlay("healthy-kubeadm", tmp_path)
    made.initializing(TOOLKIT, "driver-validation", UNSTARTED)
    volume = 'MountVolume.SetUp failed for volume "entrypoint" : configmap "x" not found'
    made.event(made.pod(TOOLKIT), "FailedMount", volume, minutes)
    made.no_handlers()
    node = made.verdict()
    assert (node["layer"], node["cause"]) == ("runtime", "runtime/operand-fails")
    assert f"FailedMount: {volume}" in said(node)
    assert (f"{minutes} min ago" in said(node)) is (minutes == 35)
    fix = "\n".join(node["fix"])
    assert "kubectl logs" not in fix
    assert ("configmaps,secrets" in fix) is (minutes == 2)


def test_a_toolkit_that_looks_for_a_driver_that_works(tmp_path: Path) -> None:
    """The layer of the driver passes, and no driver pod is to come: that is where it hangs."""
    made = Overlay("healthy-kubeadm", tmp_path)
    running: Object = {"state": {"running": {"startedAt": made.ago(60)}}, "ready": False}
    made.initializing(TOOLKIT, "driver-validation", running)
    made.no_handlers()
    node = made.verdict()
    assert (node["layer"], node["cause"]) == ("runtime", "runtime/operand-fails")
    assert "is Init:0/1; driver-validation started 60 min ago" in said(node)
    assert "nvidia-smi" in "\n".join(node["fix"])


@pytest.mark.parametrize("sample", ["healthy-kubeadm", "healthy-rke2"])
def test_the_repaired_twin(sample: str, tmp_path: Path) -> None:
    """All came up in the end: what they said before, and how they ended, is history."""
    made = Overlay(sample, tmp_path)
    for start, stage, log in ((TOOLKIT, "driver-validation", LINKS), (PLUGIN, "", NO_SMI)):
        pod = made.pod(start)
        name = stage or pod["status"]["containerStatuses"][0]["name"]
        made.log(pod, name, 0, log)
        for each in pod["status"]["containerStatuses"]:
            each |= {"restartCount": 14, "lastState": CRASHES["lastState"]}
        made.event(pod, "BackOff", f"Back-off restarting failed container {name}", 40)
    node = made.verdict()
    assert (node["verdict"], node["latent"]) == ("conforms", [])


def test_a_plugin_that_was_evicted(tmp_path: Path) -> None:
    """The pressure is over, the pod has no successor: its status says why."""
    made = Overlay("healthy-kubeadm", tmp_path)
    words = "The node was low on resource: ephemeral-storage. Threshold quantity: 94Gi"
    made.pod(PLUGIN)["status"] = {"phase": "Failed", "reason": "Evicted", "message": words}
    made.offers_nothing()
    node = made.verdict()
    assert node["cause"] == "device-plugin/not-running"
    assert f"Evicted: {words}" in said(node)
    assert "kubectl delete pod" in "\n".join(node["fix"])
