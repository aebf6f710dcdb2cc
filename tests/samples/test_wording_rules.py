"""Each rule about the words of a finding fails on a bad text, and lets a good one pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from pytest_gpu.run.node_face import GpuNode
from tests.support import named_objects, wording
from tests.support.fake_evidence import FakeCluster, FakeNode

PATCH = "$ sudo patch -d / -p1 <<'EOF'\n--- /etc/x\n+++ /etc/x\n@@ -1 +1 @@\n-a = 1\n+a = 2\nEOF"
PLUGIN: dict[str, Any] = {
    "kind": "DaemonSet",
    "metadata": {
        "name": "plugin",
        "namespace": "gpu",
        "annotations": {
            "meta.helm.sh/release-name": "gpus",
            "meta.helm.sh/release-namespace": "gpu",
        },
    },
}
NODE: dict[str, Any] = {
    "kind": "Node",
    "metadata": {"name": "gpu-1", "labels": {"nvidia.com/gpu.present": "true"}},
}


def told(
    title: str = "GPU 1 (NVIDIA A10, 0000:17:00.0) does not answer",
    why: str = "It has 2 GPUs, of which 1 GPU is lost.",
    seen: str = "NVML error 15: GPU is lost",
    fix: tuple[str, ...] = ("Change it:", PATCH, "Then look at it."),
) -> Mapping[str, Any]:
    """Return a finding as reports show it; without changes nothing is wrong with it."""
    kinds = ["words", "node"]
    return {
        "cause": "gpu/x",
        "title": title,
        "why": why,
        "check": ["$ nvidia-smi -L"],
        "fix": list(fix),
        "fix_kinds": [kinds[step.startswith("$ ")] for step in fix],
        "evidence": [{"source": "NVML", "line": None, "text": seen}],
    }


def test_good_words_pass() -> None:
    """So that what fails below fails for the reason that is given."""
    assert wording.faults(told()) == []


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"title": "GPU 1 (unknown, None) is lost"}, "says nothing"),
        ({"title": "GPU 1 (A10, None) is lost"}, "says nothing"),
        ({"title": "CUDA does not start: error None"}, "says nothing"),
        ({"title": "The node is not ready: False"}, "says nothing"),
        ({"title": "The kernel has the version: unknown"}, "says nothing"),
        ({"title": "It finds none of (an empty list) here"}, "says nothing"),
        ({"why": "It names [] as its GPUs."}, "says nothing"),
        ({"seen": "2 GPUs: GPU 0 (A10, None)"}, "says nothing"),
        ({"title": "{gpus} are lost"}, "is not filled in"),
        ({"fix": ("$ cat {path}",)}, "is not filled in"),
        ({"why": "1 nodes have it."}, "number and noun differ"),
        ({"seen": "1 nodes nvidiaN for 2 GPUs"}, "number and noun differ"),
        ({"title": "The pod asked for 2 GPU"}, "number and noun differ"),
        ({"title": "1 of the node's GPUs are gone"}, "number and noun differ"),
        ({"title": "The runtime  is not defined"}, "has a gap"),
        ({"why": "It uses , which is wrong."}, "has a gap"),
        ({"fix": ("Change it:", "Then restart it.")}, "promises what does not follow"),
        ({"fix": ("Look:", "$ ls", "Set it to this:")}, "promises what does not follow"),
        ({"why": "Kubernetes says:\n"}, "promises what does not follow"),
        ({"fix": ("$ ",)}, "is empty"),
        ({"fix": ("$ sudo patch <<'EOF'\n--- /etc/x\n+++ /etc/x\nEOF",)}, "is empty"),
        ({"title": "GPUs are lost: 0000:17:00.0, 0000:17:00.0"}, "is there twice"),
        ({"title": "GPU 0 (A10) and GPU 0 (A10) are lost"}, "is there twice"),
        ({"fix": ("Change it:", PATCH, "Again:", PATCH)}, "is there twice"),
        ({"title": "A GPU must be reset: nvmlInit"}, "names no GPU"),
        ({"title": "the handler is gone"}, "is no title"),
        ({"title": "The handler is gone."}, "is no title"),
        ({"title": f"The handler {'x' * 300} is gone"}, "the title has 320 characters"),
    ],
)
def test_bad_words_are_found(change: Mapping[str, Any], rule: str) -> None:
    """One text each is bad on purpose; exactly that is told."""
    (fault, *more) = wording.faults(told(**change))
    assert rule in fault
    assert more == []


@pytest.mark.parametrize(
    "change",
    [
        {"title": "CUDA does not start: CUDA_ERROR_UNKNOWN (999, unknown error)"},
        {"why": "config.toml.tmpl renders a version 2 file; it has 1 process and is 1 bus away."},
        {"title": "vfio-pci holds 0000:17:00.0, 0000:ca:00.0 for virtual machines"},
        {"why": 'Begin it with {{ template "base" . }}.'},
        {"title": "No pod starts: failed to create task: bad address: unknown"},
        {"seen": "0/3 nodes are available: 3 node(s) had an untolerated taint"},
        {"title": 'The default runtime "" is not defined in containerd\'s configuration'},
        {"fix": ("Restart it:", "$ ls", "Restart it:", "$ ls")},
    ],
)
def test_near_misses_pass(change: Mapping[str, Any]) -> None:
    """What only looks like a fault."""
    assert wording.faults(told(**change)) == []


@pytest.fixture
def node() -> GpuNode:
    """Return a node of a cluster with a plugin of a Helm release, and no GPU operator."""
    evidence = FakeNode(files={"/etc/here/x.toml": "x"}, complete=["/etc", "/etc/here"])
    objects: Any = {"clusterpolicies": [], "daemonsets": [PLUGIN], "nodes": [NODE], "pods": []}
    return GpuNode("gpu-1", FakeCluster(nodes={"gpu-1": evidence}, objects=objects))


def unknown_to(node: GpuNode, kind: str, *fix: str, seen: str = "") -> list[str]:
    """Return what a fix names that this cluster or this node does not have."""
    steps = {"fix": list(fix), "fix_kinds": [kind] * len(fix)}
    return named_objects.faults({**told(seen=seen), **steps}, node)


@pytest.mark.parametrize(
    ("kind", "step"),
    [
        ("words", "Set driver.enabled in the ClusterPolicy."),
        ("cluster", "$ kubectl edit clusterpolicy"),
        ("cluster", "$ kubectl patch clusterpolicies.nvidia.com main --type merge -p '{}'"),
        ("cluster", "$ kubectl rollout restart daemonset/plugin -n other"),
        ("cluster", "$ kubectl rollout restart daemonset/other -n gpu"),
        ("cluster", "$ kubectl delete pod plugin-x -n gpu"),
        ("cluster", "$ kubectl logs plugin-x -n gpu --previous"),
        ("cluster", "$ kubectl label node gpu-1 nvidia.com/gpu.count-"),
        ("cluster", "$ kubectl label node gpu-1 nvidia.com/gpu.present=true --overwrite"),
        ("cluster", "$ kubectl label node gpu-2 nvidia.com/gpu.present-"),
        ("helm", "$ helm upgrade gpus nvidia/x -n other --reuse-values"),
        ("helm", "$ helm upgrade others nvidia/x -n gpu --reuse-values"),
        ("node", "$ sudo rm /etc/here/y.toml"),
        ("words", "Put it into /etc/there/x.toml."),
    ],
)
def test_what_is_not_there_is_found(node: GpuNode, kind: str, step: str) -> None:
    """No policy, no such release, object, label or file; or a value that is in force."""
    assert len(unknown_to(node, kind, step)) == 1


@pytest.mark.parametrize(
    ("kind", "step"),
    [
        ("words", "Let the GPU operator do it: install it."),
        ("cluster", "$ kubectl rollout restart daemonset/plugin -n gpu"),
        ("cluster", "$ kubectl get clusterpolicies"),
        ("cluster", "$ kubectl apply -f - <<'EOF'\nkind: RuntimeClass\nEOF"),
        ("cluster", "$ kubectl label node gpu-1 nvidia.com/gpu.present-"),
        ("cluster", "$ kubectl label node gpu-1 nvidia.com/gpu.count=2 --overwrite"),
        ("helm", "$ helm upgrade gpus nvidia/x -n gpu --reuse-values"),
        ("helm", "$ helm upgrade --install new nvidia/gpu-operator -n new --create-namespace"),
        ("node", "$ sudo cat /etc/here/x.toml"),
        ("node", "$ echo x | sudo tee /etc/here/new.conf"),
        ("node", "$ sudo cat /var/nobody/looked"),
    ],
)
def test_what_is_there_or_made_passes(node: GpuNode, kind: str, step: str) -> None:
    """Near misses: it exists, the fix makes it, or nobody looked for it."""
    assert unknown_to(node, kind, step) == []


def test_a_missing_file_that_the_evidence_tells_of_passes(node: GpuNode) -> None:
    """The reader knows then that it is not there."""
    assert unknown_to(node, "node", "$ ls /etc/here/y.toml", seen="/etc/here/y.toml is gone") == []


ENV = [{"name": "CONTAINERD_SOCKET", "value": "/run/x.sock"}]
VALUES = "toolkit:\n  env:\n  - name: CONTAINERD_SOCKET\n    value: {value}"
POLICY: dict[str, Any] = {
    "metadata": {"name": "main", "annotations": PLUGIN["metadata"]["annotations"]},
    "spec": {"driver": {"enabled": True}, "toolkit": {"env": ENV}},
}
UPGRADE = "$ helm upgrade gpus nvidia/gpu-operator -n gpu --reuse-values"


@pytest.mark.parametrize(
    ("kind", "step", "faults"),
    [
        ("helm", f"{UPGRADE} --set driver.enabled=true", 1),
        ("helm", f"{UPGRADE} --set driver.enabled=false", 0),
        ("helm", f"{UPGRADE} --set operator.runtimeClass=nvidia", 0),
        ("file", VALUES.format(value="/run/x.sock"), 1),
        ("file", VALUES.format(value="/run/y.sock"), 0),
    ],
)
def test_what_is_in_force_is_no_fix(kind: str, step: str, faults: int) -> None:
    """The operator's values, one by one or as the toolkit's whole list."""
    objects: Any = {"clusterpolicies": [POLICY], "daemonsets": [], "nodes": [NODE]}
    cluster = FakeCluster(nodes={"gpu-1": FakeNode()}, objects=objects)
    assert len(unknown_to(GpuNode("gpu-1", cluster), kind, step)) == faults
