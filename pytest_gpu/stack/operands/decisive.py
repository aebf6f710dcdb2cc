"""The line of a log that says why a program failed, and a Go error taken apart."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_gpu.stack.operands.container_log import LogLine
from pytest_gpu.stack.operands.log_message import ERROR, FATAL, Message, message_of

LONGEST_SHOWN = 240
"""Characters of a decisive line that are shown: three lines of a narrow terminal."""

_BAD = re.compile(
    r"\b(?:errors?|fail(?:ed|ure|s)?|fatal|cannot|can't|could not|couldn't|unable to|denied"
    r"|refused|not found|no such|invalid|unsupported|not supported|timed out|killed"
    r"|segmentation fault|\w{0,80}(?:Error|Exception)(?=:|$))\b",
    re.IGNORECASE,
)
# What parts a wrapped error, and quotes, in which nothing does.
_MARK = re.compile(r""": |"[^"]*+"?|`[^`]*+`?""")
# A shell's trace, and frames below a panic: they repeat, and say nothing by themselves.
_NOISE = re.compile(r"\+{1,8} |goroutine \d|\t|\s{2,}at |\[signal ")


@dataclass(frozen=True, slots=True)
class Decisive:
    """The line that says why: its number in the file and its text without stamps."""

    number: int
    text: str


def decisive(lines: Sequence[LogLine]) -> Decisive | None:
    """Return the line of one run of a program that says why it failed, ``None`` for an empty log.

    That is the first fatal one; else the first error; else the last line that speaks of a failure;
    else the last line.
    """
    said = [(line.number, message_of(line.text)) for line in lines if not _NOISE.match(line.text)]
    for level in (FATAL, ERROR):
        for number, message in said:
            if message.level == level and message.text:
                return Decisive(number, message.text)
    bad = [(number, message) for number, message in said if _speaks_of_failure(message)]
    for number, message in (bad or said)[-1:]:
        return Decisive(number, message.text)
    return None


def _speaks_of_failure(message: Message) -> bool:
    return not message.level and _BAD.search(message.text) is not None


def unwrapped(text: str) -> tuple[str, ...]:
    """Return the parts of a wrapped Go error, outermost first: ``failed to X: failed to Y: Z``.

    Colons in addresses, paths, times and quotes do not part: a part is followed by a blank.
    """
    parts, start = list[str](), 0
    for mark in _MARK.finditer(text):
        if mark[0] == ": ":
            parts.append(text[start : mark.start()].strip())
            start = mark.end()
    return tuple(part for part in (*parts, text[start:].strip()) if part)


def shortened(text: str, longest: int = LONGEST_SHOWN) -> str:
    """Return a text that is short enough to be shown.

    Of a wrapped error the beginning and the innermost parts stay: what failed, and why.
    """
    if len(text) <= longest:
        return text
    head, *rest = unwrapped(text)
    tail = ""
    for part in reversed(rest):
        longer = f": {part}{tail}"
        if len(head) + len(longer) + 5 > longest:
            break
        tail = longer
    return f"{head}: ...{tail}" if tail else f"{text[: longest - 4]} ..."
