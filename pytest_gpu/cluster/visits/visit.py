"""One visit to one node: rounds of questions over a stream, until nothing more is needed."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from typing import Any, Protocol

from pytest_gpu.cluster.visits.seen import SeenNode
from pytest_gpu.errors import GpuError
from pytest_gpu.evidence import ClusterEvidence
from pytest_gpu.survey.rounds import NVML_TIME, Asked, Questions
from pytest_gpu.survey.survey import wants

GREETING_TIME = 30.0
"""Seconds until the probe must have said hello; an interpreter starts in one second."""

COMMAND_GRACE = 30.0
"""Seconds beyond a single command's own time."""

ROUND_TIME = 60.0
"""Seconds for a round's files; commands and NVML have their own time on top."""


MAX_PARTS = 3_000_000
"""Parts of one answer in JSON: a long listing has less than a million."""

_SIGNS = (b"{", b"[", b",")


class Stream(Protocol):
    """The line to a probe."""

    @property
    def complaint(self) -> str:
        """What the other end said besides the answers, such as ssh's error; empty if nothing."""

    def send(self, line: bytes) -> None:
        """Send one line of questions, including the end of line.

        Raises:
            GpuError: there is nothing that reads it.
        """

    def lines(self, deadline: float) -> Iterator[bytes]:
        """Yield the lines that come until ``deadline`` (of time.monotonic) or the stream's end.

        Raises:
            StreamLate: the deadline passed.
        """

    def close(self) -> None:
        """End the conversation and everything that was started for it."""


class StreamLate(GpuError):  # noqa: N818 - an event, not an error of ours
    """Nothing came in time."""


class NoAnswer(GpuError):  # noqa: N818 - an event, not an error of ours
    """The probe never said hello: there is no door here, or no Python behind it."""


def greet(stream: Stream, within: float = GREETING_TIME) -> Any:
    """Wait for the probe's hello and return it; whatever a login prints before it is skipped.

    Raises:
        NoAnswer: it did not come.
    """
    try:
        for line in stream.lines(time.monotonic() + within):
            answer = parse(line)
            if answer and "hello" in answer:
                return answer
    except StreamLate:
        raise NoAnswer(f"no answer within {within:g} s; {stream.complaint}".rstrip("; ")) from None
    raise NoAnswer(stream.complaint or "the probe ended without any output")


def drive(
    stream: Stream, node: SeenNode, cluster: ClusterEvidence, patience: float = math.inf
) -> None:
    """Ask a node everything that the survey needs; missing answers are noted and stay unknown.

    Args:
        stream: the line to a probe that has already said hello.
        node: where the answers go.
        cluster: the Kubernetes objects; nothing else of it is used.
        patience: seconds that no round may exceed.
    """
    asked = Asked()
    try:
        while (questions := wants(node, asked, cluster)) is not None:
            asked = asked.also(questions)
            _note_errors(node, questions)
            _round(stream, node, questions, asked.rounds, patience)
        stream.send(b'{"end": true}\n')
    except GpuError as error:
        node.note(f"round {asked.rounds} of the visit is incomplete: {error}")
    finally:
        node.settle()


def _note_errors(node: SeenNode, questions: Questions) -> None:
    """Note our own bugs: a check that raised one may have asked for less than it needs."""
    for name, error in questions.errors.items():
        note = f"bug of pytest-gpu in {name}: {error}"
        if note not in node.notes:
            node.note(note)


def _round(
    stream: Stream, node: SeenNode, questions: Questions, number: int, patience: float
) -> None:
    stream.send(json.dumps(questions.as_json(number)).encode() + b"\n")
    for answer in answers(stream, number, min(time_for(questions), patience)):
        node.take(answer)
    node.settle()


def time_for(questions: Questions) -> float:
    """Return the seconds within which a round must be over."""
    nvml = NVML_TIME if questions.nvml is not None else 0.0
    return ROUND_TIME + sum(questions.run.values()) + nvml


def answers(stream: Stream, number: int, within: float) -> Iterator[dict[str, Any]]:
    """Yield the answers of one round.

    Raises:
        StreamLate: the round did not end in time.
        GpuError: the stream ended before the round did.
    """
    for line in stream.lines(time.monotonic() + within):
        answer = parse(line)
        if answer is None:
            continue
        if answer.get("done") == number:
            return
        yield answer
    raise GpuError(stream.complaint or "the probe ended before the round did")


def parse(line: bytes) -> dict[str, Any] | None:
    """Return an answer, ``None`` for any other line: a banner, or half a line.

    Raises:
        GpuError: it has so many parts that they would not fit into memory.
    """
    if sum(map(line.count, _SIGNS)) > MAX_PARTS:
        raise GpuError(f"cut off: an answer has more than {MAX_PARTS} parts")
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
