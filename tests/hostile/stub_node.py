"""A node that answers like a recorded one: the survey, the sandboxes; what it says may be hurt."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from pytest_gpu.cluster.recording.recorded import open_recording
from pytest_gpu.cluster.recording.recorded_node import RecordedNode
from pytest_gpu.cluster.recording.samples import sample_path
from pytest_gpu.stack.sandbox import config_files
from tests.support.replay import Replay

BASE, NODE = "healthy-kubeadm", "gpu-1"
IMAGE = "docker.io/library/python:3-slim"
STAMP = "2026-11-21T10:00:00.000000000Z stdout F "
HELLO: Mapping[str, Any] = {"hello": 1, "python": "3.11.7", "machine": "x86_64"}

OUT, ERR, STATUS = 1, 2, 3
"""Channels of what a node says, numbered as Kubernetes' exec does."""

RAW = -1
"""Bytes that go to the connection as they are, without a frame around them."""

END = -2
"""The node hangs up."""

Said = Iterator[tuple[int, bytes]]
Answers = Sequence[Mapping[str, Any]]


@cache
def recorded() -> RecordedNode:
    """Return the node that all are like."""
    return open_recording(sample_path(BASE), BASE).node(NODE)


class Honest:
    """A node as it should be; its subclasses are hostile in one thing each."""

    def __init__(self) -> None:
        self._gpu = False

    def hello(self) -> Said:
        """Say what a probe says first."""
        yield OUT, as_line(HELLO)

    def reply(self, asked: Mapping[str, Any]) -> Said:
        """Say the answers to a line of questions."""
        for answer in self.answers(asked):
            yield OUT, as_line(answer)

    def answers(self, asked: Mapping[str, Any]) -> Answers:
        """Return the true answers to a line of questions."""
        if asked.keys() == {"round", "run"}:
            argv = asked["run"][0]["argv"]
            return ({"run": argv, **self.command(argv)}, {"done": asked["round"]})
        replay = Replay(recorded())
        replay.send(as_line(asked))
        return [json.loads(line) for line in replay.lines(0)]

    def command(self, argv: Sequence[str]) -> Mapping[str, Any]:
        """Return how a command of a sandbox ends."""
        return {"exit": 0, "stdout": self.printed(argv), "stderr": ""}

    def printed(self, argv: Sequence[str]) -> str:
        """Return what a command of a sandbox prints."""
        if argv[0] == "sh":
            return self._log() if "grep" in argv[2] else ""
        if "--version" in argv:
            return "crictl version v1.31.1\n"
        if "images" in argv:
            return json.dumps({"images": [{"id": "sha256:0", "repoTags": [IMAGE]}]})
        if "run" in argv:
            self._gpu = any(word.startswith("--runtime=") for word in argv)
            return "c1\n"
        return json.dumps({"items": []}) if "pods" in argv else ""

    def status(self) -> bytes:
        """Return the status with which the exec ends."""
        return b'{"status": "Success"}'

    def _log(self) -> str:
        runs = recorded().outcome("sandbox")["runs"]
        listed = runs[1]["output"].splitlines() if self._gpu else ()
        return "".join(f"{STAMP}{line}\n" for line in (*listed, config_files.END))


class Conversation:
    """Takes the bytes that a visit sends: first the probe itself, then lines of questions."""

    def __init__(self, node: Honest) -> None:
        self.node = node
        self.ended = False
        self._buffer = b""
        self._left: int | None = None

    def take(self, data: bytes) -> Said:
        """Take a part of what is sent; yield what the node says to it."""
        self._buffer += data
        if self._left != 0:
            yield from self._take_probe()
        while self._left == 0 and b"\n" in self._buffer and not self.ended:
            line, _, self._buffer = self._buffer.partition(b"\n")
            asked = json.loads(line)
            if asked.get("end"):
                self.ended = True
            else:
                yield from self.node.reply(asked)

    def _take_probe(self) -> Said:
        if self._left is None and b"\n" in self._buffer:
            size, _, self._buffer = self._buffer.partition(b"\n")
            self._left = int(size)
        if self._left is not None:
            taken = min(self._left, len(self._buffer))
            self._buffer, self._left = self._buffer[taken:], self._left - taken
            if self._left == 0:
                yield from self.node.hello()


def as_line(answer: Mapping[str, Any]) -> bytes:
    """Return an answer as the probe sends it."""
    return json.dumps(answer).encode() + b"\n"


Node = Callable[[], Honest]
