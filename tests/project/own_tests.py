"""A user's tests that use other plugins: ``plugins_check.py`` runs them, and knows how they end."""

from __future__ import annotations

import asyncio

import pytest

from pytest_gpu import Layer
from pytest_gpu.causes import Evidence, Finding, fail, unproven
from pytest_gpu.run.node_face import GpuNode


@pytest.fixture
async def driver_version(gpu_node: GpuNode) -> str:
    """Return what a coroutine learned about the node under test."""
    await asyncio.sleep(0)
    return gpu_node.driver.version or ""


@pytest.mark.gpu_layer(Layer.HARDWARE)
async def test_a_coroutine_passes(gpu_node: GpuNode, driver_version: str) -> None:
    """Coroutines and their fixtures have a place in the ladder."""
    await asyncio.sleep(0)
    assert driver_version == gpu_node.driver.version


@pytest.mark.gpu_layer(Layer.HARDWARE)
def test_one_that_passes_when_run_again(gpu_node: GpuNode, request: pytest.FixtureRequest) -> None:
    """What counts is how a test ended last: it blocks nothing."""
    tried = request.path.with_name("tried")
    already = tried.exists()
    tried.touch()
    assert already, gpu_node.name


@pytest.mark.gpu_layer(Layer.HARDWARE)
async def test_a_coroutine_is_unproven(gpu_node: GpuNode) -> None:
    """What cannot be decided is no failure."""
    await asyncio.sleep(0)
    unproven(f"nobody knows that of {gpu_node.name}")


@pytest.mark.gpu_layer(Layer.HARDWARE)
@pytest.mark.repeat(2)
@pytest.mark.parametrize("number", [7])
def test_a_repeated_one_passes(gpu_node: GpuNode, number: int) -> None:
    """The node stays the first parameter, and each repetition is a test of its own."""
    assert gpu_node.name == "gpu-1"
    assert number == 7


@pytest.mark.gpu_layer(Layer.DRIVER)
async def test_a_coroutine_fails(gpu_node: GpuNode) -> None:
    """A finding blocks the layers above."""
    await asyncio.sleep(0)
    evidence = Evidence(source="/sys/bus/pci/devices/0000:17:00.0/driver", text="-> nouveau")
    fail(Finding.of("driver/nouveau-holds-gpu", evidence, holder="nouveau", gpus=gpu_node.name))


@pytest.mark.gpu_layer(Layer.RUNTIME)
def test_one_above_it_is_blocked(gpu_node: GpuNode) -> None:
    """The layer below failed."""
    assert gpu_node.name == ""


@pytest.mark.timeout(0.2)
@pytest.mark.flaky(reruns=0)
async def test_one_outside_the_ladder_is_stopped(gpu_node: GpuNode) -> None:
    """A test that hangs fails; pytest-timeout does not watch the second try of a test."""
    assert gpu_node
    await asyncio.sleep(3)
