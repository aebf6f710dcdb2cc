"""How a unit of the node that ends by itself did so the last time, in its own words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pytest_gpu.causes import Evidence
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.host.journal import (
    SYSTEMD,
    LogLine,
    Start,
    journal,
    log_line,
    restart_counter,
    starts,
)
from pytest_gpu.stack.host.systemd_status import UnitStatus, unit_status
from pytest_gpu.stack.operands import container_log
from pytest_gpu.stack.operands.decisive import decisive, shortened
from pytest_gpu.stack.operands.log_message import ERROR, FATAL, message_of

AGAIN = 2
"""Restarts by systemd in a row that are no accident."""

LONGEST_LINE = 280
"""Characters of a line of the journal that are shown: reports show so many of any line."""

_OOM = re.compile(r"killed by the OOM killer|result 'oom-kill'")
_REFUSED = re.compile(
    r"Failed (?!with result|to start )|Dependency failed|Unable to locate executable|timed out"
)
_HOW = re.compile(r"process exited, (?P<how>code=.{1,200})")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitEnd:
    """How a unit ended by itself.

    Attributes:
        exit: such as ``code=exited, status=1/FAILURE``; empty if that is not shown.
        words: the line that says why; ``None`` if nothing was logged.
        evidence: the unit's state, how its main process ended, and the words.
    """

    exit: str
    words: Evidence | None
    evidence: tuple[Evidence, ...]

    @property
    def said(self) -> str:
        """What its words say, without stamps and the logger's marks."""
        if self.words is None:
            return "(none in the evidence)"
        line = log_line(self.words)
        return message_of(line.message).text if line else self.words.text


def ends_again_and_again(node: Node, unit: str) -> UnitEnd | None:
    """Return how a unit ends at each start, ``None`` if it runs, was stopped, or is not known.

    Old errors do not count: systemd must be about to start it again, or have given up, now.
    """
    status = unit_status(node.evidence.commands, unit)
    log = journal(node.evidence.commands, unit)
    if status is None or not _loops(status, log):
        return None
    return end_of(status, log)


def restarted_again(node: Node, unit: str) -> UnitEnd | None:
    """Return how a unit ended that runs for less than a minute, after systemd restarted it often.

    ``None`` if it runs for longer, or if somebody started it by hand since then.
    """
    status = unit_status(node.evidence.commands, unit)
    log = journal(node.evidence.commands, unit)
    if status is None or not status.just_started:
        return None
    often = max(status.counter, restart_counter(log)) >= AGAIN
    return end_of(status, log) if often else None


def _loops(status: UnitStatus, log: Sequence[LogLine]) -> bool:
    if status.restarts or status.gave_up:
        return True
    counter = max(status.counter, restart_counter(log))
    return (status.starting or status.failed) and counter >= AGAIN


def end_of(status: UnitStatus, log: Sequence[LogLine]) -> UnitEnd:
    """Return how a unit ended the last time, by its status and its journal."""
    last = last_ended(log)
    words = (why(last) if last else None) or status.last_words
    told = (status.state, status.ended or (last and _how_ended(last)), words and shown(words))
    return UnitEnd(
        exit=status.exit or (_exit(last) if last else ""),
        words=words,
        evidence=tuple(dict.fromkeys(each for each in told if each)),
    )


def shown(words: Evidence) -> Evidence:
    """Return a line of a journal so short that it is shown whole: its reason stays."""
    text = words.text
    line = log_line(words)
    if line is None or len(text) <= LONGEST_LINE:
        return replace(words, text=shortened(text, LONGEST_LINE))
    stamp = text[: text.find(line.message)]
    room = max(LONGEST_LINE - len(stamp), LONGEST_LINE // 2)
    return replace(words, text=f"{stamp}{shortened(message_of(line.message).text, room)}")


def last_ended(log: Sequence[LogLine]) -> Start | None:
    """Return the last start that ended by itself; one that still goes on says nothing yet."""
    return next((start for start in reversed(starts(log)) if start.ended), None)


def _how_ended(start: Start) -> Evidence | None:
    return start.ended.evidence if start.ended else None


def _exit(start: Start) -> str:
    found = (_HOW.search(line.message) for line in start.lines)
    return next((match["how"] for match in found if match), "")


def why(start: Start) -> Evidence | None:
    """Return the line of a start that says why it ended, ``None`` if nothing was logged.

    A daemon logs errors that it survives, so that the last one counts, not the first: the one that
    is fatal, or that it prints under its own name right before it ends. What the kernel did to it
    outranks its words; what systemd says counts if it logged no error itself.
    """
    own = start.own
    by_systemd = [line for line in start.lines if line.program == SYSTEMD]
    killed = [line for line in by_systemd if _OOM.search(line.message)]
    refused = [line for line in by_systemd if _REFUSED.search(line.message)]
    found = killed[:1] or _fatal(own) or _last_error(own) or refused[:1] or _spoken(own)
    return found[0].evidence if found else None


def _fatal(own: Sequence[LogLine]) -> list[LogLine]:
    """Return the first fatal line, or what a program printed under its own name."""
    for line in own:
        if message_of(line.message).level == FATAL:
            return [line]
    return [line for line in own if line.message.startswith(_own_name(line.program))][-1:]


def _own_name(program: str) -> str:
    """Return how a program begins its last words: ``containerd: `` for ``k8s.containerd``."""
    return f"{re.split(r'[.-]', program)[-1]}: "


def _last_error(own: Sequence[LogLine]) -> list[LogLine]:
    return [line for line in own if message_of(line.message).level == ERROR][-1:]


def _spoken(own: Sequence[LogLine]) -> list[LogLine]:
    lines = [container_log.LogLine(at, line.message) for at, line in enumerate(own)]
    found = decisive(lines)
    return [own[found.number]] if found else []
