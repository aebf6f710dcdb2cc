"""Users' GPU pods that crash, are refused, or wait for what nobody offers: noted, not failed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from pytest_gpu.causes import Finding
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.pods import check_users_pods as users
from tests.stack.kube.kube_machine import cause, plugin_pod, pod, waiting
from tests.support.fake_evidence import FakeCluster, node_object
from tests.support.told import full

Object = dict[str, Any]
MIG = "nvidia.com/mig-2g.20gb"


def crashed(exit_code: int, reason: str = "Error", restarts: int = 12) -> list[Object]:
    """Return the status of a container in a crash loop."""
    [status] = waiting("CrashLoopBackOff", "back-off 5m0s", restarts)
    ended = {"exitCode": exit_code, "reason": reason, "message": "secret words of its log"}
    return [{**status, "lastState": {"terminated": ended}}]


def node(*pods: Object, allocatable: Sequence[str] = ("nvidia.com/gpu",)) -> Node:
    """Return a node that works, with these pods."""
    about = node_object(capacity=dict.fromkeys(allocatable, "1"))
    about["status"]["allocatable"] = dict.fromkeys(allocatable, "1")
    return Node("gpu-1", FakeCluster(objects={"nodes": [about], "pods": list(pods), "events": []}))


def lines(finding: Finding | None) -> list[tuple[str, str]]:
    """Return a finding's evidence; all of its texts must have their values."""
    assert finding is not None
    assert full(finding)
    return [(each.source, each.text) for each in finding.evidence]


@pytest.mark.parametrize(
    ("name", "namespace", "code", "reason"),
    [("bert-0", "ml-team", 139, "Error"), ("render-7f", "studio", 137, "OOMKilled")],
)
def test_a_pod_that_crashes(name: str, namespace: str, code: int, reason: str) -> None:
    """State, exit code and restarts; no word of its log, nor of what it said when it ended."""
    made = pod(name, namespace=namespace, statuses=crashed(code, reason))
    found = users.crashing(node(made, pod("fine")))
    assert cause(found) == "runtimeclass-pod/users-pods-crash"
    assert lines(found) == [
        (f"pod {namespace}/{name}", "is CrashLoopBackOff"),
        (
            f"pod {namespace}/{name}, container main",
            f"ended with exit code {code} ({reason}), started again 12 times",
        ),
    ]
    assert "secret" not in str(found)


@pytest.mark.parametrize(
    "made",
    [
        pod(statuses=None),
        pod(statuses=crashed(1), node="another"),
        pod(statuses=crashed(1), gpus=0),
        pod(statuses=waiting("ImagePullBackOff")),
        pod(statuses=waiting("ContainerCreating")),
        pod(phase="Failed", statuses=crashed(1)),
        plugin_pod(statuses=crashed(1)),
    ],
    ids=["runs", "elsewhere", "no GPU", "no image", "starts", "has ended", "operand"],
)
def test_a_pod_that_does_not_crash_here(made: Object) -> None:
    """Nothing is noted."""
    assert users.crashing(node(made)) is None


def refused(reason: str, minutes: int = 2, name: str = "train") -> Object:
    """Return a pod that a kubelet has refused."""
    found = pod(name, age=timedelta(minutes=minutes), phase="Failed", statuses=[])
    found["status"] |= {"reason": reason, "message": "Pod was rejected: Allocate failed"}
    found["metadata"]["ownerReferences"] = [{"kind": "ReplicaSet", "name": "rs"}]
    return found


@pytest.mark.parametrize("reason", ["UnexpectedAdmissionError", "OutOfnvidia.com/gpu"])
def test_a_pod_that_was_just_refused(reason: str) -> None:
    """The kubelet's words are the evidence."""
    text = f"{reason}: Pod was rejected: Allocate failed"
    found = users.refused(node(refused(reason)))
    assert cause(found) == "runtimeclass-pod/users-pods-refused"
    assert lines(found) == [("pod default/train", text)]


def test_a_refusal_that_is_over() -> None:
    """It is old, its controller has another pod that runs, or it is not about devices."""
    again = pod("train-2")
    again["metadata"]["ownerReferences"] = [{"kind": "ReplicaSet", "name": "rs"}]
    assert users.refused(node(refused("UnexpectedAdmissionError", minutes=40))) is None
    assert users.refused(node(refused("UnexpectedAdmissionError"), again)) is None
    assert users.refused(node(refused("Evicted"))) is None


def pending(resource: str, message: str = "0/1 nodes: 1 Insufficient", **spec: Any) -> Object:
    """Return a pod that the scheduler cannot place."""
    found = pod("wants", node=None, phase="Pending", statuses=[])
    found["spec"]["containers"][0]["resources"] = {"limits": {resource: "1"}}
    found["spec"] |= spec
    placed = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    found["status"]["conditions"] = [{**placed, "message": message}]
    return found


@pytest.mark.parametrize("resource", [MIG, "nvidia.com/gpu.shared"])
def test_a_resource_that_no_node_offers(resource: str) -> None:
    """The pod, the scheduler's words, and what is offered."""
    found = users.not_offered(node(pending(resource)))
    assert cause(found) == "runtimeclass-pod/resource-not-offered"
    assert lines(found) == [
        ("pod default/wants", f"is Pending, asks for {resource}"),
        ("condition PodScheduled of pod default/wants", "Unschedulable: 0/1 nodes: 1 Insufficient"),
        ("kubectl get nodes", "allocatable: nvidia.com/gpu"),
    ]


def test_a_pod_that_waits_for_its_turn() -> None:
    """The node offers it: it is busy; or the pod is meant for other nodes."""
    assert users.not_offered(node(pending("nvidia.com/gpu"))) is None
    assert users.not_offered(node(pending(MIG), allocatable=["nvidia.com/gpu", MIG])) is None
    assert users.not_offered(node(pending(MIG, nodeSelector={"pool": "b"}))) is None
