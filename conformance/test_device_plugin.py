"""Layer device-plugin: does the node advertise exactly the GPUs it has?"""

from __future__ import annotations

import pytest

from pytest_gpu.causes import fail
from pytest_gpu.gpu_node import Node
from pytest_gpu.layers import Layer
from pytest_gpu.stack.pods import check_count, check_plugin, check_plugin_pod

pytestmark = pytest.mark.gpu_layer(Layer.DEVICE_PLUGIN)


def test_somebody_offers_the_gpus(gpu_node: Node) -> None:
    """A device plugin or NVIDIA's DRA driver is there to offer this node's GPUs to pods."""
    if finding := check_plugin.not_deployed(gpu_node):
        fail(finding)


def test_runtimeclass_of_the_plugin_leads_to_a_handler(gpu_node: Node) -> None:
    """A plugin that has to start finds its RuntimeClass, and the node knows that one's handler."""
    if finding := check_plugin.class_broken(gpu_node):
        fail(finding)


def test_plugin_runs_where_it_can_see_gpus(gpu_node: Node) -> None:
    """The plugin runs under a handler that injects GPUs: only so can it find them."""
    if finding := check_plugin.without_gpu(gpu_node):
        fail(finding)


def test_plugin_has_a_pod_on_the_node(gpu_node: Node) -> None:
    """The plugin's DaemonSet has put a pod on this node: no taint and no selector keeps it off."""
    if finding := check_plugin_pod.not_scheduled(gpu_node):
        fail(finding)


def test_plugin_runs(gpu_node: Node) -> None:
    """The plugin's pod on this node runs."""
    if finding := check_plugin_pod.not_running(gpu_node):
        fail(finding)


def test_node_advertises_gpus(gpu_node: Node) -> None:
    """The kubelet has GPUs to hand out: the plugin has registered with at least one."""
    if finding := check_count.not_registered(gpu_node):
        fail(finding)


def test_every_device_is_healthy(gpu_node: Node) -> None:
    """What can be allocated is all of the capacity: the plugin calls no GPU unhealthy."""
    if finding := check_count.unhealthy(gpu_node):
        fail(finding)


def test_count_is_what_hardware_and_sharing_give(gpu_node: Node) -> None:
    """The node advertises as many GPUs as it has, times the replicas of sharing, split by MIG."""
    if finding := check_count.miscounts(gpu_node):
        fail(finding)
