"""All evidence that unproven tests lack, at once instead of one path per run.

A test stops at the first thing that was not collected. Here it is called again as if that were
absent, so that it stops at the next one, until nothing more is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from pytest_gpu.asked import Asked
from pytest_gpu.causes import LATENT
from pytest_gpu.errors import GpuError, NotInEvidence
from pytest_gpu.evidence import (
    ClusterEvidence,
    CommandResult,
    Door,
    ElfSummary,
    Entry,
    KubeObject,
    NodeEvidence,
)
from pytest_gpu.memory import Memory
from pytest_gpu.run.node_face import GpuNode

MAX_NODES = 20
"""Most nodes per process that get the whole list: the nodes of a fleet lack the same things."""

MAX_THINGS = 60
"""Most missing things listed for one node."""

_T = TypeVar("_T")

Ask = Callable[[GpuNode], object]
"""A test with all its arguments except the node."""

_MISLED = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What a fact may raise when something counts as absent that cannot be absent."""


class Missing:
    """Finds the missing evidence of the nodes that one process tests."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, None]] = {}

    def of(self, ask: Ask, node: GpuNode, first: NotInEvidence) -> list[str]:
        """Return what a test needs and was not collected; ``first`` is where it stopped.

        Things that an earlier test of the node also needed are not named again.
        """
        found = self._found.setdefault(node.name, {})
        known = len(found)
        found.setdefault(first.what)
        # Without a door there is no evidence at all; naming every piece would not help.
        if node.evidence.door.kind != "none" and len(self._found) <= MAX_NODES:
            _complete(ask, node, found)
        return list(found)[known:]


def _complete(ask: Ask, node: GpuNode, found: dict[str, None]) -> None:
    while len(found) < MAX_THINGS:
        assumed = _AssumingCluster(node.cluster, _Assuming(node.evidence, frozenset(found)))
        what = _next(ask, GpuNode(node.name, assumed))
        if what is None or what in found:
            return
        found[what] = None


def _next(ask: Ask, node: GpuNode) -> str | None:
    """Return what a test stops at, ``None`` if it finishes or cannot go on.

    What it notes on the way rests on an assumption, and is forgotten.
    """
    token = LATENT.set([])
    try:
        ask(node)
    except NotInEvidence as error:
        return error.what
    except (GpuError, AssertionError, *_MISLED):
        return None
    finally:
        LATENT.reset(token)
    return None


class _Assuming:
    """A node's evidence in which some things that were not collected count as absent."""

    def __init__(self, evidence: NodeEvidence, absent: frozenset[str]) -> None:
        self._evidence = evidence
        self._absent = absent
        # A fact may word its error itself; the missing path comes last in it.
        self._paths = frozenset(what.rpartition(" ")[2] for what in absent)
        self.name = evidence.name
        self.door: Door = evidence.door

    def read(self, path: str) -> bytes | None:
        """Return a file's bytes."""
        return self._or_none(partial(self._evidence.read, path), path)

    def entry(self, path: str) -> Entry | None:
        """Return a path's metadata."""
        return self._or_none(partial(self._evidence.entry, path), path)

    def names(self, directory: str) -> Sequence[str] | None:
        """Return the names in a directory."""
        return self._or_none(partial(self._evidence.names, directory), directory)

    def elf(self, path: str) -> ElfSummary | None:
        """Return the summary of an ELF file."""
        return self._or_none(partial(self._evidence.elf, path), path)

    def resolve(self, path: str) -> str:
        """Return a path with its links followed."""
        return self._evidence.resolve(path)

    @property
    def commands(self) -> Sequence[CommandResult]:
        """Every command that was run."""
        return self._evidence.commands

    @property
    def nvml(self) -> Mapping[str, Any] | None:
        """NVML's answers."""
        return self._evidence.nvml

    def outcome(self, kind: str) -> Mapping[str, Any]:
        """Return what happened to the suite's own objects."""
        return self._evidence.outcome(kind)

    def assumes(self, what: str) -> bool:
        """Return whether something counts as absent."""
        return what in self._absent

    def _or_none(self, look: Callable[[], _T | None], path: str) -> _T | None:
        try:
            return look()
        except NotInEvidence as error:
            if error.what in self._absent or path in self._paths:
                return None
            raise


class _AssumingCluster:
    """The cluster of a node for which some things count as absent."""

    def __init__(self, cluster: ClusterEvidence, node: _Assuming) -> None:
        self._cluster = cluster
        self._node = node
        self.title = cluster.title
        self.taken: datetime = cluster.taken
        self.suite = cluster.suite
        self.asked: Asked = cluster.asked
        self.memory = Memory()

    def objects(self, resource: str) -> Sequence[KubeObject]:
        """Return all objects of a resource, none if they were not collected."""
        try:
            return self._cluster.objects(resource)
        except NotInEvidence as error:
            if self._node.assumes(error.what):
                return ()
            raise

    def node(self, name: str) -> NodeEvidence:
        """Return a node's evidence."""
        return self._node if name == self._node.name else self._cluster.node(name)
