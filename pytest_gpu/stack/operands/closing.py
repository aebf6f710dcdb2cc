"""The errors that a program ends with; errors after which it went on working are left out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pytest_gpu.stack.operands.log_message import ERROR, FATAL, INFO, Message

_BAD = re.compile(
    r"\b(?:errors?|fail(?:ed|ure|s)?|fatal|cannot|can't|could not|couldn't|unable to|denied"
    r"|refused|not found|no such|invalid|unsupported|not supported|timed out|killed"
    r"|segmentation fault|\w{0,80}(?:Error|Exception)(?=:|$))\b",
    re.IGNORECASE,
)
_NO_ERROR = re.compile(r"\b(?:no|0|without) errors?\b", re.IGNORECASE)
# What only tells that something above failed, or that it will be tried again. The driver container
# resolves no kernel version also where it reaches no repository.
_ECHO = re.compile(
    r"\b(?:could not resolve linux kernel version|retry(?:ing)?|try(?:ing)? again"
    r"|attempting again|command failed|exited with|exit (?:status|code):? \d{1,5}"
    r"|returned a non-zero)\b|\bmake(?:\[\d{1,3}\])?: \*\*\* ",
    re.IGNORECASE,
)
# An error that is all echo; "error running x: exit status 1" names at least what failed.
_ALL_ECHO = re.compile(
    r"(?:error: )?(?:command failed|exit (?:status|code):? \d{1,5}|exited with .{1,40})\W{0,3}",
    re.IGNORECASE,
)
# An error that its program announces to survive.
_RETRIED = re.compile(
    r"\b(?:retrying|retry in|(?:will|going to) (?:be )?(?:re)?tr(?:y|ied)|try(?:ing)? again"
    r"|attempting again|requeu(?:e|ing)|backing off)\b",
    re.IGNORECASE,
)
# What a program calls an error, or fatal, and is not why it ended: it goes on, or was told to end.
# Sources: nvidia-container-toolkit v1.20.2, cmd/nvidia-ctk-installer/toolkit/toolkit.go;
# gpu-operator v25.3.4, validator/main.go.
_IGNORED = re.compile(r"ignoring error\b", re.IGNORECASE)
_TOLD_TO_END = re.compile(r"exiting due to signal\b", re.IGNORECASE)
# Work that a program without levels begins, such as "Installing driver modules..."
_BEGINS = re.compile(r"[A-Z][a-z]{1,30}ing ")
# What it says while it ends, such as "Shutting Down". Source of some: controller-runtime,
# pkg/manager/internal.go, pkg/internal/controller/controller.go.
_ENDS = re.compile(
    r"\b(?:shut(?:ting|s)? ?down|shutdown|stop(?:ping|ped|s)?|exit(?:ing|ed|s)?|clos(?:ing|ed)"
    r"|terminat(?:ing|ed)|clean(?:ing|ed)?[ -]?up|abort(?:ing|ed)?|finish(?:ing|ed)?"
    r"|unload(?:ing|ed)?|unmount(?:ing|ed)?)\b",
    re.IGNORECASE,
)

_TOGETHER = 10
"""Seconds within which a program that ends says why, and what follows from it."""
_DAY = 86_400


class Said(NamedTuple):
    """A message of a log, the number of its line, and its second of the day, if it has a stamp."""

    number: int
    message: Message
    second: int | None = None


def died_of(said: Sequence[Said]) -> Said | None:
    """Return the message that says why a program ended, ``None`` if none tells of a failure.

    Of the errors at the end the first counts, a fatal one before the others: those that follow are
    its echo. What the program went on after is no reason, nor is what it announced to try again.
    """
    found = _own(said) or _retried(said) or _echoes(said)
    return found[-1] if found else None


def _own(said: Sequence[Said]) -> Sequence[Said]:
    closing = tuple(_closing(said, [at for at, each in enumerate(said) if _is_own(each.message)]))
    for level in (FATAL, ERROR):
        if found := [each for each in closing if each.message.level == level]:
            return found[:1]
    return closing


def _retried(said: Sequence[Said]) -> Sequence[Said]:
    return [e for e in said if e.message.level in {FATAL, ERROR} and _is_loud(e.message)]


def _echoes(said: Sequence[Said]) -> Sequence[Said]:
    return [each for each in said if _speaks_of_failure(each.message)]


def _closing(said: Sequence[Said], at: Sequence[int]) -> Iterator[Said]:
    """Yield the last of the messages at these places, and those that it ends with, oldest first."""
    start = len(at) - 1
    while start > 0 and not went_on(said[at[start - 1] : at[start] + 1]):
        start -= 1
    yield from (said[each] for each in at[max(start, 0) :])


def went_on(said: Sequence[Said]) -> bool:
    """Say whether a program worked on from an error to the last message: by its words or time."""
    return _apart(said[0], said[-1]) or any(_is_progress(each.message) for each in said[1:])


def _apart(first: Said, last: Said) -> bool:
    if first.second is None or last.second is None:
        return False
    return (last.second - first.second) % _DAY > _TOGETHER


def _is_progress(message: Message) -> bool:
    if message.level == ERROR:
        return _IGNORED.match(message.text) is not None
    begins = not message.level and message.text.endswith("...") and _BEGINS.match(message.text)
    return bool(message.level == INFO or begins) and not _ENDS.search(message.text)


def _is_own(message: Message) -> bool:
    """Say whether a message tells of a failure of its own."""
    if message.level == FATAL:
        return _is_loud(message)
    if message.level == ERROR:
        survived = _RETRIED.search(message.text) or _ALL_ECHO.fullmatch(message.text)
        return _is_loud(message) and not survived
    return _speaks_of_failure(message) and not _ECHO.search(message.text)


def _is_loud(message: Message) -> bool:
    text = message.text
    return bool(text) and not (_IGNORED.match(text) or _TOLD_TO_END.match(text))


def _speaks_of_failure(message: Message) -> bool:
    if message.level or not _is_loud(message):
        return False
    return _BAD.search(_NO_ERROR.sub("", message.text)) is not None
