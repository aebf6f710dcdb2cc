"""The line of a log that says why a program failed, and a Go error taken apart."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_gpu.stack.operands.closing import Said, died_of, went_on
from pytest_gpu.stack.operands.container_log import LogLine, plain
from pytest_gpu.stack.operands.log_message import message_of

LONGEST_SHOWN = 240
"""Characters of a decisive line that are shown: three lines of a narrow terminal."""

# What parts a wrapped error, and quotes, in which nothing does.
_MARK = re.compile(r""": |"[^"]*+"?|`[^`]*+`?""")
# A shell's trace, and frames below a panic: they repeat, and say nothing by themselves.
_NOISE = re.compile(r"\+{1,8} |goroutine \d|\t|\s{2,}at |\[signal ")
# The clock in a line's stamp, which stands near its start.
_CLOCK = re.compile(r"(?<=[T ])(\d\d):(\d\d):(\d\d)(?![\d:])")
_STAMPED = 120

_NVRM = "NVRM:"
_SPREAD = 4
"""Most lines of one message of the kernel driver."""


@dataclass(frozen=True, slots=True)
class Decisive:
    """The line that says why: its number in the file and its text without stamps."""

    number: int
    text: str


def decisive(lines: Sequence[LogLine], *, stopped: bool = False) -> Decisive | None:
    """Return the line of a program's log that says why it failed, ``None`` for an empty log.

    That is the error that it ended with since its last start; else the one before that start; else
    the last line. If it was ``stopped`` from outside, an error after which it worked on is none.
    """
    said = [
        Said(line.number, message_of(line.text), _second(line.text))
        for line in _messages(lines)
        if not _NOISE.match(line.text)
    ]
    found = died_of(_since_last_start(said)) or died_of(said)
    if found is None or (stopped and went_on(said[said.index(found) :])):
        found = said[-1] if said else None
    return _decisive(found) if found else None


def _second(line: str) -> int | None:
    """Return the second of the day of a line's stamp, ``None`` if it has none."""
    stamp = _CLOCK.search(line, 0, _STAMPED)
    if stamp is None:
        return None
    hours, minutes, seconds = (int(stamp[at]) for at in (1, 2, 3))
    return (hours * 60 + minutes) * 60 + seconds


def _decisive(said: Said) -> Decisive:
    """Return a message as one line: its first paragraph, the others are advice."""
    text = said.message.text.partition("\n\n")[0]
    return Decisive(said.number, text if text.isprintable() else plain(text))


def _since_last_start(said: Sequence[Said]) -> Sequence[Said]:
    """Return what a program said since it started last: it then says its first line again."""
    first = said[0].message if said else None
    at = next((at for at in reversed(range(len(said))) if said[at].message == first), 0)
    return said[at:]


def _messages(lines: Sequence[LogLine]) -> Iterator[LogLine]:
    """Yield the messages of a log; the kernel driver spreads one of its over up to four lines."""
    parts, number = list[str](), 0
    for line in lines:
        before, mark, text = line.text.partition(_NVRM)
        if parts and (not mark or _is_other(parts, text)):
            yield LogLine(number, " ".join(parts))
            parts = []
        if not mark:
            yield line
        else:
            number = number if parts else line.number
            parts.append(text.strip() if parts else f"{before}{mark}{text}".strip())
    if parts:
        yield LogLine(number, " ".join(parts))


def _is_other(parts: Sequence[str], text: str) -> bool:
    """Say whether another message of the kernel driver begins."""
    return len(parts) == _SPREAD or parts[-1].endswith((".", "!")) or text.startswith(" Xid ")


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
    if not rest or len(rest[-1]) > longest * 3 // 4:
        return f"{text[: longest - 4]} ..."
    tail = ""
    for part in reversed(rest):
        longer = f": {part}{tail}"
        if tail and len(head) + len(longer) + 5 > longest:
            break
        tail = longer
    room = longest - len(tail) - 5
    return f"{head}: ...{tail}" if len(head) <= room else f"{head[:room]} ...{tail}"
