"""The line of a log that says why a program failed, and a Go error taken apart."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pytest_gpu.stack.operands.container_log import LogLine, plain
from pytest_gpu.stack.operands.log_message import ERROR, FATAL, Message, message_of

LONGEST_SHOWN = 240
"""Characters of a decisive line that are shown: three lines of a narrow terminal."""

_BAD = re.compile(
    r"\b(?:(?<!\bno )(?<!\b0 )(?<!\bwithout )errors?|fail(?:ed|ure|s)?|fatal|cannot|can't"
    r"|could not|couldn't|unable to|denied|refused|not found|no such|invalid|unsupported"
    r"|not supported|timed out|killed|segmentation fault|\w{0,80}(?:Error|Exception)(?=:|$))\b",
    re.IGNORECASE,
)
# What only tells that something above failed, or that it will be tried again. The driver container
# resolves no kernel version also where it reaches no repository.
_ECHO = re.compile(
    r"\b(?:could not resolve linux kernel version|retry(?:ing)?|try(?:ing)? again"
    r"|attempting again|command failed|exited with|exit (?:status|code):? \d{1,5}"
    r"|returned a non-zero)\b|\bmake(?:\[\d{1,3}\])?: \*\*\* ",
    re.IGNORECASE,
)
# What a program calls an error, or fatal, and is not why it ended: it goes on, or was told to end.
# Sources: nvidia-container-toolkit v1.20.2, cmd/nvidia-ctk-installer/toolkit/toolkit.go;
# gpu-operator v25.3.4, validator/main.go.
_ASIDE = re.compile(r"ignoring error\b|exiting due to signal\b", re.IGNORECASE)
# What parts a wrapped error, and quotes, in which nothing does.
_MARK = re.compile(r""": |"[^"]*+"?|`[^`]*+`?""")
# A shell's trace, and frames below a panic: they repeat, and say nothing by themselves.
_NOISE = re.compile(r"\+{1,8} |goroutine \d|\t|\s{2,}at |\[signal ")


_NVRM = "NVRM:"
_SPREAD = 4
"""Most lines of one message of the kernel driver."""


class Said(NamedTuple):
    """A message of a log, and the number of its line."""

    number: int
    message: Message


@dataclass(frozen=True, slots=True)
class Decisive:
    """The line that says why: its number in the file and its text without stamps."""

    number: int
    text: str


def decisive(lines: Sequence[LogLine]) -> Decisive | None:
    """Return the line of a program's log that says why it failed, ``None`` for an empty log.

    That is the first fatal one after the last start; else the first error; else the last line that
    speaks of a failure, if possible of its own and not of one above; else the last line. What was
    before the last start counts only if nothing after it is an error.
    """
    said = [Said(n, message_of(text)) for n, text in _messages(lines) if not _NOISE.match(text)]
    for part in (_since_last_start(said), said):
        for level in (FATAL, ERROR):
            if found := next((each for each in part if _is(each, level)), None):
                return _decisive(found)
    bad = [each for each in said if _speaks_of_failure(each.message)]
    own = [each for each in bad if not _ECHO.search(each.message.text)]
    for each in (own or bad or said)[-1:]:
        return _decisive(each)
    return None


def _decisive(said: Said) -> Decisive:
    """Return a message as one line: its first paragraph, the others are advice."""
    text = said.message.text.partition("\n\n")[0]
    return Decisive(said.number, text if text.isprintable() else plain(text))


def _is(said: Said, level: str) -> bool:
    text = said.message.text
    return said.message.level == level and bool(text) and not _ASIDE.match(text)


def _since_last_start(said: Sequence[Said]) -> Sequence[Said]:
    """Return what a program said since it started last: it then says its first line again."""
    first = said[0].message if said else None
    at = next((at for at in reversed(range(len(said))) if said[at].message == first), 0)
    return said[at:]


def _messages(lines: Sequence[LogLine]) -> Iterator[tuple[int, str]]:
    """Yield the messages of a log; the kernel driver spreads one of its over up to four lines."""
    parts, number = list[str](), 0
    for line in lines:
        before, mark, text = line.text.partition(_NVRM)
        if parts and (not mark or _is_other(parts, text)):
            yield number, " ".join(parts)
            parts = []
        if not mark:
            yield line.number, line.text
        else:
            number = number if parts else line.number
            parts.append(text.strip() if parts else f"{before}{mark}{text}".strip())
    if parts:
        yield number, " ".join(parts)


def _is_other(parts: Sequence[str], text: str) -> bool:
    """Say whether another message of the kernel driver begins."""
    return len(parts) == _SPREAD or parts[-1].endswith((".", "!")) or text.startswith(" Xid ")


def _speaks_of_failure(message: Message) -> bool:
    text = message.text
    return not (message.level or _ASIDE.match(text)) and _BAD.search(text) is not None


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
    if not rest or len(rest[-1]) > longest // 2:
        return f"{text[: longest - 4]} ..."
    tail = ""
    for part in reversed(rest):
        longer = f": {part}{tail}"
        if tail and len(head) + len(longer) + 5 > longest:
            break
        tail = longer
    room = longest - len(tail) - 5
    return f"{head}: ...{tail}" if len(head) <= room else f"{head[:room]} ...{tail}"
