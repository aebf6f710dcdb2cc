"""Layer hardware: are the NVIDIA GPUs on the bus, alive, all of them, and free for the driver?"""

from __future__ import annotations

import pytest

from pytest_gpu.causes import fail, latent
from pytest_gpu.gpu_node import Node
from pytest_gpu.layers import Layer
from pytest_gpu.stack.gpu import check_bus, check_hardware

pytestmark = pytest.mark.gpu_layer(Layer.HARDWARE)


def test_node_has_an_nvidia_gpu(gpu_node: Node) -> None:
    """The node has an NVIDIA GPU on its PCI bus, or a GPU that is part of its platform."""
    if finding := check_hardware.missing(gpu_node):
        fail(finding)


def test_every_gpu_answers_on_the_bus(gpu_node: Node) -> None:
    """Every GPU answers on the PCI bus; none has fallen off it."""
    if finding := check_hardware.fallen_off_the_bus(gpu_node):
        fail(finding)


def test_no_gpu_is_missing(gpu_node: Node) -> None:
    """The bus shows as many GPUs as the node's labels count."""
    if finding := check_hardware.lost(gpu_node):
        fail(finding)


def test_no_other_driver_holds_a_gpu(gpu_node: Node) -> None:
    """Every GPU is free for NVIDIA's driver: neither Nouveau nor vfio-pci holds it."""
    if finding := check_hardware.held(gpu_node):
        fail(finding)
    if finding := check_hardware.split(gpu_node):
        latent(finding)
    check_hardware.given_to_machines(gpu_node)


def test_every_gpu_has_all_its_pcie_lanes(gpu_node: Node) -> None:
    """Every GPU uses all PCIe lanes that it and its slot support (fewer is slow, not broken)."""
    if finding := check_bus.narrow_links(gpu_node):
        latent(finding)


def test_iommu_lets_every_gpu_reach_memory(gpu_node: Node) -> None:
    """The IOMMU refuses no GPU memory access (latent, since only peer-to-peer breaks)."""
    if finding := check_bus.iommu_faults(gpu_node):
        latent(finding)
