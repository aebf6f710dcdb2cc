"""What the toolkit's pod writes anew at each start is changed in the toolkit's settings first."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.samples.sample_copy import SampleCopy
from tests.samples.test_cdi_demand import judged, plugin_spec, set_strategy, verdict
from tests.support.changes import each_object

VOLUMES = "ACCEPT_NVIDIA_VISIBLE_DEVICES_AS_VOLUME_MOUNTS"
PREFIXES = "NVIDIA_CONTAINER_RUNTIME_MODES_CDI_ANNOTATION_PREFIXES"
PATCH = "sudo patch -d / -p1"


def fix_of(copy: SampleCopy, cause: str) -> str:
    """Return the fix of the node's cause, which must be this one."""
    document = judged(copy)
    assert verdict(document)[2] == cause
    return "\n".join(document["causes"][0]["fix"])


def set_toolkit(policy: dict[str, Any], name: str, value: str) -> None:
    """Add a variable to the toolkit's list in a ClusterPolicy."""
    policy["spec"]["toolkit"].setdefault("env", []).append({"name": name, "value": value})


@pytest.fixture(params=["healthy-kubeadm", "healthy-dgx-spark"])
def by_mounts(request: pytest.FixtureRequest, tmp_path: Path) -> SampleCopy:
    """Return a node whose plugin names GPUs by mounts, which the runtime ignores."""
    copy = SampleCopy(request.param, tmp_path)
    each_object(copy, "daemonsets", partial(set_strategy, means="volume-mounts"))
    return copy


REFUSES = "runtime/toolkit-refuses-volume-mounts"


def test_the_toolkits_list_comes_first(by_mounts: SampleCopy) -> None:
    """Whole, with what is there, and then the patch."""
    each_object(by_mounts, "clusterpolicies", partial(set_toolkit, name="LOG_LEVEL", value="debug"))
    fix = fix_of(by_mounts, REFUSES)
    assert f'- name: {VOLUMES}\n    value: "true"' in fix
    assert '- name: LOG_LEVEL\n    value: "debug"' in fix
    assert fix.index(VOLUMES) < fix.index(PATCH)
    assert "-f toolkit-values.yaml" in fix or "kubectl edit clusterpolicy" in fix


def test_what_is_in_force_is_not_advised(by_mounts: SampleCopy) -> None:
    """The toolkit was told so already, and somebody changed the file: the patch alone."""
    each_object(by_mounts, "clusterpolicies", partial(set_toolkit, name=VOLUMES, value="true"))
    fix = fix_of(by_mounts, REFUSES)
    assert VOLUMES not in fix
    assert PATCH in fix


def test_a_toolkit_without_an_operator(by_mounts: SampleCopy) -> None:
    """Its DaemonSet is what there is to change."""
    path = by_mounts.folder / "kubernetes/clusterpolicies.yaml"
    by_mounts.edit_yaml(path, lambda objects: objects.update(items=[]))
    fix = fix_of(by_mounts, REFUSES)
    assert "kubectl set env daemonset/" in fix
    assert f"{VOLUMES}=true" in fix
    for word in ("helm", "clusterpolicy", "toolkit-values"):
        assert word not in fix


def test_a_package_of_the_host_has_no_pod_that_writes(tmp_path: Path) -> None:
    """EKS: the file is the host's, and stays as it is."""
    copy = SampleCopy("healthy-eks", tmp_path)
    each_object(copy, "daemonsets", partial(set_strategy, means="volume-mounts"))
    fix = fix_of(copy, REFUSES)
    assert PATCH in fix
    assert VOLUMES not in fix


@pytest.mark.parametrize("sample", ["healthy-kubeadm", "healthy-k8s-snap"])
def test_annotations_under_a_prefix_of_its_own(tmp_path: Path, sample: str) -> None:
    """The runtime reads the prefix, and containerd does not pass it on: a file of the toolkit's."""
    copy = SampleCopy(sample, tmp_path)
    each_object(copy, "daemonsets", partial(set_strategy, means="cdi-annotations"))
    plugin_spec(copy)
    each_object(copy, "daemonsets", set_prefix)
    for path in (copy.node / "files").rglob("nvidia-container-runtime/config.toml"):
        text = path.read_text()
        path.write_text(text.replace('["cdi.k8s.io/"]', '["gpu.example.org/"]'))
    fix = fix_of(copy, "runtime/cdi-annotations-not-passed-on")
    assert f'- name: {PREFIXES}\n    value: "gpu.example.org/"' in fix
    assert 'container_annotations = ["gpu.example.org/*"]' in fix
    assert fix.index(PREFIXES) < fix.index(PATCH)


def set_prefix(daemonset: dict[str, Any]) -> None:
    """Let a plugin annotate containers under a prefix of its own."""
    for container in daemonset["spec"]["template"]["spec"]["containers"]:
        if "k8s-device-plugin" in container["image"] and "env" in container:
            container["env"].append({"name": "CDI_ANNOTATION_PREFIX", "value": "gpu.example.org/"})
