"""GPU pods through a real scheduler and real kubelets: nodes broken differently, in one run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from pytest_gpu.cluster.api.login import open_client
from pytest_gpu.cluster.api.run_marks import new_run
from pytest_gpu.cluster.api.run_objects import RunObjects
from pytest_gpu.cluster.gpu_pods import try_pods
from pytest_gpu.errors import Unproven
from pytest_gpu.run.node_face import GpuNode
from pytest_gpu.stack.pods import check_suite_pod
from tests.lab.cluster import PODS, LabCluster
from tests.lab.nodes.daemons import wait_for
from tests.lab.nodes.node import Node
from tests.lab.parts.images import PYTHON
from tests.lab.rounds.visited import visited
from tests.stack.kube.kube_machine import cause

IMAGE = "python:3-slim"
RUNTIME = "/usr/bin/nvidia-container-runtime"
CHECKS: tuple[Callable[[GpuNode], Any], ...] = (
    check_suite_pod.not_started,
    check_suite_pod.wrong_number,
    check_suite_pod.unrequested,
    check_suite_pod.miscomputes,
)
Outcomes = Mapping[str, dict[str, Any]]


@pytest.fixture
def objects(lab_cluster: LabCluster) -> Iterator[RunObjects]:
    """Return what a run creates, in a namespace of its own; check that nothing of it stays."""
    client = open_client("context", lab_cluster.context, lab_cluster.kubeconfig)
    made = RunObjects(client, new_run(client, "pytest-gpu", 600, create=True))
    made.prepare()
    yield made
    assert made.remove_all() == ()


def fly(lab: LabCluster, objects: RunObjects, *names: str, image: str = IMAGE) -> Outcomes:
    """Run the suite's pods on nodes; nothing of them stays."""
    nodes = [visited(lab.api, name, lab.nodes[name].init) for name in names or lab.nodes]
    outcomes = dict(try_pods(nodes, objects, image, 120))
    left = lab.api.get(objects.path("pods"))["items"]
    assert left == []
    return outcomes


def verdict(lab: LabCluster, name: str, outcome: dict[str, Any]) -> str | None:
    """Return the cause of the first finding of the layer, or why there is no verdict."""
    node = visited(lab.api, name, lab.nodes[name].init)
    vars(node.evidence)["outcome"] = lambda kind: {"pod": outcome}[kind]
    try:
        return next((cause(found) for check in CHECKS if (found := check(node))), None)
    except Unproven as error:
        return f"unproven: {error}"


@contextmanager
def broken_cuda(node: Node, **settings: object) -> Iterator[None]:
    """Break the CUDA library of a node."""
    node.set_nvml(**settings)
    try:
        yield
    finally:
        node.set_nvml()


def test_healthy_nodes_compute_what_they_should(
    lab_cluster: LabCluster, objects: RunObjects
) -> None:
    """One GPU each, none for the other container."""
    outcomes = fly(lab_cluster, objects)
    found = {name: verdict(lab_cluster, name, each) for name, each in outcomes.items()}
    assert found == dict.fromkeys(lab_cluster.nodes), outcomes


def test_each_fault_of_cuda_is_told_on_its_node(
    lab_cluster: LabCluster, objects: RunObjects
) -> None:
    """In one flight; a GPU that cannot compute is no busy one."""
    faults = {
        "n16": {"cuda_init": 999},
        "n17": {"cuda_wrong": 77},
        "n24": {"cuda_jit": 221},
        "nsd": {"cuda_crash": 1},
    }
    with ExitStack() as stack:
        for name, settings in faults.items():
            stack.enter_context(broken_cuda(lab_cluster.nodes[name], **settings))
        outcomes = fly(lab_cluster, objects)
    assert {name: verdict(lab_cluster, name, each) for name, each in outcomes.items()} == {
        "n16": "runtimeclass-pod/cuda-does-not-start",
        "n17": "runtimeclass-pod/computes-wrongly",
        "n24": "runtimeclass-pod/ptx-is-not-compiled",
        "nsd": "runtimeclass-pod/cuda-gives-no-answer",
    }


def test_nodes_broken_differently_do_not_hide_each_other(
    lab_cluster: LabCluster, objects: RunObjects
) -> None:
    """A runtime that is not installed, NVML that fails, a busy node, a cordoned one."""
    nodes = lab_cluster.nodes
    with ExitStack() as stack:
        stack.enter_context(_without_runtime(nodes["n16"]))
        stack.enter_context(broken_cuda(nodes["n17"], init=18))
        stack.enter_context(_busy(lab_cluster, "n24"))
        stack.enter_context(_cordoned(lab_cluster, "nsd"))
        outcomes = fly(lab_cluster, objects)
        found = {name: verdict(lab_cluster, name, each) for name, each in outcomes.items()}
    busy = found.pop("n24") or ""
    assert busy.startswith("unproven: all GPUs are in use by default/holder (nvidia.com/gpu: 2)")
    assert found == {
        "n16": "sandbox/runtime-program-missing",
        "n17": "sandbox/toolkit-cannot-reach-driver",
        "nsd": None,
    }


@contextmanager
def _without_runtime(node: Node) -> Iterator[None]:
    node.must("mv", RUNTIME, f"{RUNTIME}.away")
    try:
        yield
    finally:
        node.must("mv", f"{RUNTIME}.away", RUNTIME)


@contextmanager
def _busy(lab: LabCluster, name: str) -> Iterator[None]:
    container = {
        "name": "main",
        "image": PYTHON,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sleep", "600"],
        "resources": {"limits": {"nvidia.com/gpu": 2}},
    }
    body = {"nodeName": name, "terminationGracePeriodSeconds": 0, "containers": [container]}
    lab.api.create(PODS, {"metadata": {"name": "holder"}, "spec": body})
    path = f"{PODS}/holder"
    try:
        wait_for(lambda: lab.api.get(path)["status"]["phase"] == "Running", "holder to run")
        yield
    finally:
        lab.api.delete(path, seconds=0)
        wait_for(lambda: lab.api.find(path) is None, "holder to be gone")


@contextmanager
def _cordoned(lab: LabCluster, name: str) -> Iterator[None]:
    path = f"/api/v1/nodes/{name}"
    lab.api.patch(path, {"spec": {"unschedulable": True}})
    try:
        yield
    finally:
        lab.api.patch(path, {"spec": {"unschedulable": None}})


def test_an_image_that_cannot_be_had_proves_nothing(
    lab_cluster: LabCluster, objects: RunObjects
) -> None:
    """The lab has no registry."""
    outcomes = fly(lab_cluster, objects, "n17", image="registry.invalid/none:1")
    found = verdict(lab_cluster, "n17", outcomes["n17"]) or ""
    assert found.startswith("unproven: the image of the suite's pod could not be pulled")


def test_a_missing_runtime_class_is_named(lab_cluster: LabCluster, objects: RunObjects) -> None:
    """The API server refuses the pod."""
    classes = "/apis/node.k8s.io/v1/runtimeclasses"
    body = lab_cluster.api.get(f"{classes}/nvidia")
    lab_cluster.api.delete(f"{classes}/nvidia")
    try:
        outcomes = fly(lab_cluster, objects, "n17")
        found = verdict(lab_cluster, "n17", outcomes["n17"])
    finally:
        head = {"name": "nvidia"}
        lab_cluster.api.create(classes, {**body, "metadata": head})
    assert found == "runtimeclass/missing", outcomes
