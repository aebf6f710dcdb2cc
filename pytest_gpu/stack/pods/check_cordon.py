"""Checks that a node still takes pods: it is not cordoned, and has room for one more."""

from __future__ import annotations

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.checks import check
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.kube.nodes import cordon, quantity
from pytest_gpu.stack.kube.objects import object_of, status_of
from pytest_gpu.stack.kube.pods import pods_on
from pytest_gpu.stack.operands.upgrade import upgrades


@check("pods/cordoned", visit=False)
def cordoned(node: Node) -> Finding | None:
    """Return a note on a node that is cordoned, by somebody else than the driver's upgrade."""
    seen = cordon(object_of(node))
    if not seen or upgrades(node):
        return None
    return Finding.of("kubernetes/cordoned", *seen)


@check("pods/full", visit=False)
def full(node: Node) -> Finding | None:
    """Return a note on a node that has as many pods as its kubelet takes, whatever they ask for."""
    most = (status_of(object_of(node)).get("allocatable") or {}).get("pods")
    running = len(pods_on(node.cluster, node.name)) if most else 0
    if not most or running < quantity(most):
        return None
    where = f"node {node.name}"
    return Finding.of(
        "kubernetes/pods-full",
        Evidence(source=where, text=f"allocatable pods: {most}"),
        Evidence(source=f"pods of {where}", text=f"{running} that have not ended"),
        most=str(most),
    )
