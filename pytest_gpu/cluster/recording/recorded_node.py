"""One node of a recording: everything is read when it is first needed, and kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytest_gpu.cluster.recording import outcome_shapes, shapes, yaml_io
from pytest_gpu.cluster.recording.folder import read_regular
from pytest_gpu.cluster.recording.manifest import check_node_name
from pytest_gpu.cluster.recording.node_files import OUTCOMES, NodeHead, parse_commands
from pytest_gpu.cluster.recording.node_parts import head_of, highest, is_removed, node_parts
from pytest_gpu.cluster.recording.overlay import Part
from pytest_gpu.cluster.recording.renaming import outcome_with_new_names
from pytest_gpu.cluster.recording.view import ABSENT, UNKNOWN, View
from pytest_gpu.errors import NotInEvidence, RecordingError
from pytest_gpu.evidence import CommandResult, Door, ElfSummary, Entry
from pytest_gpu.memory import lazy


class RecordedNode:
    """A node's evidence, from the recordings of a chain and the node it is ``like``.

    ``chain`` are the recordings, the lowest first; ``others`` finds another node by its name.
    """

    def __init__(
        self, name: str, chain: Sequence[Part], others: Callable[[str], RecordedNode]
    ) -> None:
        self.name = check_node_name(name)
        self._others = others
        self._parts = node_parts(name, chain)
        self._wholes: dict[str, Mapping[str, Any] | None] = {}

    def __repr__(self) -> str:
        return f"RecordedNode({self.name!r})"

    @lazy
    def recorded(self) -> bool:
        """Whether the recording has evidence of this node at all."""
        return any(part.exists for part in self._parts)

    @lazy
    def head(self) -> NodeHead:
        """What ``node.yaml`` says."""
        return head_of(self._parts)

    @lazy
    def door(self) -> Door:
        """The door through which this evidence came."""
        if not self.recorded:
            return Door(kind="none", reason="the recording has no evidence of this node")
        below = self.like.door if self.like else Door(kind="pod")
        kind = self.head.door or below.kind
        inherited = below.reason if kind == below.kind else ""
        return Door(kind=kind, reason=self.head.reason or inherited)

    @lazy
    def like(self) -> RecordedNode | None:
        """The node whose evidence this one shares, except for what this one has itself."""
        if self.head.like is None:
            return None
        other = self._others(self.head.like)
        if not other.recorded:
            where = f"nodes/{self.name}/node.yaml: like"
            raise RecordingError(f"{where}: the recording has no node {other.name!r}")
        return other

    @lazy
    def view(self) -> View:
        """The node's file system; nodes that add nothing to the one they are like share it."""
        shared = self.like.view if self.like else None
        parts = [part for part in self._parts if part.touches_paths]
        if shared is not None and not parts:
            return shared
        view = shared.copy() if shared is not None else View()
        for part in parts:
            part.lay_over(view)
        return view

    def read(self, path: str) -> bytes | None:
        """Return a regular file's bytes, ``None`` if it is proven that there is none.

        Raises:
            NotInEvidence: it was not collected, or its content was not kept.
        """
        real = self.view.resolve(path)
        if real is None:  # links that loop: open(2) fails with ELOOP, whatever is there
            return None
        source = self.view.files.get(real)
        if source is not None:
            return read_regular(source, f"nodes/{self.name}/files{real}")
        if self.view.kind(real) in (UNKNOWN, "file"):
            raise NotInEvidence(self.name, f"file {path}")
        return None

    def entry(self, path: str) -> Entry | None:
        """Return a path's own metadata (a link is not followed), ``None`` if proven absent.

        Raises:
            NotInEvidence: it was not collected.
        """
        real = self.view.resolve(path, last=False)
        kind = self.view.kind(real) if real else ABSENT
        if kind == UNKNOWN:
            raise NotInEvidence(self.name, path)
        if real is None or kind == ABSENT:
            return None
        return self.view.entries.get(real) or Entry(path=real, kind=kind)

    def names(self, directory: str) -> Sequence[str] | None:
        """Return the sorted names in a directory, ``None`` if there is no such directory.

        Raises:
            NotInEvidence: it was not listed whole.
        """
        real = self.view.resolve(directory)
        if real is None:
            return None
        if real in self.view.complete:
            return self.view.names(real)
        if self.view.kind(real) in (UNKNOWN, "directory"):
            raise NotInEvidence(self.name, f"the complete listing of {directory}")
        return None

    def resolve(self, path: str) -> str:
        """Return the path with every recorded symbolic link followed; itself if they loop."""
        return self.view.resolve(path) or path

    def elf(self, path: str) -> ElfSummary | None:
        """Return the summary of an ELF file, ``None`` if the file is proven absent.

        Raises:
            NotInEvidence: it was not read.
        """
        real = self.view.resolve(path)
        if real is not None and real in self.view.elves:
            return self.view.elves[real]
        if real is None or self.view.kind(real) == ABSENT:
            return None
        raise NotInEvidence(self.name, f"the ELF header of {path}")

    @lazy
    def commands(self) -> tuple[CommandResult, ...]:
        """Every command that was run on the node, in order.

        Raises:
            RecordingError: a ``commands.yaml`` is wrong.
        """
        found = {each.argv: each for each in self.like.commands} if self.like else {}
        for part in self._parts:
            if part.removes("commands.yaml"):
                found = {}
            found = {argv: each for argv, each in found.items() if not part.removes_command(argv)}
            data = part.data("commands.yaml")
            added = parse_commands(data, part.where("commands.yaml")) if data else ()
            found |= {each.argv: each for each in added}
        return tuple(found.values())

    @property
    def nvml(self) -> Mapping[str, Any] | None:
        """NVML's answers, ``None`` if there is no library.

        Raises:
            NotInEvidence: NVML was not asked.
        """
        found = self.whole("nvml.json")
        if found is None:
            raise NotInEvidence(self.name, "NVML's output")
        return found if found.get("library", "") is not None else None

    def outcome(self, kind: str) -> Mapping[str, Any]:
        """Return what happened to the suite's own objects: ``kind`` is sandbox or pod.

        Raises:
            NotInEvidence: nothing was started, or its outcome was not kept.
        """
        found = self.whole(f"outcomes/{kind}.yaml") if kind in OUTCOMES else None
        if found is None:
            raise NotInEvidence(self.name, f"the outcome of the suite's own {kind}")
        return found

    def check(self) -> None:
        """Read all that the recording says about the node now, except the content of its files.

        Raises:
            RecordingError: something in it is wrong.
        """
        _ = self.door, self.commands, self.view
        for name in ("nvml.json", *(f"outcomes/{kind}.yaml" for kind in OUTCOMES)):
            self.whole(name)

    def whole(self, name: str) -> Mapping[str, Any] | None:
        """Return a file that overlays replace whole, ``None`` if the recording has none."""
        if self._wholes.get(name) is None:
            # What is missing is looked up again: on a live cluster outcomes arrive one by one.
            self._wholes[name] = self._read_whole(name)
        return self._wholes[name]

    def _read_whole(self, name: str) -> Mapping[str, Any] | None:
        part = highest(self._parts, name)
        if part is not None:
            load = yaml_io.load_json if name.endswith(".json") else yaml_io.load
            found = load(part.data(name) or b"", part.where(name))
            whole = shapes.mapping(found, part.where(name))
            shapes.bounded(found, part.where(name))
            outcome_shapes.check(name, whole, part.where(name))
            return outcome_with_new_names(whole, part.above)
        if self.like and not is_removed(self._parts, name):
            return self.like.whole(name)
        return None
