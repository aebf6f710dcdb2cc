"""Handlers are found in configurations of any shape."""

from __future__ import annotations

import pytest

from pytest_gpu.stack.containerd.config_file import CRI_V2
from pytest_gpu.stack.containerd.search import gpu_handlers

NVIDIA = {"options": {"BinaryName": "/usr/bin/nvidia-container-runtime"}}


@pytest.mark.parametrize("shape", [None, "nvidia", 7, [NVIDIA], {"nvidia": "x"}, {"nvidia": [1]}])
def test_runtimes_of_another_shape_are_no_handlers(shape: object) -> None:
    """A search passes over what is wrong; the check of the configuration tells it."""
    table = {"plugins": {CRI_V2: {"containerd": {"runtimes": shape}}}}
    assert gpu_handlers(table) == ()
    table["plugins"][CRI_V2]["containerd"]["runtimes"] = {"nvidia": NVIDIA}
    assert gpu_handlers(table) == ("nvidia",)
