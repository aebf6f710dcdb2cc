"""Metadata and ELF summaries as the probe sends them: every value is checked where it enters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from pytest_gpu.cluster.recording.listing import KINDS, is_too_long
from pytest_gpu.cluster.recording.shapes import LAST_SECOND, MAX_NUMBER
from pytest_gpu.cluster.visits.budget import MAX_OUTPUT
from pytest_gpu.evidence import CommandResult, ElfSummary, Entry

NOT_STARTED = (126, 127)
"""Exit codes of commands that were not started: they prove nothing about the node."""


def entry_of(path: str, raw: Any) -> Entry | None:
    """Return metadata as the probe sends it, ``None`` if it sent none that is valid."""
    if not isinstance(raw, dict) or raw.get("kind") not in KINDS or not is_plain(path):
        return None
    device, target = raw.get("device"), raw.get("target")
    return Entry(
        path=path,
        kind=str(raw["kind"]),
        mode=_number(raw.get("mode")),
        mtime=None if raw.get("mtime") is None else seconds_of(raw["mtime"]),
        size=_number(raw.get("size")),
        target=text_of(target) if raw["kind"] == "symlink" else None,
        device=(whole_of(device[0]), whole_of(device[1])) if device else None,
    )


def _number(value: Any) -> int | None:
    return None if value is None else whole_of(value)


def whole_of(value: Any) -> int:
    """Return a whole number that Linux can have meant.

    Raises:
        ValueError: it is too large, or not a number.
    """
    if not is_whole(value):
        raise ValueError("a number is not whole, or has more than 64 bits")
    return value


def seconds_of(value: Any) -> float:
    """Return a time that a date can be made of.

    Raises:
        ValueError: it is not a number, or too far from 1970.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{type(value).__name__} instead of a time")  # noqa: TRY004 - data
    # Compared first: the largest numbers have no float.
    if not abs(value) < LAST_SECOND:
        raise ValueError("a time is too far from 1970")
    return float(value)


def is_whole(value: Any) -> TypeGuard[int]:
    """Return whether a value is a whole number; JSON's true is not."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_NUMBER


def text_of(value: Any) -> str:
    """Return a text.

    Raises:
        ValueError: it is something else.
    """
    if not isinstance(value, str):
        raise ValueError(f"{type(value).__name__} instead of text")  # noqa: TRY004 - data, not code
    return value


def texts_of(value: Any) -> tuple[str, ...]:
    """Return a list of texts.

    Raises:
        ValueError: it is something else.
    """
    if not isinstance(value, list):
        raise ValueError(f"{type(value).__name__} instead of a list")  # noqa: TRY004 - likewise
    return tuple(map(text_of, value))


def result_of(argv: Sequence[str], answer: Mapping[str, Any]) -> CommandResult:
    """Return how a command ended that was run through a shell.

    Raises:
        ValueError: the answer has parts of other types, or is too long.
    """
    stdout, stderr = text_of(answer.get("stdout", "")), text_of(answer.get("stderr", ""))
    if len(stdout) + len(stderr) > MAX_OUTPUT:
        raise ValueError(f"cut off after {MAX_OUTPUT >> 20} MiB")
    code, duration = answer.get("exit", 126), answer.get("duration")
    if not is_whole(code):
        raise ValueError("the exit code is not a number")
    return CommandResult(
        argv=tuple(argv),
        exit=code,
        stdout=stdout,
        stderr=f"{stderr}{answer['error']}" if "error" in answer else stderr,
        duration=None if duration is None else seconds_of(duration),
    )


def is_plain(path: str) -> bool:
    """Return whether a path can be used in a recording: text without NUL and without ``..``."""
    if not path.startswith("/") or "\0" in path or is_too_long(path):
        return False
    return ".." not in path.split("/")


def elf_of(path: str, raw: Mapping[str, Any]) -> ElfSummary:
    """Return an ELF summary as the probe sends it.

    Raises:
        ValueError: a part of it has another type.
    """
    versions: Mapping[str, Any] = raw.get("versions") or {}
    return ElfSummary(
        path=path,
        machine=text_of(raw.get("machine")),
        interpreter=text_of(raw["interpreter"]) if raw.get("interpreter") else None,
        needed=texts_of(raw.get("needed") or []),
        versions={library: texts_of(found) for library, found in versions.items()},
        defines=texts_of(raw.get("defines") or []),
        runpath=texts_of(raw.get("runpath") or []),
        error=text_of(raw.get("error") or ""),
    )
