"""Layer runtimeclass-pod: does an ordinary pod get its GPUs, and do the users' own pods?"""

from __future__ import annotations

import pytest

from pytest_gpu.causes import fail, latent
from pytest_gpu.gpu_node import Node
from pytest_gpu.layers import Layer
from pytest_gpu.looks import each_of
from pytest_gpu.stack.kubelet import check_pressure
from pytest_gpu.stack.pods import (
    check_cordon,
    check_pods,
    check_suite_pod,
    check_users_containers,
    check_users_pods,
    check_users_workloads,
)

pytestmark = pytest.mark.gpu_layer(Layer.RUNTIMECLASS_POD)


def test_node_is_ready(gpu_node: Node) -> None:
    """The node is Ready and not under pressure: nothing outside the GPU stack keeps pods away."""
    if finding := check_pressure.refuses_pods(gpu_node):
        fail(finding)
    if finding := check_pods.not_ready(gpu_node):
        fail(finding)
    for finding in each_of(gpu_node, check_cordon.cordoned, check_cordon.full):
        latent(finding)


def test_runtimeclasses_lead_to_handlers(gpu_node: Node) -> None:
    """Every RuntimeClass that GPU pods name exists, and this node's runtime knows its handler."""
    if finding := check_pods.broken_classes(gpu_node):
        fail(finding)


def test_gpu_pods_run_where_gpus_are_injected(gpu_node: Node) -> None:
    """The GPU pods on this node run with a handler that injects their GPUs."""
    if finding := check_pods.without_gpu(gpu_node):
        fail(finding)


def test_gpu_pods_can_start(gpu_node: Node) -> None:
    """No GPU pod currently fails to start because of the GPU stack."""
    if finding := check_pods.failing_to_start(gpu_node):
        fail(finding)
    checks = (
        check_users_pods.crashing,
        check_users_pods.refused,
        check_users_containers.not_started,
        check_users_containers.not_ending,
        check_users_pods.not_offered,
        check_users_workloads.podless,
    )
    for finding in each_of(gpu_node, *checks):
        latent(finding)


def test_pod_with_a_gpu_starts(gpu_node: Node) -> None:
    """A new pod that asks for a GPU is admitted and starts."""
    if finding := check_suite_pod.not_started(gpu_node):
        fail(finding)


def test_pod_gets_exactly_what_it_asked_for(gpu_node: Node) -> None:
    """A container sees as many GPUs as it asked for, no more and no fewer."""
    if finding := check_suite_pod.wrong_number(gpu_node):
        fail(finding)


def test_container_without_a_gpu_sees_none(gpu_node: Node) -> None:
    """A container that asked for no GPU sees none."""
    if finding := check_suite_pod.unrequested(gpu_node):
        fail(finding)


def test_gpu_computes(gpu_node: Node) -> None:
    """CUDA starts in the pod and computes the right result."""
    if finding := check_suite_pod.miscomputes(gpu_node):
        fail(finding)
