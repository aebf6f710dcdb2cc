"""A node that refuses to start the pod of the visit: what it says is all that is known of it."""

from __future__ import annotations

import re

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.checks import check
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.injection.node_refusals import NO_POD, refused_by_node

NVIDIA = "nvidia"
"""Stands in every path, handler and device of NVIDIA's runtime; the visit's pod asks for none."""

_SANDBOX = "FailedCreatePodSandBox"
_CONTAINER = re.compile(r"\b(?:CreateContainerError|RunContainerError|StartError)\b")


@check("injection/refused-visit", visit=False)
def refused_visit(node: Node) -> Finding | None:
    """Find a node that refuses the visit's pod, which asks for no GPU: it refuses every pod.

    Words about a container that name no known reason may be about the suite's image.
    """
    door = node.evidence.door
    of_sandbox = _SANDBOX in door.reason
    if door.kind != "none" or not (of_sandbox or _CONTAINER.search(door.reason)):
        return None
    said = Evidence(source="pod of the visit", text=door.reason)
    why = door.reason.partition("desc = ")[2] or door.reason
    if finding := refused_by_node(node, said):
        return finding
    if NVIDIA in door.reason:
        return Finding.of("access/default-handler-fails", said, why=why)
    if of_sandbox:
        return Finding.of("access/node-refuses-pods", said, scope=NO_POD, why=why)
    return None
