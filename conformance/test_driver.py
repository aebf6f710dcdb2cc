"""Layer driver: kernel module, libraries, device nodes, and every GPU's health in NVML."""

from __future__ import annotations

import pytest

from pytest_gpu.causes import fail, latent
from pytest_gpu.gpu_node import Node
from pytest_gpu.layers import Layer
from pytest_gpu.stack.gpu import check_device_nodes, check_driver, check_health, check_upgrade
from pytest_gpu.stack.operands import check_operands
from pytest_gpu.stack.units import check_units

pytestmark = pytest.mark.gpu_layer(Layer.DRIVER)


def test_kernel_module_is_loaded(gpu_node: Node) -> None:
    """NVIDIA's kernel module is loaded."""
    if finding := check_driver.module_not_loaded(gpu_node):
        fail(finding)
    if finding := check_upgrade.unfinished(gpu_node):
        latent(finding)
    for finding in check_operands.driver_fails(gpu_node):
        latent(finding)
    for finding in check_units.companions_fail(gpu_node):
        latent(finding)


def test_driver_is_recent_enough(gpu_node: Node) -> None:
    """The driver branch is 470 or newer."""
    if finding := check_driver.too_old(gpu_node):
        fail(finding)


def test_libraries_are_installed(gpu_node: Node) -> None:
    """The host has the driver's libraries for NVML and CUDA."""
    if finding := check_driver.library_missing(gpu_node):
        fail(finding)


def test_libraries_match_the_kernel_module(gpu_node: Node) -> None:
    """The libraries have the same version as the loaded kernel module."""
    if finding := check_driver.mismatch(gpu_node):
        fail(finding)


def test_device_nodes_exist(gpu_node: Node) -> None:
    """GPUs, driver control and unified memory have device nodes with the right numbers."""
    if finding := check_device_nodes.device_nodes(gpu_node):
        fail(finding)


def test_no_gpu_reported_a_grave_error(gpu_node: Node) -> None:
    """No GPU has reported an error that needs a reset since the driver was loaded."""
    if finding := check_health.grave_xids(gpu_node):
        fail(finding)


def test_nvml_answers(gpu_node: Node) -> None:
    """NVML starts, answers in time, and returns no error that points to a faulty GPU."""
    if finding := check_health.nvml_silent(gpu_node):
        fail(finding)


def test_driver_initialised_every_gpu(gpu_node: Node) -> None:
    """NVML sees every GPU that the driver holds on the bus."""
    if finding := check_health.not_initialised(gpu_node):
        fail(finding)


def test_memory_rows_are_sound(gpu_node: Node) -> None:
    """Every GPU could remap its defective memory rows."""
    if finding := check_health.remap_failed(gpu_node):
        fail(finding)
    if finding := check_health.remap_pending(gpu_node):
        latent(finding)


def test_memory_is_readable(gpu_node: Node) -> None:
    """Every GPU reports its memory size, unless it shares memory with the CPU."""
    if finding := check_health.memory_unreadable(gpu_node):
        fail(finding)


def test_nvlink_fabric_is_ready(gpu_node: Node) -> None:
    """No GPU waits for the NVLink fabric."""
    if finding := check_health.fabric_not_ready(gpu_node):
        fail(finding)


def test_mig_mode_is_in_effect(gpu_node: Node) -> None:
    """The MIG mode in effect is the requested one (otherwise the next reset changes it)."""
    if finding := check_health.mig_pending(gpu_node):
        latent(finding)
