"""What the operands of a node are: their pods and those that are missing, state and warnings."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_gpu.errors import NotInEvidence
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.kube.objects import name_of
from pytest_gpu.stack.operands.operands import Operand, cluster_operands, operands_of
from pytest_gpu.stack.operands.roles import DEVICE_PLUGIN, DRIVER, OPERATOR, TOOLKIT, VALIDATOR
from tests.stack.operands.made_up_operands import (
    CRASHED,
    Object,
    container,
    node_with,
    pod,
    warning,
    workload,
)
from tests.support.fake_evidence import FakeCluster

TOOL = container("nvcr.io/nvidia/k8s/container-toolkit:v1.18.0")
DRIVES = container("nvcr.io/nvidia/driver:570.124.06-ubuntu22.04", name="nvidia-driver-ctr")
OPERATES = container("nvcr.io/nvidia/gpu-operator:v25.3.4", name="gpu-operator")
POLICY = {"kind": "ClusterPolicy", "metadata": {"name": "cluster-policy"}, "spec": {}}
OF_POLICY = {"ownerReferences": [{"kind": "ClusterPolicy", "name": "cluster-policy"}]}


def only(node: Node) -> Operand:
    """Return the only operand of a node."""
    [found] = operands_of(node)
    return found


def test_operands_stand_in_the_order_in_which_they_wait() -> None:
    """The driver first, the validator last; a user's pod is none of them."""
    pods = (
        pod(container("gpu-operator-validator:1"), name="v", owner=("DaemonSet", "v")),
        pod(container("nvidia/cuda:12.8.0"), name="train"),
        pod(container("k8s-device-plugin:1", name="nvidia-device-plugin"), name="p"),
        pod(TOOL, name="t"),
        pod(DRIVES, name="d"),
    )
    found = operands_of(node_with(*pods))
    assert [each.role for each in found] == [DRIVER, TOOLKIT, DEVICE_PLUGIN, VALIDATOR]
    assert all(each.ready and each.failing is None for each in found)


def test_it_knows_what_makes_its_pods_and_what_made_that() -> None:
    """Pod, DaemonSet, ClusterPolicy: the last is what must be changed to change it for good."""
    made = pod(TOOL)
    makes = workload(made, metadata=OF_POLICY)
    found = only(node_with(made, daemonsets=[makes], clusterpolicies=[POLICY]))
    assert (found.controller, found.owner) == (makes, POLICY)
    assert found.name == "pod gpu-stack/x-7k2vn"


def test_a_recorded_pod_may_not_say_what_made_it() -> None:
    """Then the DaemonSet that selects it has, and without one the operator, by its label."""
    labels = {"app": "nvidia-driver-daemonset"}
    made = pod(DRIVES, owner=None, labels=labels)
    makes = workload(made, metadata={"labels": labels}, spec={"selector": {"matchLabels": labels}})
    cni = pod(container("cilium:1"), labels={"app": "cni"})
    other = workload(cni, name="y", spec={"selector": {"matchLabels": {"app": "cni"}}})
    found = only(node_with(made, daemonsets=[other, makes], clusterpolicies=[POLICY]))
    assert (found.controller, found.owner) == (makes, POLICY)
    found = only(node_with(made, daemonsets=[], clusterpolicies=[POLICY]))
    assert (found.controller, found.owner) == (None, POLICY)
    mine = pod(DRIVES, owner=None, labels={"app": "my-driver"})
    assert only(node_with(mine, clusterpolicies=[POLICY])).owner is None


def test_what_helm_installed_belongs_to_no_policy() -> None:
    """Also where the operator runs beside it and gives the same labels."""
    labels = {"app": "nvidia-device-plugin-daemonset"}
    notes = {"meta.helm.sh/release-name": "mine", "meta.helm.sh/release-namespace": "gpu-stack"}
    made = pod(container("k8s-device-plugin:1", name="nvidia-device-plugin"), labels=labels)
    makes = workload(made, metadata={"labels": labels, "annotations": notes})
    found = only(node_with(made, daemonsets=[makes], clusterpolicies=[POLICY]))
    assert (found.controller, found.owner) == (makes, None)


def test_the_operators_own_pods_have_no_controller() -> None:
    """It makes its validators of CUDA and of the plugin itself."""
    validates = container("gpu-operator-validator:1")
    made = pod(validates, owner=("ClusterPolicy", "cluster-policy"))
    found = only(node_with(made, clusterpolicies=[POLICY]))
    assert (found.controller, found.owner) == (None, POLICY)


def test_a_daemonset_that_made_no_pod_here_is_an_operand_without_a_pod() -> None:
    """One that does not select the node is none."""
    makes = workload(pod(DRIVES), spec={})
    other = workload(pod(TOOL), name="y")
    other["spec"]["template"]["spec"]["nodeSelector"] = {"gpu.deploy": "true"}
    refused = warning(makes, "FailedCreate", 'pods "x-" is forbidden: exceeded quota')
    found = only(node_with(daemonsets=[makes, other], events=[refused]))
    assert (found.role, found.pod, found.state, found.ready) == (DRIVER, None, "has no pod", False)
    assert found.name == "daemonset gpu-stack/x"
    assert found.events[0].text == 'FailedCreate: pods "x-" is forbidden: exceeded quota'
    chosen = node_with(daemonsets=[other], labels={"gpu.deploy": "true"})
    assert only(chosen).role == TOOLKIT
    assert operands_of(node_with(daemonsets=[other])) == ()


def test_a_pod_that_ended_counts_only_without_a_newer_one() -> None:
    """An evicted one beside its successor is history; alone it is the state."""
    evicted = pod(TOOL, name="x-old", phase="Failed", reason="Evicted", containerStatuses=[])
    assert [each.state for each in operands_of(node_with(evicted))] == ["Evicted"]
    both = operands_of(node_with(evicted, pod(TOOL)))
    assert [each.state for each in both] == ["Running"]


@pytest.mark.parametrize(
    ("status", "failing", "ready"),
    [
        ({}, False, True),
        ({"ready": False}, False, False),
        (CRASHED, True, True),
        ({"state": {"waiting": {"reason": "ImagePullBackOff"}}, "ready": False}, True, False),
        ({"state": {"waiting": {"reason": "ContainerCreating"}}, "ready": False}, False, False),
        ({"state": {"waiting": {"reason": "PodInitializing"}}, "ready": False}, False, False),
        ({"state": {"terminated": {"exitCode": 137}}, "ready": False}, True, False),
        ({"state": {"terminated": {"exitCode": 0}}, "ready": False}, False, False),
        ({"restartCount": 9, "lastState": {"terminated": {"exitCode": 1}}}, False, True),
        ({"state": {}, "ready": False}, False, False),
    ],
    ids=[
        "ready",
        "not-ready",
        "crash-loop",
        "image",
        "creating",
        "initializing",
        "killed",
        "done",
        "crashed-before",
        "unknown",
    ],
)
def test_a_container_fails_by_its_state_now(status: Object, *, failing: bool, ready: bool) -> None:
    """Restarts of yesterday do not count, and one that waits for others has not failed."""
    found = only(node_with(pod(TOOL, statuses={"main": status})))
    assert (found.failing is not None, found.ready) == (failing, ready)


def test_an_init_container_fails_before_what_waits_for_it() -> None:
    """It is the first that fails; the rest of the pod is initializing."""
    waits = {"state": {"waiting": {"reason": "PodInitializing"}}, "ready": False}
    broken = {**CRASHED, "ready": False, "lastState": {"terminated": {"exitCode": 3}}}
    first = container("gpu-operator-validator:1", name="driver-validation")
    made = pod(TOOL, inits=[first], statuses={"main": waits, "driver-validation": broken})
    failing = only(node_with(made)).failing
    assert failing is not None
    assert (failing.name, failing.init, failing.restarts) == ("driver-validation", True, 4)
    assert failing.end is not None
    assert failing.end.exit == 3


def test_old_warnings_are_told_apart() -> None:
    """Both are there, newest first; only the young one explains the state now."""
    made = pod(TOOL)
    others = {**pod(TOOL), "kind": "ConfigMap"}
    events = [
        warning(made, "BackOff", "old", minutes=60),
        warning(made, "FailedMount", "new\x1b[2J\nline"),
        warning(others, "BackOff", "of another object with this name"),
        {**warning(made, "Pulled", "not a warning"), "type": "Normal"},
    ]
    found = only(node_with(made, events=events)).events
    assert [(each.text, each.fresh) for each in found] == [
        ("FailedMount: new line", True),
        ("BackOff: old", False),
    ]


def test_warnings_about_another_pod_of_the_same_name_do_not_count() -> None:
    """A StatefulSet's or a static pod comes back with its name and another UID."""
    made, gone = pod(TOOL), warning(pod(TOOL), "BackOff", "of its predecessor")
    gone["involvedObject"]["uid"] = "another"
    assert only(node_with(made, events=[gone])).events == ()


def test_pods_that_were_not_read_are_unknown() -> None:
    """Nothing is said about a node whose pods nobody may list."""
    with pytest.raises(NotInEvidence):
        operands_of(Node("gpu-1", FakeCluster(objects={"nodes": [], "daemonsets": []})))


def test_the_clusters_operands_have_their_pods_wherever_they_run() -> None:
    """The operator may run on a node without a GPU; its ReplicaSet need not be listed."""
    made = pod(
        OPERATES,
        name="gpu-operator-5ffc545c4b-m2rzs",
        owner=("ReplicaSet", "gpu-operator-5ffc545c4b"),
        labels={"pod-template-hash": "5ffc545c4b"},
        statuses={"gpu-operator": CRASHED},
    )
    made["spec"]["nodeName"] = "cpu-9"
    makes = workload(made, "Deployment", "gpu-operator")
    makes |= {"status": {"replicas": 1, "conditions": [{"type": "Available", "status": "False"}]}}
    cluster = node_with(made, deployments=[makes]).cluster
    [found] = cluster_operands(cluster)
    assert (found.role, found.controller) == (OPERATOR, makes)
    assert found.failing is not None


@pytest.mark.parametrize(
    ("kind", "spec", "status", "lacks"),
    [
        ("Deployment", {}, {"conditions": []}, False),
        ("Deployment", {}, {"observedGeneration": 1}, True),
        ("Deployment", {"replicas": 0}, {"observedGeneration": 1}, False),
        ("Deployment", {"replicas": 2}, {"replicas": 2}, False),
        ("StatefulSet", {"replicas": 2}, {"replicas": 1}, True),
        ("DaemonSet", {}, {"desiredNumberScheduled": 3, "currentNumberScheduled": 3}, False),
        ("DaemonSet", {}, {"desiredNumberScheduled": 3, "currentNumberScheduled": 1}, False),
        ("DaemonSet", {}, {"desiredNumberScheduled": 0, "currentNumberScheduled": 0}, False),
    ],
)
def test_a_controller_that_lacks_pods_is_an_operand_without_one(
    kind: str, spec: Object, status: Object, *, lacks: bool
) -> None:
    """By its own numbers; its conditions say why. A DaemonSet lacks them on nodes, one by one."""
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "q"}
    makes = workload(pod(OPERATES), kind, spec=spec)
    makes["status"] = {**status, "conditions": [failure]} if "conditions" not in status else {}
    listed = {"Deployment": "deployments", "StatefulSet": "statefulsets"}.get(kind, "daemonsets")
    objects: dict[str, Any] = {listed: [makes]}
    found = cluster_operands(node_with(**objects).cluster)
    assert bool(found) is lacks
    assert all(name_of(each.controller or {}) == "x" for each in found)
    assert all(each.conditions[0].message == "q" for each in found)
