"""Writes recordings: the only module that knows how the format is laid out on disk.

Everything is redacted before it is written, so a recording never holds what must not be shared.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pytest_gpu import private_files
from pytest_gpu.asked import Asked
from pytest_gpu.cluster.recording import node_files, yaml_writer
from pytest_gpu.cluster.recording.archive import pack
from pytest_gpu.cluster.recording.listing import Listing, clean, write_listing
from pytest_gpu.cluster.recording.manifest import FILE, FORMAT, check_node_name, check_plural
from pytest_gpu.cluster.redaction.redact import (
    redact_command,
    redact_file,
    redact_object,
    redact_text,
    redact_value,
)
from pytest_gpu.errors import RecordingError
from pytest_gpu.evidence import CommandResult, Door, ElfSummary, Entry, KubeObject
from pytest_gpu.text.naming import natural

ARCHIVES = (".tar.gz", ".tgz")
"""Suffixes of a path that ask for an archive instead of a folder."""


class NodeRecorder:
    """Writes one node's evidence; what is added in pieces is written by :meth:`close`.

    Args:
        folder: the node's own folder, ``nodes/NAME`` of a recording; it is created.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._recording = folder.parents[1]
        self._entries: dict[str, Entry] = {}
        self._complete: dict[str, None] = {}
        self._absent: dict[str, None] = {}
        self._commands: list[Mapping[str, Any]] = []
        self._elves: dict[str, Mapping[str, Any]] = {}
        private_files.make_folder(folder, within=self._recording)

    def add_door(self, door: Door, *, like: str | None = None) -> None:
        """Note how the evidence was collected, and the node whose evidence this one shares."""
        reasoned = Door(kind=door.kind, reason=redact_text(door.reason))
        self._write("node.yaml", node_files.write_head(like, reasoned))

    def add_file(self, path: str, content: bytes) -> None:
        """Write a regular file of the node, at its own absolute path.

        Raises:
            RecordingError: the path is not absolute, or cannot be written.
        """
        path = clean(path, "a recorded file")
        self._write(f"files{path}", redact_file(path, content))

    def add_entry(self, entry: Entry) -> None:
        """Note a path's metadata; for anything but a regular file that is all there is."""
        self._entries[clean(entry.path, "a recorded entry")] = entry

    def add_complete(self, directory: str) -> None:
        """Note that a directory was listed whole: what was not added is proven absent."""
        self._complete[clean(directory, "a recorded directory")] = None

    def add_absent(self, path: str) -> None:
        """Note that a path was looked for and is not there."""
        self._absent[clean(path, "an absent path")] = None

    def add_command(self, result: CommandResult) -> None:
        """Note what a command printed and how it ended."""
        self._commands.append(node_files.write_command(redact_command(result)))

    def add_elf(self, summary: ElfSummary) -> None:
        """Note what an ELF file needs and offers."""
        self._elves[clean(summary.path, "a recorded ELF file")] = node_files.write_elf(summary)

    def add_nvml(self, answers: Mapping[str, Any]) -> None:
        """Write what NVML answered."""
        self._write("nvml.json", yaml_writer.dump_json(redact_value(answers)))

    def add_outcome(self, kind: str, outcome: Mapping[str, Any]) -> None:
        """Write what happened to the suite's own objects: ``kind`` is sandbox or pod.

        Raises:
            RecordingError: there is no such kind.
        """
        if kind not in node_files.OUTCOMES:
            kinds = ", ".join(node_files.OUTCOMES)
            raise RecordingError(f"{kind!r} is not an outcome; outcomes are {kinds}")
        self._write(f"outcomes/{kind}.yaml", yaml_writer.dump(redact_value(outcome)))

    def close(self) -> None:
        """Write what was added in pieces."""
        listing = Listing(
            complete=tuple(self._complete),
            absent=tuple(self._absent),
            entries=tuple(self._entries.values()),
        )
        if listing != Listing():
            self._write("listing.yaml", write_listing(listing))
        if self._commands:
            self._write("commands.yaml", yaml_writer.dump(self._commands))
        if self._elves:
            self._write("elf.yaml", yaml_writer.dump(self._elves))

    def _write(self, relative: str, data: bytes) -> None:
        path = self._folder / relative
        try:
            private_files.make_folder(path.parent, within=self._recording)
            private_files.write(path, data)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise RecordingError(f"{path}: cannot be recorded: {why}") from None


class Recorder:
    """Writes a recording into an empty folder, piece by piece; nodes may come from threads.

    Args:
        folder: an empty folder, or one that does not exist yet.
        taken: when the evidence was taken, with a time zone.
        suite: the version of pytest-gpu that took it; this one's if not given.
        note: what a person should know about the recording.
        asked: the questions that were asked, ``None`` for all, even those added in the future.
        selected: the nodes under test, ``None`` for those with a sign of a GPU.

    Raises:
        RecordingError: the folder is not empty.
    """

    def __init__(  # noqa: PLR0913 - the keys of the manifest
        self,
        folder: Path,
        *,
        taken: datetime,
        suite: str | None = None,
        note: str = "",
        asked: Asked = None,
        selected: Iterable[str] | None = None,
    ) -> None:
        refuse_used(folder)
        private_files.make_folder(folder)
        self.folder = folder
        when = taken.astimezone(UTC).isoformat().replace("+00:00", "Z")
        head: dict[str, Any] = {"format": FORMAT, "taken": when, "suite": suite or _suite()}
        head |= {"asked": sorted(asked)} if asked is not None else {}
        head |= {"selected": sorted(selected, key=natural)} if selected is not None else {}
        head |= {"note": redact_text(note)} if note else {}
        private_files.write(folder / FILE, yaml_writer.dump(head))

    def add_objects(self, resource: str, objects: Iterable[KubeObject]) -> None:
        """Write a resource that was read whole, nodes in natural order; Secrets are left out.

        Raises:
            RecordingError: ``resource`` is not a plural name, or is ``secrets``.
        """
        if check_plural(resource) == "secrets":
            raise RecordingError("secrets are never recorded")
        redacted = (redact_object(item) for item in objects)
        items = [item for item in redacted if item is not None]
        if resource == "nodes":
            items.sort(key=lambda node: natural(str(node["metadata"]["name"])))
        path = self.folder / "kubernetes" / f"{resource}.yaml"
        private_files.make_folder(path.parent, within=self.folder)
        data = yaml_writer.dump({"apiVersion": "v1", "kind": "List", "items": items})
        private_files.write(path, data)

    def node(self, name: str) -> NodeRecorder:
        """Return the writer of one node's evidence; close it when everything is added.

        Raises:
            RecordingError: the name cannot be a folder's name.
        """
        return NodeRecorder(self.folder / "nodes" / check_node_name(name))


def publish(private: Path, to: Path, mtime: float) -> None:
    """Put a finished recording in its place, packed if the path asks for an archive."""
    if to.name.endswith(ARCHIVES):
        pack(private / "recording", private / "archive", mtime)
        (private / "archive").replace(to)
    else:
        (private / "recording").replace(to)


def refuse_used(path: Path) -> None:
    """Refuse a path that is already in use.

    Raises:
        RecordingError: it is a file, or a folder that is not empty.
    """
    is_empty_folder = path.is_dir() and not path.is_symlink() and not any(path.iterdir())
    if os.path.lexists(path) and not is_empty_folder:
        raise RecordingError(f"{path}: is in use; name a path that does not exist")


def _suite() -> str:
    try:
        return version("pytest-gpu")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return ""
