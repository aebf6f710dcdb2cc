"""What the facts would look up and cannot yet: they themselves say what is still to be asked.

A fact is worked out on what is known so far; what nobody looked at counts as absent for the
moment, and is noted. So a survey never falls behind the checks it is made for.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache, partial
from types import ModuleType
from typing import Any, TypeVar

from pytest_gpu.asked import Asked
from pytest_gpu.diagnose import (
    access,
    cdi,
    cdi_devices,
    cgroup_driver,
    cgroup_wanted,
    cri,
    docker,
    driver,
    gpu_health,
    handler,
    hardware,
    injection,
    next_toolkit,
    other_program,
    overwritten,
    restart,
    runtime_binary,
    runtime_libraries,
    runtime_program,
    sandbox,
    template_missing,
    templates,
    toolkit,
    toolkit_access,
    toolkit_env,
)
from pytest_gpu.errors import NotInEvidence
from pytest_gpu.evidence import (
    ClusterEvidence,
    CommandResult,
    Door,
    ElfSummary,
    Entry,
    KubeObject,
    NodeEvidence,
)
from pytest_gpu.node.containerd import others
from pytest_gpu.node.gpu_node import GpuNode

_T = TypeVar("_T")
Look = Callable[[GpuNode], object]

CHECKS: tuple[ModuleType, ...] = (
    access,
    cdi,
    cdi_devices,
    cgroup_driver,
    cgroup_wanted,
    cri,
    docker,
    driver,
    gpu_health,
    handler,
    hardware,
    injection,
    next_toolkit,
    other_program,
    overwritten,
    restart,
    runtime_binary,
    runtime_libraries,
    runtime_program,
    sandbox,
    template_missing,
    templates,
    toolkit,
    toolkit_access,
    toolkit_env,
)
"""The modules whose questions a visit can answer; the others ask Kubernetes."""

_FACTS: tuple[Look, ...] = (
    lambda node: node.driver.module_files,
    lambda node: node.driver.libcuda,
    lambda node: node.driver.nodes,
    lambda node: node.driver.majors,
    lambda node: node.cdi,
    lambda node: others(node.containerd, node.processes, node.evidence),
    injection.default_evidence,
)


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
        """Return a file's bytes; wish for it."""
        try:
            return self._evidence.read(path)
        except NotInEvidence:
            self.files[path] = None
            return None

    def entry(self, path: str) -> Entry | None:
        """Return a path's metadata; wish for it."""
        try:
            return self._evidence.entry(path)
        except NotInEvidence:
            self.entries[path] = None
            return None

    def names(self, directory: str) -> Sequence[str] | None:
        """Return the names in a directory; wish for them."""
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
        """NVML's answers; asked last in any case."""
        return self._evidence.nvml

    def elf(self, path: str) -> ElfSummary | None:
        """Return the summary of an ELF file; wish for it."""
        try:
            return self._evidence.elf(path)
        except NotInEvidence:
            self.elves[path] = None
            return None

    def outcome(self, kind: str) -> Mapping[str, Any]:
        """Return what happened to the suite's own objects: nothing yet."""
        return self._evidence.outcome(kind)


class WishingCluster:
    """The cluster around one node that notes its wishes."""

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


def wishes(cluster: ClusterEvidence, evidence: NodeEvidence) -> tuple[Wishes, GpuNode]:
    """Return what all facts would look up and cannot, and the node as known so far."""
    noted = Wishes(evidence)
    node = GpuNode(evidence.name, WishingCluster(cluster, noted))
    for look in looks():
        sensible(partial(look, node))
    return noted, node


def sensible(look: Callable[[], _T]) -> _T | None:
    """Return what a look-up returns, ``None`` where too little is known for it to make sense.

    Told for the moment that things are absent, or given a damaged file, a fact may raise anything.
    What stands in the way of the facts themselves, their tests meet too, and say so.
    """
    try:
        return look()
    except Exception:
        return None


@cache
def looks() -> tuple[Look, ...]:
    """Return every fact and every check that asks one node and nothing else."""
    return (*_FACTS, *_checks())


def _checks() -> Iterator[Look]:
    for module in CHECKS:
        for name, function in inspect.getmembers(module, inspect.isfunction):
            own = function.__module__ == module.__name__ and not name.startswith("_")
            if own and list(inspect.signature(function).parameters) == ["node"]:
                yield _drained(function)


def _drained(function: Callable[[GpuNode], Any]) -> Look:
    """Return a look that also makes a generator look."""

    def look(node: GpuNode) -> object:
        found = function(node)
        return tuple(found) if inspect.isgenerator(found) else found

    return look
