"""Metadata and ELF summaries as the probe sends them: every value is checked where it enters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_gpu.cluster.recording.listing import KINDS, is_too_long
from pytest_gpu.evidence import ElfSummary, Entry

LAST_SECOND = 60e9
"""Seconds from 1970 to about the year 3870; dates end in the year 9999."""

MAX_NUMBER = (1 << 63) - 1
"""The largest number in metadata: sizes, times and device numbers of Linux have 64 bits."""


def entry_of(path: str, raw: Any) -> Entry | None:
    """Return metadata as the probe sends it, ``None`` if it sent none that is valid."""
    if not isinstance(raw, dict) or raw.get("kind") not in KINDS or not _is_plain(path):
        return None
    device, target = raw.get("device"), raw.get("target")
    return Entry(
        path=path,
        kind=str(raw["kind"]),
        mode=_number(raw.get("mode")),
        mtime=None if raw.get("mtime") is None else seconds_of(raw["mtime"]),
        size=_number(raw.get("size")),
        target=str(target) if raw["kind"] == "symlink" else None,
        device=(whole_of(device[0]), whole_of(device[1])) if device else None,
    )


def _number(value: Any) -> int | None:
    return None if value is None else whole_of(value)


def whole_of(value: Any) -> int:
    """Return a whole number that Linux can have meant.

    Raises:
        ValueError: it is too large, or not a number.
    """
    number = int(value)
    if abs(number) > MAX_NUMBER:
        raise ValueError("a number has more than 64 bits")
    return number


def seconds_of(value: Any) -> float:
    """Return a time that a date can be made of.

    Raises:
        ValueError: it is not a number, or too far from 1970.
    """
    seconds = float(value)
    if not abs(seconds) < LAST_SECOND:
        raise ValueError(f"{seconds!r} is not a time")
    return seconds


def _is_plain(path: str) -> bool:
    """Return whether a path can be used in a recording: text without NUL and without ``..``."""
    if not path.startswith("/") or "\0" in path or is_too_long(path):
        return False
    return ".." not in path.split("/")


def elf_of(path: str, raw: Mapping[str, Any]) -> ElfSummary:
    """Return an ELF summary as the probe sends it."""
    versions: Mapping[str, Sequence[str]] = raw.get("versions") or {}
    return ElfSummary(
        path=path,
        machine=str(raw.get("machine")),
        interpreter=str(raw["interpreter"]) if raw.get("interpreter") else None,
        needed=tuple(map(str, raw.get("needed") or ())),
        versions={str(library): tuple(map(str, found)) for library, found in versions.items()},
        defines=tuple(map(str, raw.get("defines") or ())),
        runpath=tuple(map(str, raw.get("runpath") or ())),
        error=str(raw.get("error") or ""),
    )
