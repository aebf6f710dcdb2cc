"""Users' GPU workloads whose pods the API server refuses: noted where they could have run.

Shapes: pkg/controller/replicaset (condition ReplicaFailure), pkg/controller/controller_utils.go and
pkg/controller/statefulset (the event FailedCreate) of Kubernetes.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.pods import check_users_workloads as workloads
from tests.stack.kube.kube_machine import GPU, event
from tests.stack.pods.test_check_users_pods import lines
from tests.support.fake_evidence import FakeCluster, node_object

Object = dict[str, Any]
MIG = "nvidia.com/mig-1g.10gb"
QUOTA = (
    'pods "llm-6f5-x2k" is forbidden: exceeded quota: gpus, requested: requests.nvidia.com/gpu=1,'
    " used: requests.nvidia.com/gpu=4, limited: requests.nvidia.com/gpu=4"
)
HOOK = 'admission webhook "policy.example.org" denied the request: no team label'
KINDS = {
    "deployments": "Deployment",
    "replicasets": "ReplicaSet",
    "statefulsets": "StatefulSet",
    "jobs": "Job",
}


def node(events: tuple[Object, ...] = (), **made: Any) -> Node:
    """Return a node that offers GPUs, in a cluster with these workloads."""
    about = node_object(capacity={GPU: "4"}, allocatable={GPU: "4"}, labels={"pool": "a"})
    objects = {"nodes": [about], "pods": [], "events": list(events), **made}
    return Node("gpu-1", FakeCluster(objects=objects))


def workload(name: str, resource: str = GPU, **more: Any) -> Object:
    """Return a workload that wants two pods and has none."""
    container = {"name": "main", "image": "app:1", "resources": {"limits": {resource: "1"}}}
    template = {"spec": {"containers": [container], **more.pop("pod", {})}}
    return {
        "metadata": {"name": name, "namespace": "research", "uid": f"uid-{name}"},
        "spec": {"replicas": 2, "template": template, **more.pop("spec", {})},
        "status": {"replicas": 0, "observedGeneration": 1, **more},
    }


def failing(message: str = QUOTA, status: str = "True") -> dict[str, Any]:
    """Return the condition of a workload whose pods are refused."""
    told = {"type": "ReplicaFailure", "status": status, "reason": "FailedCreate"}
    return {"conditions": [{**told, "message": message}]}


def owned(thing: Object, by: str) -> Object:
    """Return an object that a Deployment has made."""
    thing["metadata"]["ownerReferences"] = [{"kind": "Deployment", "name": by, "controller": True}]
    return thing


@pytest.mark.parametrize(
    ("resource", "name", "message"),
    [("replicasets", "llm-6f5", QUOTA), ("deployments", "render", f"pods are refused: {HOOK}")],
)
def test_a_condition_tells_it(resource: str, name: str, message: str) -> None:
    """How many pods it lacks, what they ask for, and the API server's words."""
    made: dict[str, Any] = {resource: [workload(name, **failing(message))]}
    kind = KINDS[resource].lower()
    assert lines(workloads.podless(node(**made))) == [
        (f"{kind} research/{name}", "pods that it lacks: 2, each asks for nvidia.com/gpu: 1"),
        (f"condition ReplicaFailure of {kind} research/{name}", message),
    ]


def test_a_deployment_and_its_replicaset_are_told_once() -> None:
    """The Deployment repeats the condition, and is the one to change."""
    both: dict[str, Any] = {
        "deployments": [workload("llm", **failing())],
        "replicasets": [owned(workload("llm-6f5", **failing()), by="llm")],
    }
    found = lines(workloads.podless(node(**both)))
    assert [source for source, _ in found] == [
        "deployment research/llm",
        "condition ReplicaFailure of deployment research/llm",
    ]


@pytest.mark.parametrize(
    ("resource", "spec", "lacks"),
    [
        ("statefulsets", {}, 2),
        ("jobs", {"parallelism": 3, "completions": 8}, 3),
        ("jobs", {}, 1),
    ],
)
def test_an_event_tells_it(resource: str, spec: Object, lacks: int) -> None:
    """Where no condition does: it is at most as old as controllers wait before they try again."""
    made = workload("train", spec=spec)
    said = event(made, "FailedCreate", f"Error creating: {QUOTA}", timedelta(minutes=16))
    there: dict[str, Any] = {resource: [made]}
    found = lines(workloads.podless(node(events=(said,), **there)))
    assert found[0][1] == f"pods that it lacks: {lacks}, each asks for nvidia.com/gpu: 1"
    assert found[1][1] == f"FailedCreate: Error creating: {QUOTA}"
    old = event(made, "FailedCreate", f"Error creating: {QUOTA}", timedelta(minutes=21))
    assert workloads.podless(node(events=(old,), **there)) is None


@pytest.mark.parametrize(
    ("resource", "made"),
    [
        ("replicasets", workload("a", **failing(status="False"))),
        ("replicasets", workload("a", **failing(), replicas=2)),
        ("replicasets", workload("a")),
        ("replicasets", workload("a", MIG, **failing())),
        ("replicasets", workload("a", "cpu", **failing())),
        ("replicasets", workload("a", pod={"nodeSelector": {"pool": "b"}}, **failing())),
        ("deployments", workload("a", spec={"replicas": 0}, **failing())),
        ("jobs", workload("a", spec={"suspend": True}, **failing())),
        ("jobs", workload("a", active=1, **failing())),
        ("jobs", workload("a", spec={"completions": 4}, succeeded=4, **failing())),
    ],
    ids=[
        "is-over",
        "has-its-pods",
        "says-nothing",
        "not-offered-here",
        "no-gpu",
        "for-others",
        "wants-none",
        "suspended",
        "runs",
        "is-done",
    ],
)
def test_a_workload_that_lacks_nothing_here(resource: str, made: Object) -> None:
    """Nothing is noted."""
    there: dict[str, Any] = {resource: [made]}
    assert workloads.podless(node(**there)) is None


def test_operands_are_told_elsewhere() -> None:
    """A workload of the GPU stack is no user's."""
    made = workload("dcgm", **failing())
    [container] = made["spec"]["template"]["spec"]["containers"]
    container["image"] = "nvcr.io/nvidia/k8s/dcgm-exporter:4.1.1"
    assert workloads.podless(node(deployments=[made])) is None
