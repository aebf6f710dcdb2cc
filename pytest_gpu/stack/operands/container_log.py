"""Lines of a container's log, whichever container runtime wrote the file.

Sources: the CRI's format ``TIME STREAM TAG TEXT`` (Kubernetes' design document
``kubelet-cri-logging.md``), Docker's json-file driver; ``kubectl logs`` prints the text alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pytest_gpu.text.controls import without_controls

LONGEST = 2_000
"""Characters that are kept of one line."""

# 2026-01-13T08:15:33.104220781Z stderr F text; the tags are joined with colons, P: not the end.
_CRI = re.compile(
    r"\d{4}-\d\d-\d\dT[\d:.]{8,18}(?:Z|[+-]\d\d:\d\d) (?:stdout|stderr) (?P<tags>[A-Z:]{1,16}) ?"
)

# kubectl logs --timestamps: 2026-01-13T08:15:33.104220781Z text
_STAMPED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(?:Z|[+-]\d\d:\d\d) ")


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of a log: its number in the file, from 1, and what the program printed."""

    number: int
    text: str


def lines_of(text: str) -> tuple[LogLine, ...]:
    """Return what a program printed, line by line, without empty ones.

    A line that the runtime has split is one line again, with the number of its first part.
    """
    return tuple(line for line in _joined(text) if line.text.strip())


def _joined(text: str) -> Iterator[LogLine]:
    first, parts = 0, list[str]()
    for number, line in enumerate(text.split("\n"), 1):
        if not (line or parts):
            continue
        said, partial = _said(line)
        first = first if parts else number
        parts.append(said)
        if not partial:
            yield _line(first, parts)
            parts = []
    if parts:
        yield _line(first, parts)


def _line(number: int, parts: list[str]) -> LogLine:
    return LogLine(number, without_controls("".join(parts)[:LONGEST]).rstrip())


def plain(text: str) -> str:
    """Return a text as one line that controls no terminal: for messages of Kubernetes."""
    return " ".join(without_controls(text[:LONGEST], " ").split())


def _said(line: str) -> tuple[str, bool]:
    """Return what one line of the file holds, and whether the program's line goes on."""
    if stamp := _CRI.match(line):
        return line[stamp.end() :], stamp["tags"].startswith("P")
    if line.startswith('{"log":'):
        return _docker(line)
    if stamp := _STAMPED.match(line):
        return line[stamp.end() :], False
    return line, False


def _docker(line: str) -> tuple[str, bool]:
    try:
        entry: Any = json.loads(line)
    except (ValueError, RecursionError):
        return line, False
    said = entry.get("log")
    return (said.rstrip("\n"), not said.endswith("\n")) if isinstance(said, str) else (line, False)
