"""Check that a node is not kept from taking pods by its admins."""

from __future__ import annotations

from pytest_gpu.causes import Finding
from pytest_gpu.checks import check
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.kube.nodes import cordon
from pytest_gpu.stack.kube.objects import object_of
from pytest_gpu.stack.operands.upgrade import upgrades


@check("pods/cordoned", visit=False)
def cordoned(node: Node) -> Finding | None:
    """Return a note on a node that is cordoned, by somebody else than the driver's upgrade."""
    seen = cordon(object_of(node))
    if not seen or upgrades(node):
        return None
    return Finding.of("kubernetes/cordoned", *seen)
