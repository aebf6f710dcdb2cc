"""What the checks would look up and cannot yet: this is what the next round asks.

A check runs on what is known so far; what was not collected yet counts as absent for the moment,
and is noted. So a survey always asks what the checks need.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from pytest_gpu.asked import Asked
from pytest_gpu.checks import asked_by_visits
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
from pytest_gpu.gpu_node import Node
from pytest_gpu.memory import Memory
from pytest_gpu.parsing import MalformedError

_T = TypeVar("_T")

EXPECTED = (GpuError, MalformedError)
"""What a check may raise on evidence that is incomplete or damaged."""


class Wishes:
    """A node's evidence that notes what it does not have."""

    def __init__(self, evidence: NodeEvidence) -> None:
        self._evidence = evidence
        self.name = evidence.name
        self.door: Door = evidence.door
        self.files: dict[str, None] = {}
        self.entries: dict[str, None] = {}
        self.directories: dict[str, None] = {}
        self.elves: dict[str, None] = {}

    def read(self, path: str) -> bytes | None:
        """Return a file's bytes; note the file if it is missing."""
        try:
            return self._evidence.read(path)
        except NotInEvidence:
            self.files[path] = None
            return None

    def entry(self, path: str) -> Entry | None:
        """Return a path's metadata; note the path if they are missing."""
        try:
            return self._evidence.entry(path)
        except NotInEvidence:
            self.entries[path] = None
            return None

    def names(self, directory: str) -> Sequence[str] | None:
        """Return the names in a directory; note it if they are missing."""
        try:
            return self._evidence.names(directory)
        except NotInEvidence:
            self.directories[directory] = None
            return None

    def resolve(self, path: str) -> str:
        """Return a path with its links followed; wish to know whether it is one."""
        self.entry(path)
        return self._evidence.resolve(path)

    @property
    def commands(self) -> Sequence[CommandResult]:
        """Every command that was run."""
        return self._evidence.commands

    @property
    def nvml(self) -> Mapping[str, Any] | None:
        """NVML's answers; always asked last."""
        return self._evidence.nvml

    def elf(self, path: str) -> ElfSummary | None:
        """Return the summary of an ELF file; note the file if it is missing."""
        try:
            return self._evidence.elf(path)
        except NotInEvidence:
            self.elves[path] = None
            return None

    def outcome(self, kind: str) -> Mapping[str, Any]:
        """Return what happened to the suite's own objects: nothing yet."""
        return self._evidence.outcome(kind)


class WishingCluster:
    """The cluster of one node whose evidence notes what is missing."""

    def __init__(self, cluster: ClusterEvidence, node: Wishes) -> None:
        self._cluster = cluster
        self._node = node

    @property
    def title(self) -> str:
        """What the user asked for."""
        return self._cluster.title

    @property
    def taken(self) -> datetime:
        """When the evidence was taken."""
        return self._cluster.taken

    @property
    def memory(self) -> Memory:
        """What was worked out from the cluster's objects, which are the same for every node."""
        return self._cluster.memory

    @property
    def suite(self) -> str:
        """The version of pytest-gpu that took the evidence."""
        return self._cluster.suite

    @property
    def asked(self) -> Asked:
        """The questions that were asked when it was taken."""
        return self._cluster.asked

    def objects(self, resource: str) -> Sequence[KubeObject]:
        """Return all objects of a resource."""
        return self._cluster.objects(resource)

    def node(self, name: str) -> NodeEvidence:
        """Return a node's evidence."""
        return self._node if name == self._node.name else self._cluster.node(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wished:
    """The node as known so far, what it lacks, and our own bugs by the check that raised them."""

    node: Node
    noted: Wishes
    errors: dict[str, str]

    def attempt(self, name: str, look: Callable[[], _T]) -> _T | None:
        """Return what a look-up returns, ``None`` if too little is known for it.

        A bug of ours fails only this look-up: it is noted under ``name``, and the visit goes on.
        """
        with suppress(*EXPECTED):
            try:
                return look()
            except EXPECTED:
                raise
            except Exception as error:
                self.errors[name] = f"{type(error).__name__}: {error}"
        return None


def wishes(cluster: ClusterEvidence, evidence: NodeEvidence) -> Wished:
    """Return what all checks would look up and cannot, and the node as known so far."""
    noted = Wishes(evidence)
    node = Node(evidence.name, WishingCluster(cluster, noted))
    wished = Wished(node=node, noted=noted, errors={})
    for name, each in asked_by_visits().items():
        wished.attempt(name, partial(_worked_out, each, node))
    return wished


def _worked_out(each: Callable[[Node], object], node: Node) -> object:
    """Return what a check finds; if it yields its findings, all of them."""
    found = each(node)
    return tuple(found) if isinstance(found, Iterator) else found
