"""Checks of the GPU operator's upgrade of the driver, which takes the node out of service."""

from __future__ import annotations

from pytest_gpu.causes import Finding
from pytest_gpu.checks import check
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.operands.upgrade import upgrade_of


@check("gpu/driver-upgrade", visit=False)
def unfinished(node: Node) -> Finding | None:
    """Return a note on an upgrade of the driver that failed or has not finished on this node."""
    return upgrade_of(node)
