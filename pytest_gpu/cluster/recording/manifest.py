"""``recording.yaml``: what a recording is, its base, and what it removes from the base."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pytest_gpu.asked import Asked
from pytest_gpu.cluster.recording import shapes, yaml_io
from pytest_gpu.cluster.recording.folder import Folder, printable
from pytest_gpu.cluster.recording.kinds import FILES_OF_KIND, KINDS, NODE_KINDS, RESOURCE_KINDS
from pytest_gpu.errors import RecordingError

FORMAT = 1
"""The format that is read and written."""

FILE = "recording.yaml"

EVERY = "*"
"""Means every node in a removal; no node can have this name."""

_KEYS = ("format", "taken", "suite", "base", "nodes", "absent", "asked", "selected", "note")
_WHOLE = ("commands.yaml", "elf.yaml", "nvml.json", "outcomes/sandbox.yaml", "outcomes/pod.yaml")
_NODE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")
_PLURAL = re.compile(r"[a-z0-9][a-z0-9.-]{0,252}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What ``recording.yaml`` says.

    ``taken`` may be missing in an overlay; ``removed`` are the lines under ``absent:``, with a
    kind of files replaced by the files; ``renamed`` maps a node's name to its name in the base;
    ``asked`` are the questions that were asked, ``None`` if it does not say; ``selected`` are the
    nodes under test, ``None`` for those with a sign of a GPU.
    """

    taken: datetime | None
    suite: str
    base: str | None
    removed: frozenset[str]
    note: str = ""
    asked: Asked = None
    selected: tuple[str, ...] | None = None
    renamed: Mapping[str, str] = field(default_factory=dict)

    def removed_below(self, prefix: str) -> tuple[str, ...]:
        """Return what follows ``prefix`` in the removed lines that begin with it, sorted."""
        return tuple(
            line.removeprefix(prefix) for line in sorted(self.removed) if line.startswith(prefix)
        )

    def removes_file(self, node: str, name: str) -> bool:
        """Return whether one file of a node, or the whole node, is removed from the base."""
        return f"nodes/{node}" in self.removed or self.removes_kind(node, name)

    def removes_kind(self, node: str, kind: str) -> bool:
        """Return whether a file or a kind of commands is removed, of this node or of every one."""
        return any(f"nodes/{each}/{kind}" in self.removed for each in (node, EVERY))


def read_manifest(folder: Folder) -> Manifest:
    """Return a recording's manifest.

    Raises:
        RecordingError: there is none, it is of a newer format, or something in it is wrong.
    """
    data = folder.read(FILE)
    if data is None:
        raise RecordingError(f"{folder.label}: is not a recording: it has no {FILE}")
    where = folder.where(FILE)
    found = yaml_io.load(data, where)
    _check_format(shapes.mapping(found, where).get("format"), where)
    raw = shapes.mapping(found, where, _KEYS)
    lines = shapes.texts(raw.get("absent"), f"{where}: absent")
    return Manifest(
        taken=shapes.moment(raw["taken"], f"{where}: taken") if "taken" in raw else None,
        suite=shapes.text(raw.get("suite", ""), f"{where}: suite"),
        base=shapes.text(raw["base"], f"{where}: base") if "base" in raw else None,
        removed=frozenset(each for line in lines for each in _removals(line, f"{where}: absent")),
        note=shapes.text(raw.get("note", ""), f"{where}: note"),
        asked=frozenset(shapes.texts(raw["asked"], f"{where}: asked")) if "asked" in raw else None,
        selected=_selected(raw, f"{where}: selected"),
        renamed=_renamed(raw, f"{where}: nodes"),
    )


def check_node_name(name: str, where: str = "") -> str:
    """Return a node's name if it can be a folder's name; ``where`` begins the message.

    Raises:
        RecordingError: it cannot; no name that Kubernetes accepts is refused.
    """
    if not _NODE_NAME.fullmatch(name):
        wrong = f"{printable(name)!r} is not a valid node name: use letters, digits, '.', '-', '_'"
        raise RecordingError(f"{where}: {wrong}" if where else wrong)
    return name


def check_plural(resource: str, where: str = "") -> str:
    """Return a resource's plural name if it can be a file's name; ``where`` begins the message.

    Raises:
        RecordingError: it cannot.
    """
    if not _PLURAL.fullmatch(resource):
        wrong = f"{printable(resource)!r} is not the plural name of a resource, such as pods"
        raise RecordingError(f"{where}: {wrong}" if where else wrong)
    return resource


def _check_format(found: object, where: str) -> None:
    if isinstance(found, bool) or not isinstance(found, int) or found < 1:
        raise RecordingError(f"{where}: format is {found!r}, must be {FORMAT}")
    if found > FORMAT:
        raise RecordingError(
            f"{where}: format {found} needs a newer pytest-gpu; this one reads up to {FORMAT}"
        )


def _selected(raw: Mapping[str, Any], where: str) -> tuple[str, ...] | None:
    if "selected" not in raw:
        return None
    names = shapes.texts(raw["selected"], where)
    if not names:
        raise RecordingError(f"{where}: is empty; name at least one node, or leave it out")
    return tuple(check_node_name(name, where) for name in names)


def _renamed(raw: Mapping[str, Any], where: str) -> Mapping[str, str]:
    """Return the base's node names by the new ones; no name may occur twice."""
    found = shapes.mapping(raw.get("nodes") or {}, where)
    if found and "base" not in raw:
        raise RecordingError(f"{where}: renames the nodes of a base, but there is no base")
    names = {
        check_node_name(new, where): check_node_name(shapes.text(old, f"{where}: {new}"), where)
        for new, old in found.items()
    }
    if len(set(names.values())) < len(names):
        raise RecordingError(
            f"{where}: gives two names to one node; use 'like' in node.yaml instead"
        )
    return names


def _removals(line: str, where: str) -> Sequence[str]:
    """Return what a line under ``absent:`` removes; refuse a typo, which would remove nothing."""
    if line in RESOURCE_KINDS:
        return (f"kubernetes/{line}.yaml",)
    if line in KINDS:
        return _of_node(EVERY, line)
    head, _, rest = line.partition("/")
    name, _, below = rest.partition("/")
    if head == "nodes" and _is_node_removal(below):
        kept = below if below.startswith("commands/") else below.rstrip("/")
        return _of_node(check_node_name(name, where), kept)
    if head == "kubernetes" and _is_object_removal(name, below):
        return (f"kubernetes/{check_plural(name, where)}" + (f"/{below}" if below else ""),)
    raise RecordingError(
        f"{where}: {printable(line)!r} cannot be removed; write a kind "
        f"({', '.join(KINDS)}), nodes/NODE, nodes/NODE/KIND, nodes/NODE/files/PATH, "
        f"nodes/NODE/commands/ARGV, nodes/NODE/{{{','.join(_WHOLE)}}}, "
        "kubernetes/PLURAL/[NAMESPACE/]NAME or kubernetes/PLURAL.yaml"
    )


def _of_node(node: str, below: str) -> Sequence[str]:
    if not below:
        return (f"nodes/{node}",)
    return tuple(f"nodes/{node}/{name}" for name in FILES_OF_KIND.get(below, (below,)))


def _is_node_removal(below: str) -> bool:
    folder, _, path = below.partition("/")
    if folder == "files":
        return bool(path.strip("/")) and ".." not in path.split("/")
    known = below in _WHOLE or below in NODE_KINDS
    return not below or known or (folder == "commands" and bool(path))


def _is_object_removal(name: str, below: str) -> bool:
    parts = below.split("/")
    return name.endswith(".yaml") if not below else len(parts) <= 2 and all(parts)
