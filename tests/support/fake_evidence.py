"""In-memory evidence for unit tests: the same three answers as any other evidence gives.

A thing is what the test handed in; ``None`` is what it proved absent; everything else raises
``NotInEvidence``. A directory in ``complete`` was listed whole: any other name directly below it
is proven absent, and so is everything below something absent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath
from types import EllipsisType
from typing import Any

from pytest_gpu.asked import Asked
from pytest_gpu.errors import NotInEvidence
from pytest_gpu.evidence import CommandResult, Door, ElfSummary, Entry, KubeObject, NodeEvidence
from pytest_gpu.memory import Memory

Command = tuple[Sequence[str] | str, int, str, str]
"""argv (or one string, split at blanks), exit code, stdout, stderr."""

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


class FakeNode:
    """Evidence of one node; ``nvml=...`` (the default) means that nobody asked NVML."""

    def __init__(  # noqa: PLR0913 - one keyword for each kind of evidence
        self,
        name: str = "gpu-1",
        *,
        files: Mapping[str, bytes | str] | None = None,
        links: Mapping[str, str] | None = None,
        devices: Mapping[str, tuple[int, int]] | None = None,
        complete: Sequence[str] = (),
        absent: Sequence[str] = (),
        commands: Sequence[CommandResult | Command] = (),
        elf: Mapping[str, ElfSummary] | None = None,
        nvml: Mapping[str, Any] | EllipsisType | None = ...,
        mtimes: Mapping[str, float] | None = None,
        modes: Mapping[str, int | None] | None = None,
        outcomes: Mapping[str, Mapping[str, Any]] | None = None,
        door: Door | None = None,
    ) -> None:
        self.name = name
        self.door = door or Door(kind="pod")
        self.commands = tuple(_command(command) for command in commands)
        self._files = {path: _bytes(content) for path, content in (files or {}).items()}
        self._links = dict(links or {})
        self._devices = dict(devices or {})
        self._complete = frozenset(complete)
        self._absent = frozenset(absent)
        self._elf = dict(elf or {})
        self._nvml = nvml
        self._mtimes = dict(mtimes or {})
        self._modes = dict(modes or {})
        self._outcomes = dict(outcomes or {})
        self._known = self._all_paths()

    def read(self, path: str) -> bytes | None:
        """Return a file's bytes, ``None`` if it is proven absent."""
        real = self.resolve(path)
        if real in self._files:
            return self._files[real]
        self._prove_absent(real)
        return None

    def entry(self, path: str) -> Entry | None:
        """Return a path's own metadata, ``None`` if it is proven absent."""
        pure = PurePosixPath(path)
        real = str(PurePosixPath(self.resolve(str(pure.parent))) / pure.name)
        if real in self._known:
            return self._entry(real)
        self._prove_absent(real)
        return None

    def names(self, directory: str) -> Sequence[str] | None:
        """Return the sorted names in a complete directory, ``None`` if it is proven absent."""
        real = self.resolve(directory)
        if real not in self._complete:
            self._prove_absent(real)
            return None
        paths = (PurePosixPath(path) for path in self._known if path != "/")
        return tuple(sorted(path.name for path in paths if str(path.parent) == real))

    def resolve(self, path: str) -> str:
        """Return the path with every link followed, at most 40 of them like the kernel."""
        for _ in range(40):
            step = self._follow_once(path)
            if step == path:
                break
            path = step
        return path

    @property
    def nvml(self) -> Mapping[str, Any] | None:
        """What the test handed in; it must have handed in something."""
        if isinstance(self._nvml, EllipsisType):
            raise NotInEvidence(self.name, "NVML")
        return self._nvml

    def elf(self, path: str) -> ElfSummary | None:
        """Return an ELF summary, ``None`` if the file is proven absent."""
        real = self.resolve(path)
        if real not in self._elf:
            self._prove_absent(real)
        return self._elf.get(real)

    def outcome(self, kind: str) -> Mapping[str, Any]:
        """Return the outcome that the test handed in."""
        if kind not in self._outcomes:
            raise NotInEvidence(self.name, f"the {kind} outcome")
        return self._outcomes[kind]

    def _follow_once(self, path: str) -> str:
        pure = PurePosixPath(path)
        for part in [*reversed(pure.parents), pure]:
            if str(part) in self._links:
                target = part.parent / self._links[str(part)] / pure.relative_to(part)
                return _normal(target)
        return _normal(pure)

    def _prove_absent(self, real: str) -> None:
        """Raise unless the path is proven absent."""
        pure = PurePosixPath(real)
        if real not in self._known:
            for part in [pure, *pure.parents]:
                unlisted = str(part.parent) in self._complete and str(part) not in self._known
                if str(part) in self._absent or unlisted:
                    return
        raise NotInEvidence(self.name, real)

    def _entry(self, real: str) -> Entry:
        mtime = self._mtimes.get(real)
        if real in self._links:
            return Entry(path=real, kind="symlink", target=self._links[real], mtime=mtime)
        if real in self._devices:
            return Entry(path=real, kind="char", device=self._devices[real], mtime=mtime)
        if real in self._files or real in self._elf:
            size = len(self._files[real]) if real in self._files else None
            mode = self._modes.get(real, 0o755)
            return Entry(path=real, kind="file", mode=mode, mtime=mtime, size=size)
        return Entry(path=real, kind="directory", mtime=mtime)

    def _all_paths(self) -> frozenset[str]:
        given = {*self._files, *self._links, *self._devices, *self._elf, *self._mtimes}
        given |= self._complete
        parents = {str(parent) for path in given for parent in PurePosixPath(path).parents}
        return frozenset(given | parents)


class FakeCluster:
    """Evidence of a cluster; a resource that is not in ``objects`` was not asked for."""

    def __init__(
        self,
        *,
        nodes: Mapping[str, FakeNode] | None = None,
        objects: Mapping[str, Sequence[KubeObject]] | None = None,
        taken: datetime = NOON,
        title: str = "fake",
    ) -> None:
        self.title = title
        self.suite = ""
        self.asked: Asked = None
        self.taken = taken
        self.memory = Memory()
        self._nodes = dict(nodes or {})
        self._objects = dict(objects or {})

    def objects(self, resource: str) -> Sequence[KubeObject]:
        """Return the objects of a resource that the test handed in."""
        if resource not in self._objects:
            raise NotInEvidence(self.title, resource)
        return self._objects[resource]

    def node(self, name: str) -> NodeEvidence:
        """Return a node's evidence; one that was not handed in has no door."""
        nobody = FakeNode(name, door=Door(kind="none", reason="nobody went there"))
        return self._nodes.get(name, nobody)


def node_object(
    name: str = "gpu-1",
    *,
    labels: Mapping[str, str] | None = None,
    capacity: Mapping[str, str] | None = None,
    allocatable: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return a small Node object; ``allocatable`` is the capacity unless given."""
    capacity = dict(capacity or {})
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": dict(labels or {})},
        "status": {
            "capacity": capacity,
            "allocatable": capacity if allocatable is None else dict(allocatable),
            "conditions": [{"type": "Ready", "status": "True"}],
            "nodeInfo": {"containerRuntimeVersion": "containerd://1.7.24"},
        },
    }


def _command(command: CommandResult | Command) -> CommandResult:
    if isinstance(command, CommandResult):
        return command
    argv, code, stdout, stderr = command
    words = argv.split() if isinstance(argv, str) else argv
    return CommandResult(argv=tuple(words), exit=code, stdout=stdout, stderr=stderr)


def _bytes(content: bytes | str) -> bytes:
    return content.encode() if isinstance(content, str) else content


def _normal(path: PurePosixPath) -> str:
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and len(parts) > 1:
            parts.pop()
        elif part != "..":
            parts.append(part)
    return str(PurePosixPath(*parts))
