"""The operator owns the driver, and the node has no pod of it: whole verdicts.

``driver.enabled`` is in force already, so it is never advised; nor is a package of the host, unless
somebody has said that this node brings its driver itself.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.stack.operands.test_driver_container import (
    Cluster,
    Object,
    daemonset,
    driver_pod,
    event,
    lines,
)

DEPLOY = "nvidia.com/gpu.deploy.driver"
SELECTED = "daemonset gpu-operator/nvidia-driver-daemonset"
HOST = ("apt", "ubuntu-drivers", "dnf", "driver.enabled=true")


def selecting(**wanted: str) -> Object:
    """Return a driver's DaemonSet that selects nodes by labels."""
    made = daemonset("ClusterPolicy", desiredNumberScheduled=0, currentNumberScheduled=0)
    made["spec"]["template"]["spec"]["nodeSelector"] = wanted
    return made


def label(cluster: Cluster, **changes: str | None) -> None:
    """Set labels of the GPU node; ``None`` removes one."""

    def changed(nodes: Object) -> None:
        [node] = (each for each in nodes["items"] if each["metadata"]["name"] == "gpu-1")
        found = node["metadata"]["labels"]
        for key, value in changes.items():
            found.pop(key, None)
            found |= {key: value} if value is not None else {}

    cluster.copy.edit_yaml(cluster.copy.folder / "kubernetes/nodes.yaml", changed)


def no_daemonset(cluster: Cluster) -> None:
    """The operator makes none, and says why in a condition of its ClusterPolicy."""

    def stuck(policies: Object) -> None:
        said = {"type": "Error", "status": "True", "reason": "ReconcileFailed", "message": "no os"}
        policies["items"][0]["status"] = {"conditions": [said]}

    cluster.copy.edit_yaml(cluster.copy.folder / "kubernetes/clusterpolicies.yaml", stuck)


def kept_label(cluster: Cluster) -> None:
    """The sample's node is labelled as one that brings its driver itself."""
    cluster.add("daemonsets", selecting(**{DEPLOY: "true"}))


def no_label(cluster: Cluster) -> None:
    """The operator has not labelled the node."""
    label(cluster, **{DEPLOY: None})
    cluster.add("daemonsets", selecting(**{DEPLOY: "true"}))


def operands_off(cluster: Cluster) -> None:
    """Somebody has switched off all operands on this node."""
    label(cluster, **{DEPLOY: None, "nvidia.com/gpu.deploy.operands": "false"})
    cluster.add("daemonsets", selecting(**{DEPLOY: "true"}))


def other_kernel(cluster: Cluster) -> None:
    """Precompiled drivers: one DaemonSet for each kernel."""
    cluster.add("daemonsets", selecting(**{"feature.node.kubernetes.io/kernel-version.full": "6"}))


CASES: dict[Callable[[Cluster], None], tuple[tuple[str, str], str]] = {
    no_daemonset: (
        ("condition Error of clusterpolicy cluster-policy", "ReconcileFailed: no os"),
        "kubectl logs gpu-operator-",
    ),
    kept_label: (
        (SELECTED, f"selects {DEPLOY}=true; the node has {DEPLOY}=pre-installed"),
        f"kubectl label node gpu-1 {DEPLOY}-",
    ),
    no_label: (
        (SELECTED, f"selects {DEPLOY}=true; the node has no label {DEPLOY}"),
        "kubectl get node gpu-1 --show-labels",
    ),
    operands_off: (
        ("node gpu-1", "label nvidia.com/gpu.deploy.operands=false"),
        "kubectl label node gpu-1 nvidia.com/gpu.deploy.operands-",
    ),
    other_kernel: (
        (
            SELECTED,
            "selects feature.node.kubernetes.io/kernel-version.full=6; the node has no label "
            "feature.node.kubernetes.io/kernel-version.full",
        ),
        "precompiled drivers there is one for each kernel",
    ),
}


@pytest.mark.parametrize("broken", CASES, ids=lambda case: case.__name__)
def test_why_no_driver_pod_is_made_for_the_node(
    broken: Callable[[Cluster], None], tmp_path: Path
) -> None:
    """Policy, DaemonSet and label are the evidence; who waits for the driver is told."""
    cluster = Cluster("no-driver", tmp_path)
    cluster.enabled()
    broken(cluster)
    node = cluster.verdict()
    assert (node["layer"], node["cause"]) == ("driver", "driver/no-driver-pod")
    told = [(source, text) for source, _, text in lines(node)]
    (said, advised) = CASES[broken]
    assert told[0] == ("clusterpolicy cluster-policy", "driver.enabled: true")
    assert said in told
    assert "nvidia-container-toolkit-daemonset-7n86l (Init:0/1)" in dict(told)["what waits for it"]
    fix = "\n".join(node["fix"])
    assert advised in fix
    assert not any(word in fix for word in HOST)


def test_a_policy_without_its_operator(tmp_path: Path) -> None:
    """Nobody is there who would make a DaemonSet."""
    cluster = Cluster("no-driver", tmp_path)
    cluster.enabled()

    def without(pods: Object) -> None:
        kept = (e for e in pods["items"] if e["metadata"]["labels"].get("app") != "gpu-operator")
        pods["items"] = list(kept)

    cluster.copy.edit_yaml(cluster.copy.folder / "kubernetes/pods.yaml", without)
    node = cluster.verdict()
    assert node["cause"] == "driver/no-driver-pod"
    assert "no pod of the operator" in "\n".join(node["fix"])


@pytest.mark.parametrize("text", ["", "exceeded quota: gpu, used: pods=10"])
def test_a_daemonset_that_selects_the_node_and_makes_no_pod(text: str, tmp_path: Path) -> None:
    """It is named with its event, however old, although its status counts nothing as missing."""
    cluster = Cluster("no-driver", tmp_path)
    cluster.enabled()
    cluster.add("daemonsets", daemonset("ClusterPolicy"))
    if text:
        about = ("DaemonSet", "nvidia-driver-daemonset")
        cluster.add("events", event(cluster, about, ("FailedCreate", text), 75))
    node = cluster.verdict()
    assert node["cause"] == "driver/operand-fails"
    assert lines(node)[0] == (SELECTED, None, "has no pod on this node")
    said = (f"event of {SELECTED}, 75 min ago", None, f"FailedCreate: {text}")
    assert (said in lines(node)) == bool(text)
    fix = "\n".join(node["fix"])
    assert ("resourcequotas" if text else "kubectl describe daemonset") in fix
    assert not any(word in fix for word in HOST)


def test_a_driver_that_is_the_hosts(tmp_path: Path) -> None:
    """Near miss: the operator leaves the driver to the host, which is where it is missing."""
    node = Cluster("no-driver", tmp_path).verdict()
    assert node["cause"] == "driver/not-installed"
    assert any("driver.enabled=true" in each for each in node["fix"])


def test_a_node_that_brings_its_driver(tmp_path: Path) -> None:
    """The repaired twin: no driver pod is missing where the module is loaded."""
    cluster = Cluster("healthy-kubeadm", tmp_path)
    cluster.enabled()
    cluster.add("daemonsets", selecting(**{DEPLOY: "true"}))
    node = cluster.verdict()
    assert (node["verdict"], node["latent"]) == ("conforms", [])


def test_a_driver_pod_that_is_there(tmp_path: Path) -> None:
    """It is judged by its own words, not by labels."""
    cluster = Cluster("no-driver", tmp_path)
    cluster.enabled()
    cluster.add("daemonsets", selecting(**{DEPLOY: "true"}))
    cluster.add("pods", driver_pod({"waiting": {"reason": "ErrImagePull", "message": "no"}}))
    assert cluster.verdict()["cause"] == "driver/operand-fails"
