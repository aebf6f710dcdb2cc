"""A node with any sign of a GPU is a GPU node."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_gpu.stack.kube.nodes import SIGNS, find_gpu_nodes, quantity, readiness, tolerates
from tests.support.fake_evidence import FakeCluster, FakeNode, node_object

BUS = "/sys/bus/pci/devices"


def names(*nodes: dict[str, Any], **more: Any) -> list[str]:
    """Return the names of the GPU nodes among these."""
    cluster = FakeCluster(objects={"nodes": list(nodes), **more})
    return [found.name for found in find_gpu_nodes(cluster)]


@pytest.mark.parametrize(
    "labels",
    [
        {"nvidia.com/gpu.present": "true"},
        {"nvidia.com/gpu": "true"},
        {"feature.node.kubernetes.io/pci-10de.present": "true"},
        {"feature.node.kubernetes.io/pci-0302_10de.present": "true"},
        {"cloud.google.com/gke-accelerator": "nvidia-l4"},
        {"k8s.amazonaws.com/accelerator": "nvidia-tesla-v100"},
        {"kubernetes.azure.com/accelerator": "nvidia"},
        {"node.kubernetes.io/instance-type": "p4d.24xlarge"},
        {"node.kubernetes.io/instance-type": "g4dn.xlarge"},
        {"node.kubernetes.io/instance-type": "p6-b200.48xlarge"},
        {"node.kubernetes.io/instance-type": "Standard_NC4as_T4_v3"},
        {"node.kubernetes.io/instance-type": "a3-highgpu-8g"},
    ],
)
def test_each_label_of_a_gpu_is_a_sign(labels: dict[str, str]) -> None:
    """Node discovery, clouds, instance types."""
    assert names(node_object("a", labels=labels)) == ["a"]


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {"nvidia.com/gpu.present": "false"},
        {"feature.node.kubernetes.io/pci-1002.present": "true"},
        {"node.kubernetes.io/instance-type": "m5.large"},
        {"node.kubernetes.io/instance-type": "g4ad.xlarge"},
        {"node.kubernetes.io/instance-type": "Standard_NV32as_v4"},
        {"node.kubernetes.io/instance-type": "Standard_ND96isr_MI300X_v5"},
        {"example.com/gpu": "true"},
    ],
)
def test_look_alikes_are_no_sign(labels: dict[str, str]) -> None:
    """AMD's instances, other vendors, a label that denies it."""
    assert names(node_object("a", labels=labels)) == []


def test_capacity_counts_even_where_nothing_is_allocatable() -> None:
    """A dead plugin must not take its node out of the test."""
    dead = node_object("a", capacity={"nvidia.com/gpu": "0"}, allocatable={})
    assert names(dead, node_object("b")) == ["a"]


def test_resource_slices_of_nvidias_dra_driver_are_a_sign() -> None:
    """A slice of another driver is none."""
    slices = [
        {"spec": {"driver": "gpu.nvidia.com", "nodeName": "a"}},
        {"spec": {"driver": "gpu.intel.com", "nodeName": "b"}},
    ]
    assert names(node_object("a"), node_object("b"), resourceslices=slices) == ["a"]


@pytest.mark.parametrize(("vendor", "found"), [("0x10de\n", ["a"]), ("0x1002\n", [])])
def test_the_bus_speaks_where_nothing_else_does(vendor: str, found: list[str]) -> None:
    """A GPU that no label tells of is seen by a visit."""
    path = f"{BUS}/0000:01:00.0"
    files = {f"{path}/vendor": vendor, f"{path}/class": "0x030200\n"}
    node = FakeNode("a", files=files, complete=[BUS])
    cluster = FakeCluster(nodes={"a": node}, objects={"nodes": [node_object("a")]})
    assert [each.name for each in find_gpu_nodes(cluster)] == found


def test_every_sign_can_be_told() -> None:
    """What is looked for is what the user reads when nothing was found."""
    assert len(SIGNS) == 7


def test_readiness_of_a_node_without_conditions_is_unknown_to_us() -> None:
    """No condition is not a Ready one."""
    assert not readiness({"status": {}}).ready
    assert readiness(node_object()).ready


def test_tolerations_match_as_kubernetes_matches_them() -> None:
    """Key, operator, value, effect."""
    taint = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
    assert tolerates([{"operator": "Exists"}], taint)
    assert tolerates([{"key": "nvidia.com/gpu", "operator": "Exists"}], taint)
    assert tolerates([{"key": "nvidia.com/gpu", "value": "present"}], taint)
    assert not tolerates([{"key": "nvidia.com/gpu"}], taint)
    assert not tolerates([{"operator": "Exists", "effect": "NoExecute"}], taint)
    assert not tolerates([{"key": "gpu", "operator": "Exists"}], taint)


def test_amounts_of_resources_are_whole_numbers() -> None:
    """Kubernetes shortens thousands."""
    assert (quantity("8"), quantity(4), quantity("2k")) == (8, 4, 2000)
