"""The journal of a unit, start by start: what its programs printed, and how each start ended.

Sources: ``journalctl`` (output ``short`` and ``short-iso``); systemd ``src/core/job.c``,
``unit.c`` and ``service.c`` for what systemd itself logs of a unit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from pytest_gpu.causes import Evidence
from pytest_gpu.evidence import CommandResult
from pytest_gpu.text.controls import without_controls

LONGEST = 4_000
"""Characters that are read of one line."""

SYSTEMD = "systemd"

# Words of a time stamp, the host's name if it is there, the program with its PID, the message.
_LINE = re.compile(
    r"(?:\S{1,253} {1,8}){1,5}?(?P<program>[^\s\[\]:]{1,200})\[\d{1,10}\]: ?(?P<message>.*)"
)
_COUNTER = re.compile(r"restart counter is at (?P<count>\d{1,9})\.")
_EXITED = re.compile(
    r"(?:Main|Control) process exited, |Failed (?:with result|at step)"
    r"|A process of this unit has been killed by the OOM killer|\bentered failed state"
)
_OVER = re.compile(r"Scheduled restart job|Stopped |Deactivated|Succeeded\.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """A line of the journal: which program logged what."""

    program: str
    message: str
    evidence: Evidence


@dataclass(slots=True)
class Start:
    """One start of a unit.

    Attributes:
        lines: what was logged from this start to the next one, by its programs and by systemd.
        ended: systemd's first line on how it ended by itself; ``None`` if it runs, was stopped by
            somebody, or ended without a fault.
    """

    lines: list[LogLine] = field(default_factory=list)
    ended: LogLine | None = None

    @property
    def own(self) -> Sequence[LogLine]:
        """What its programs logged."""
        return [line for line in self.lines if line.program != SYSTEMD]


def log_line(evidence: Evidence) -> LogLine | None:
    """Return who logged what in a line of the journal, ``None`` if the line is none of those.

    It is quoted without what controls a terminal.
    """
    evidence = replace(evidence, text=without_controls(evidence.text))
    match = _LINE.match(evidence.text[:LONGEST])
    if match is None:
        return None
    return LogLine(program=match["program"], message=match["message"], evidence=evidence)


def journal(commands: Sequence[CommandResult], unit: str) -> tuple[LogLine, ...]:
    """Return the lines of a unit's journal that was read last, none if nobody read it."""
    for result in reversed(commands):
        if result.argv[0].endswith("journalctl") and _names(result.argv, unit):
            return tuple(_lines(" ".join(result.argv), result.stdout))
    return ()


def _names(argv: Sequence[str], unit: str) -> bool:
    """Say whether a command is about a unit: ``-u kubelet``, ``--unit=kubelet.service``."""
    wanted = unit.removesuffix(".service")
    return any(word.rpartition("=")[2].removesuffix(".service") == wanted for word in argv[1:])


def _lines(source: str, text: str) -> Iterator[LogLine]:
    for number, line in enumerate(text.splitlines(), 1):
        if line and (found := log_line(Evidence(source=source, line=number, text=line.strip()))):
            yield found


def starts(lines: Sequence[LogLine]) -> tuple[Start, ...]:
    """Return the starts that a unit's journal shows, oldest first.

    A unit that tells systemd when it is ready is ``Starting`` first and ``Started`` later; others
    are ``Started`` at once.
    """
    found, begun = [Start()], False
    for line in lines:
        said = line.message if line.program == SYSTEMD else ""
        if said.startswith("Starting ") or (said.startswith("Started ") and not begun):
            found.append(Start())
            begun = True
        elif _EXITED.search(said):
            found[-1].ended = found[-1].ended or line
            begun = False
        elif _OVER.search(said):
            begun = False
        found[-1].lines.append(line)
    return tuple(each for each in found if each.lines)


def restart_counter(lines: Sequence[LogLine]) -> int:
    """Return how often systemd started the unit again since somebody last started it by hand."""
    count = 0
    for line in lines:
        if line.program == SYSTEMD:
            match = _COUNTER.search(line.message)
            count = int(match["count"]) if match else 0 if "Stopping " in line.message else count
    return count
