"""A cell of the matrix: one node broken in one way; a round: many of them in one run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.lab.cluster import LabCluster
from tests.lab.nodes.node import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One node broken in one way, and the verdict on it.

    ``sentence`` says what must hold. ``settles`` waits until the breakage shows, after all nodes
    of the round are broken. ``repair`` does what healing the node's files and daemons does not do.
    ``says`` must be in the output.
    """

    node: str
    name: str
    sentence: str
    breaks: Callable[[Node], None]
    verdict: str = "fails"
    layer: str | None = None
    cause: str | None = None
    says: str = ""
    settles: Callable[[Node], None] | None = None
    repair: Callable[[Node], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One run over nodes broken at the same time; the other nodes of the cluster are healthy."""

    name: str
    cells: tuple[Cell, ...]
    exit: int = 1
    options: tuple[str, ...] = ()


def broken(cluster: LabCluster, cells: Sequence[Cell]) -> None:
    """Break the nodes of a cluster, and wait until it shows."""
    for cell in cells:
        cell.breaks(cluster.nodes[cell.node])
    for cell in cells:
        if cell.settles:
            cell.settles(cluster.nodes[cell.node])


def repaired(cluster: LabCluster, cells: Sequence[Cell]) -> None:
    """Heal the nodes, and wait until all give away their GPUs again."""
    for cell in cells:
        if cell.repair:
            cell.repair(cluster.nodes[cell.node])
        cluster.nodes[cell.node].heal()
    cluster.await_gpus()
