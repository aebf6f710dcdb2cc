"""What Acme requires of its nodes, beyond what pytest-gpu requires: a check with its own cause."""

from __future__ import annotations

import pytest

from pytest_gpu import Layer
from pytest_gpu.causes import Evidence, Finding, fail, unproven
from pytest_gpu.run.node_face import GpuNode

WANTED = 570


@pytest.mark.gpu_layer(Layer.DRIVER)
def test_driver_is_new_enough_for_our_jobs(gpu_node: GpuNode) -> None:
    """Every node runs a driver that Acme's jobs were built for."""
    found = gpu_node.driver.version
    if found is None:
        unproven("the driver does not say its version")
    if int(found.partition(".")[0]) < WANTED:
        seen = Evidence(source="/sys/module/nvidia/version", line=1, text=found)
        fail(Finding.of("acme/driver-too-old", seen, found=found, wanted=str(WANTED)))
