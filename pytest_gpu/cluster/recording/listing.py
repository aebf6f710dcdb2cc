"""``listing.yaml``: metadata of a node's paths, and which directories were listed whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_gpu.cluster.recording import shapes, yaml_io, yaml_writer
from pytest_gpu.errors import RecordingError
from pytest_gpu.evidence import Entry

KINDS = ("file", "directory", "symlink", "char", "block", "socket", "fifo")

MAX_PATH = 4096
"""Most characters of a path, as many as Linux takes (path_resolution(7))."""

MAX_PARTS = 100
"""Most folders above a path: each becomes a path of its own."""

_KEYS = ("complete", "absent", "entries")
_ENTRY_KEYS = ("kind", "mode", "mtime", "size", "target", "device")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What one ``listing.yaml`` says; ``complete`` and ``absent`` hold clean absolute paths."""

    complete: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    entries: tuple[Entry, ...] = ()


def clean(path: str, where: str) -> str:
    """Return an absolute path without double, single-dot and trailing parts.

    Raises:
        RecordingError: it is relative, contains ``..``, or is longer than any path of Linux.
    """
    if is_too_long(path):
        limit = f"{MAX_PATH:,} characters or {MAX_PARTS} folders"
        raise RecordingError(f"{where}: a path has more than {limit}")
    parts = path.split("/")
    if not path.startswith("/") or ".." in parts or "\0" in path:
        raise RecordingError(f"{where}: {path!r} must be an absolute path without '..'")
    return "/" + "/".join(part for part in parts if part not in ("", "."))


def is_too_long(path: str) -> bool:
    """Say whether a path is longer or deeper than any that a node needs."""
    return len(path) > MAX_PATH or path.count("/") > MAX_PARTS


def directories_above(*paths: Iterable[str]) -> set[str]:
    """Return the directories that recorded paths imply."""
    found = {"/"}
    for group in paths:
        for path in group:
            above = path.rpartition("/")[0]
            while above and above not in found:
                found.add(above)
                above = above.rpartition("/")[0]
    return found


def parse_listing(data: bytes, where: str) -> Listing:
    """Return what a ``listing.yaml`` says.

    Raises:
        RecordingError: something in it is wrong.
    """
    raw = shapes.mapping(yaml_io.load(data, where) or {}, where, _KEYS)
    entries = shapes.mapping(raw.get("entries") or {}, f"{where}: entries")
    return Listing(
        complete=_paths(raw.get("complete"), f"{where}: complete"),
        absent=_paths(raw.get("absent"), f"{where}: absent"),
        entries=tuple(_entry(path, found, where) for path, found in entries.items()),
    )


def write_listing(listing: Listing) -> bytes:
    """Return a listing as ``listing.yaml``."""
    raw: dict[str, Any] = {}
    if listing.complete:
        raw["complete"] = list(listing.complete)
    if listing.absent:
        raw["absent"] = list(listing.absent)
    if listing.entries:
        raw["entries"] = {entry.path: _raw(entry) for entry in listing.entries}
    return yaml_writer.dump(raw)


def _paths(value: Any, where: str) -> tuple[str, ...]:
    return tuple(clean(path, where) for path in shapes.texts(value, where))


def _entry(path: str, value: Any, where: str) -> Entry:
    where = f"{where}: {path}"
    raw = shapes.mapping(value, where, _ENTRY_KEYS)
    kind = raw.get("kind")
    if kind not in KINDS:
        raise RecordingError(f"{where}: kind is {kind!r}, must be one of {', '.join(KINDS)}")
    if (kind == "symlink") != ("target" in raw):
        raise RecordingError(f"{where}: only a symlink has a target, and it must have one")
    return Entry(
        path=clean(path, where),
        kind=kind,
        mode=shapes.octal(raw["mode"], f"{where}: mode") if "mode" in raw else None,
        mtime=_mtime(raw["mtime"], f"{where}: mtime") if "mtime" in raw else None,
        size=shapes.integer(raw["size"], f"{where}: size") if "size" in raw else None,
        target=shapes.text(raw["target"], f"{where}: target") if "target" in raw else None,
        device=_device(raw["device"], f"{where}: device") if "device" in raw else None,
    )


def _mtime(value: Any, where: str) -> float:
    if isinstance(value, str):
        return shapes.moment(value, where).timestamp()
    return shapes.seconds(value, where)


def _device(value: Any, where: str) -> tuple[int, int]:
    numbers = [shapes.integer(item, where) for item in shapes.items(value, where)]
    if len(numbers) != 2:
        raise RecordingError(f"{where}: must be [major, minor]")
    return numbers[0], numbers[1]


def _raw(entry: Entry) -> Mapping[str, Any]:
    found: dict[str, Any] = {"kind": entry.kind}
    if entry.mode is not None:
        found["mode"] = f"{entry.mode:04o}"
    if entry.mtime is not None:
        found["mtime"] = entry.mtime
    if entry.size is not None:
        found["size"] = entry.size
    if entry.target is not None:
        found["target"] = entry.target
    if entry.device is not None:
        found["device"] = list(entry.device)
    return found
