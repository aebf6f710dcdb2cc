"""Other ways into a cluster and its nodes: from a pod, over ssh; and a kubelet that just died."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab.cluster import LabCluster
from tests.lab.conftest import leave_out
from tests.lab.control_plane import audit
from tests.lab.control_plane.account import NAMESPACE, WITHIN, Account
from tests.lab.control_plane.control_plane import ADDRESS
from tests.lab.nodes.daemons import wait_for
from tests.lab.nodes.node import Node
from tests.lab.parts import debian
from tests.lab.parts.images import PYTHON
from tests.lab.rounds import suite_in_pod
from tests.lab.rounds.judge import judge
from tests.lab.rounds.leftovers import leftovers

NODE = "n17"
PODS = f"/api/v1{WITHIN}/pods"
UNTAKEN = 60
"""Seconds that a kubelet has to take a pod up; the lab's cluster notes its death a little later."""


@pytest.fixture
def equipped(lab_cluster: LabCluster, tmp_path: Path) -> Iterator[Node]:
    """Give a node that has the suite in a folder."""
    node = lab_cluster.nodes[NODE]
    try:
        suite_in_pod.install(node, tmp_path)
    except debian.Missing as missing:
        leave_out(f"the suite in a pod: {missing}")
    yield node
    suite_in_pod.remove(node)


def from_inside(lab: LabCluster, node: Node, *options: str) -> tuple[str, str]:
    """Run the suite in a pod of the shipped service account; return its phase and its output."""
    container = {
        "name": "main",
        "image": PYTHON,
        "imagePullPolicy": "IfNotPresent",
        "workingDir": "/tmp",  # noqa: S108 - of the pod
        "command": ["python3", "-B", "-m", "pytest", "-p", "no:cacheprovider"],
        "args": ["--gpu-cluster=in-cluster", f"--gpu-nodes={node.name}", *options],
        # The lab has no kube-proxy: nothing answers at the service's own address.
        "env": [
            {"name": "KUBERNETES_SERVICE_HOST", "value": ADDRESS},
            {"name": "KUBERNETES_SERVICE_PORT", "value": "6443"},
            {"name": "PYTHONPATH", "value": suite_in_pod.FOLDER},
        ],
        "volumeMounts": [
            {"name": "suite", "mountPath": suite_in_pod.FOLDER, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - of the pod
        ],
    }
    spec = {
        "serviceAccountName": NAMESPACE,
        "nodeName": node.name,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
        "volumes": [
            {"name": "suite", "hostPath": {"path": suite_in_pod.FOLDER}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }
    lab.api.create(PODS, {"metadata": {"name": "inside"}, "spec": spec})
    try:
        phase = wait_for(lambda: _end(lab), "the suite in a pod", node.outer, seconds=180)
        return phase, lab.api.get(f"{PODS}/inside/log")
    finally:
        lab.api.delete(f"{PODS}/inside", seconds=0)


def _end(lab: LabCluster) -> str | None:
    phase: str = lab.api.get(f"{PODS}/inside")["status"]["phase"]
    return phase if phase in {"Succeeded", "Failed"} else None


@pytest.mark.usefixtures("user")
def test_from_inside_a_pod(equipped: Node, lab_cluster: LabCluster) -> None:
    """With nothing but the service account's token, on the node that the pod itself runs on."""
    phase, output = from_inside(lab_cluster, equipped)
    assert phase == "Succeeded", output
    assert "conforms" in output
    assert leftovers(lab_cluster, NODE) == []


def test_gpu_pods_of_a_node_seen_by_ssh(
    lab_cluster: LabCluster, user: Account, tmp_path: Path
) -> None:
    """No pod looks into the node; sandbox and GPU pod are tried all the same."""
    mark = audit.mark(lab_cluster.workplace.folder)
    options = (f"--gpu-nodes={NODE}", "--gpu-node-shell=ssh")
    run = judge(lab_cluster, tmp_path / "run", *options, kubeconfig=user.kubeconfig)
    assert run.verdicts == {NODE: ("conforms", None, None)}, run.output
    assert run.exit == 0
    asked = [(each.verb, each.resource) for each in mark.requests()]
    assert asked.count(("create", "pods")) == 1, "the GPU pod alone"
    assert [each for each in asked if each[1] == "pods/exec"] == []
    assert leftovers(lab_cluster, NODE) == []


def test_kubelet_that_died_a_moment_ago(
    lab_cluster: LabCluster,
    user: Account,
    tmp_path: Path,
    record_testsuite_property: Callable[[str, object], None],
) -> None:
    """The node is still Ready; its visit is given up within a minute, and told as what it is."""
    node = lab_cluster.nodes[NODE]
    node.stop("kubelet")
    began = time.monotonic()
    try:
        assert node.is_ready()
        run = user.judge(tmp_path, f"--gpu-nodes={NODE}")
        seconds = time.monotonic() - began
    finally:
        node.start_kubelet()
        node.await_ready()
        lab_cluster.await_allocatable(NODE, 2)
    record_testsuite_property("silent kubelet", f"{seconds:.0f} s")
    assert run.verdicts == {NODE: ("fails", "access", "access/no-door")}, run.output
    assert "the node's kubelet did not start to handle the pod" in " ".join(run.output.split())
    assert seconds < UNTAKEN + 30
    assert leftovers(lab_cluster, NODE) == []
