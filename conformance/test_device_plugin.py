"""Layer device-plugin: does the node advertise exactly the GPUs it has?"""

from __future__ import annotations

import pytest

from pytest_gpu.causes import fail, latent
from pytest_gpu.gpu_node import Node
from pytest_gpu.layers import Layer
from pytest_gpu.stack.operands import check_operands
from pytest_gpu.stack.pods import check_count, check_plugin, check_plugin_pod

pytestmark = pytest.mark.gpu_layer(Layer.DEVICE_PLUGIN)


def test_somebody_offers_the_gpus(gpu_node: Node) -> None:
    """A device plugin or NVIDIA's DRA driver is deployed to offer this node's GPUs to pods."""
    if finding := check_plugin.not_deployed(gpu_node):
        fail(finding)


def test_runtimeclass_of_the_plugin_leads_to_a_handler(gpu_node: Node) -> None:
    """If the plugin has to start, its RuntimeClass exists and names a handler of this node."""
    if finding := check_plugin.class_broken(gpu_node):
        fail(finding)


def test_plugin_runs_where_it_can_see_gpus(gpu_node: Node) -> None:
    """The plugin runs with a handler that injects GPUs; without one it cannot find them."""
    if finding := check_plugin.without_gpu(gpu_node):
        fail(finding)


def test_plugin_has_a_pod_on_the_node(gpu_node: Node) -> None:
    """The plugin's DaemonSet has a pod on this node: no taint or selector keeps it away."""
    if finding := check_plugin_pod.not_scheduled(gpu_node):
        fail(finding)


def test_plugin_runs(gpu_node: Node) -> None:
    """The plugin's pod on this node runs."""
    if finding := check_plugin_pod.not_running(gpu_node):
        fail(finding)


def test_node_advertises_gpus(gpu_node: Node) -> None:
    """The kubelet has GPUs to allocate: the plugin has registered at least one."""
    if finding := check_count.not_registered(gpu_node):
        fail(finding)
    for finding in check_operands.others_fail(gpu_node):
        latent(finding)


def test_every_device_is_healthy(gpu_node: Node) -> None:
    """Allocatable equals capacity: the plugin reports no GPU as unhealthy."""
    if finding := check_count.unhealthy(gpu_node):
        fail(finding)


def test_count_is_what_hardware_and_sharing_give(gpu_node: Node) -> None:
    """The node advertises as many GPUs as it has, times sharing replicas, split by MIG."""
    if finding := check_count.miscounts(gpu_node):
        fail(finding)
