"""Layer access: can this node be seen at all, and does its kubelet live?"""

from __future__ import annotations

import pytest

from pytest_gpu.causes import fail, latent
from pytest_gpu.diagnose import access
from pytest_gpu.layers import Layer
from pytest_gpu.node.gpu_node import GpuNode

pytestmark = pytest.mark.gpu_layer(Layer.ACCESS)


def test_kubernetes_shows_the_node(gpu_node: GpuNode) -> None:
    """Kubernetes knows the node and shows its pods and the RuntimeClasses."""
    access.api_silent(gpu_node)


def test_a_door_leads_into_the_node(gpu_node: GpuNode) -> None:
    """The node lets somebody in who can look at it: a pod, ssh, or the suite on the node itself."""
    if finding := access.no_door(gpu_node):
        fail(finding)


def test_kubelet_runs_where_its_runtime_serves(gpu_node: GpuNode) -> None:
    """The kubelet runs, if the container runtime below it does."""
    if finding := access.kubelet_stopped(gpu_node):
        fail(finding)
    if finding := access.bound_unit(gpu_node):
        latent(finding)
