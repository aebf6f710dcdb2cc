"""``recording.yaml``: what a recording is, what it builds on and what it removes from there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from pytest_gpu.cluster.recording import shapes, yaml_io
from pytest_gpu.cluster.recording.folder import Folder, printable
from pytest_gpu.errors import RecordingError

FORMAT = 1
"""The format that is read and written."""

FILE = "recording.yaml"

_KEYS = ("format", "taken", "suite", "base", "absent", "note")
_WHOLE = ("commands.yaml", "elf.yaml", "nvml.json", "outcomes/sandbox.yaml", "outcomes/pod.yaml")
_NODE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")
_PLURAL = re.compile(r"[a-z0-9][a-z0-9.-]{0,252}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """``taken`` may be missing in an overlay; ``removed`` are the lines under ``absent:``."""

    taken: datetime | None
    suite: str
    base: str | None
    removed: frozenset[str]
    note: str = ""

    def removed_below(self, prefix: str) -> tuple[str, ...]:
        """Return what stands behind ``prefix`` in the lines that begin with it, sorted."""
        return tuple(
            line.removeprefix(prefix) for line in sorted(self.removed) if line.startswith(prefix)
        )

    def removes_file(self, node: str, name: str) -> bool:
        """Say whether one file of a node, or the whole node, is removed from the base."""
        return f"nodes/{node}" in self.removed or f"nodes/{node}/{name}" in self.removed


def read_manifest(folder: Folder) -> Manifest:
    """Return a recording's manifest.

    Raises:
        RecordingError: there is none, it is of a newer format, or something in it is wrong.
    """
    data = folder.read(FILE)
    if data is None:
        raise RecordingError(f"{folder.label}: is no recording: it has no {FILE}")
    where = folder.where(FILE)
    found = yaml_io.load(data, where)
    _check_format(shapes.mapping(found, where).get("format"), where)
    raw = shapes.mapping(found, where, _KEYS)
    lines = shapes.texts(raw.get("absent"), f"{where}: absent")
    return Manifest(
        taken=shapes.moment(raw["taken"], f"{where}: taken") if "taken" in raw else None,
        suite=str(raw.get("suite", "")),
        base=shapes.text(raw["base"], f"{where}: base") if "base" in raw else None,
        removed=frozenset(_removal(line, f"{where}: absent") for line in lines),
        note=shapes.text(raw.get("note", ""), f"{where}: note"),
    )


def check_node_name(name: str, where: str = "") -> str:
    """Return a node's name if it can be a folder's name; ``where`` begins the message.

    Raises:
        RecordingError: it cannot; no name that Kubernetes accepts is refused.
    """
    if not _NODE_NAME.fullmatch(name):
        wrong = f"{printable(name)!r} is no node name: letters, digits, '.', '-', '_'"
        raise RecordingError(f"{where}: {wrong}" if where else wrong)
    return name


def check_plural(resource: str, where: str = "") -> str:
    """Return a resource's plural name if it can be a file's name; ``where`` begins the message.

    Raises:
        RecordingError: it cannot.
    """
    if not _PLURAL.fullmatch(resource):
        wrong = f"{printable(resource)!r} is no resource's plural, such as pods"
        raise RecordingError(f"{where}: {wrong}" if where else wrong)
    return resource


def _check_format(found: object, where: str) -> None:
    if isinstance(found, bool) or not isinstance(found, int) or found < 1:
        raise RecordingError(f"{where}: format is {found!r}, must be {FORMAT}")
    if found > FORMAT:
        raise RecordingError(
            f"{where}: made by a newer pytest-gpu: format {found}, this one reads up to {FORMAT}"
        )


def _removal(line: str, where: str) -> str:
    """Check a line under ``absent:``: one with a typo would remove nothing, unnoticed."""
    head, _, rest = line.partition("/")
    name, _, below = rest.partition("/")
    if head == "nodes" and _is_node_removal(below):
        kept = below if below.startswith("commands/") else below.rstrip("/")
        return f"nodes/{check_node_name(name, where)}/{kept}".rstrip("/" if not kept else "")
    if head == "kubernetes" and _is_object_removal(name, below):
        return f"kubernetes/{check_plural(name, where)}" + (f"/{below}" if below else "")
    raise RecordingError(
        f"{where}: {printable(line)!r} is nothing that can be removed: nodes/NODE, "
        f"nodes/NODE/files/PATH, nodes/NODE/commands/ARGV, nodes/NODE/{{{','.join(_WHOLE)}}}, "
        "kubernetes/PLURAL/[NAMESPACE/]NAME or kubernetes/PLURAL.yaml"
    )


def _is_node_removal(below: str) -> bool:
    folder, _, path = below.partition("/")
    if folder == "files":
        return bool(path.strip("/")) and ".." not in path.split("/")
    return not below or below in _WHOLE or (folder == "commands" and bool(path))


def _is_object_removal(name: str, below: str) -> bool:
    parts = below.split("/")
    return name.endswith(".yaml") if not below else len(parts) <= 2 and all(parts)
