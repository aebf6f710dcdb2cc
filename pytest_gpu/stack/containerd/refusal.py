"""What containerd prints when it refuses its configuration: file, line and reason.

Measured on containerd 1.6.20, 1.7.24 and 2.1.9: it prints the refusal as its only line or two,
under its own name, and ends. 2.x names the file in a line of its log before that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_gpu.causes import Evidence

_FILE = r"(?P<file>/[^\s:\"]{1,4096}+)"
_WHERE = re.compile(r"\((?P<row>\d{1,7}), \d{1,7}\): ")
_REFUSED = {
    # 1.x: the decoder, a missing import, a version or a name that it does not accept.
    "containerd: failed to load TOML: ": re.compile(rf"{_FILE}: (?P<why>.*)"),
    "containerd: failed to load TOML from ": re.compile(rf"{_FILE}: (?P<why>.*)"),
    "containerd: failed to unmarshal TOML: ": re.compile(r"(?P<why>.*)"),
    # 2.x
    '"Failure unmarshaling TOML" column=': re.compile(
        r"\d{1,7} error=\"(?P<why>(?:[^\"\\]|\\.){1,500}+)\""
        rf" file=\"?{_FILE}\"? row=(?P<row>\d{{1,7}})"
    ),
    "containerd: failed to unmarshal TOML at ": re.compile(
        r"row (?P<row>\d{1,7}) column \d{1,7}: (?P<why>.*)"
    ),
    "containerd: open ": re.compile(rf"{_FILE}: (?P<why>.*)"),
}
"""What follows the words with which containerd begins."""

# k0s writes what its containerd prints into its own log.
_WRAPPED = re.compile(r"(?P<said>\"(?:[^\"\\]|\\.){1,4000}+\") component=containerd")
_RUNS = re.compile(r"starting containerd|containerd successfully booted|loading plugin")
LONGEST = 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A configuration that containerd refused.

    Attributes:
        file: the file that it names, ``""`` if it names none.
        line: the line in that file, ``None`` if it names none.
        why: the reason in its words.
        evidence: the lines of its log that say so.
    """

    file: str
    line: int | None
    why: str
    evidence: tuple[Evidence, ...]


def refusal(log: Sequence[Evidence]) -> Refusal | None:
    """Return the refusal at the end of containerd's log, ``None`` if it started since then."""
    found: Refusal | None = None
    for line in log:
        text = _said(line.text[:LONGEST])
        if _RUNS.search(text):
            found = None
        elif match := _match(text):
            found = _joined(found, _told(match, line))
    return found


def _match(text: str) -> re.Match[str] | None:
    rests = ((words, text.partition(words)[2]) for words in _REFUSED if words in text)
    return next((found for words, rest in rests if (found := _REFUSED[words].match(rest))), None)


def _said(text: str) -> str:
    wrapped = _WRAPPED.match(text.partition(" msg=")[2])
    if wrapped is None:
        return text
    try:
        return str(json.loads(wrapped["said"]))
    except ValueError:
        return text


def _told(match: re.Match[str], line: Evidence) -> Refusal:
    told = match.groupdict()
    why, row = told["why"].strip(), told.get("row")
    if where := _WHERE.match(why):
        why, row = why[where.end() :], where["row"]
    return Refusal(
        file=told.get("file") or "", line=int(row) if row else None, why=why, evidence=(line,)
    )


def _joined(before: Refusal | None, now: Refusal) -> Refusal:
    """Return one refusal of the two lines of 2.x, of which only the first names the file."""
    if before is None or now.file or (before.line, before.why) != (now.line, now.why):
        return now
    return before
