"""Layer access: can the suite see this node at all, and does its kubelet run?"""

from __future__ import annotations

import pytest

from pytest_gpu.causes import fail, latent
from pytest_gpu.gpu_node import Node
from pytest_gpu.layers import Layer
from pytest_gpu.stack.injection import check_refused_visit
from pytest_gpu.stack.kubelet import check_access, check_crash_loop

pytestmark = pytest.mark.gpu_layer(Layer.ACCESS)


def test_kubernetes_shows_the_node(gpu_node: Node) -> None:
    """Kubernetes knows the node and shows its pods and the RuntimeClasses."""
    check_access.api_silent(gpu_node)


def test_a_door_leads_into_the_node(gpu_node: Node) -> None:
    """The suite can read the node: through a pod, through ssh, or by running on the node itself."""
    if finding := check_refused_visit.refused_visit(gpu_node):
        fail(finding)
    if finding := check_access.no_door(gpu_node):
        fail(finding)


def test_kubelet_runs_where_its_runtime_serves(gpu_node: Node) -> None:
    """The kubelet runs, and keeps running, if the container runtime below it runs."""
    if finding := check_crash_loop.crash_loop(gpu_node):
        fail(finding)
    if finding := check_access.kubelet_stopped(gpu_node):
        fail(finding)
    if finding := check_crash_loop.restarted_again(gpu_node):
        latent(finding)
    if finding := check_access.bound_unit(gpu_node):
        latent(finding)
