"""A pytest plugin for ``many_nodes.py``: every node of the cluster answers like a recorded one.

What would run on a node takes no time of this machine: questions are answered from the recording,
each once; a sandbox is waited for, ``STUB_SANDBOX`` seconds.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from pytest_gpu.cluster.recording.recorded import open_recording
from pytest_gpu.cluster.recording.recorded_node import RecordedNode
from pytest_gpu.cluster.recording.samples import sample_path
from pytest_gpu.cluster.visits import pod_line
from pytest_gpu.stack.sandbox.config_files import END
from tests.support.replay import Replay

BASE, NODE = "healthy-kubeadm", "gpu-1"
IMAGE = "docker.io/library/python:3-slim"
STAMP = "2026-11-21T10:00:00.000000000Z stdout F "


@cache
def recorded() -> RecordedNode:
    """Return the node that all are like."""
    return open_recording(sample_path(BASE), BASE).node(NODE)


@cache
def answered(question: bytes) -> tuple[bytes, ...]:
    """Return the probe's answers to a line of questions."""
    replay = Replay(recorded())
    replay.send(question)
    return tuple(replay.lines(0))


class StubLine:
    """A line to the probe on a node; satisfies ``pytest_gpu.cluster.visits.visit.Stream``."""

    complaint = ""

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._gpu = False

    def send(self, line: bytes) -> None:
        """Take questions: a survey's, or one command of a shell."""
        asked = json.loads(line)
        if asked.keys() != {"round", "run"}:
            self._lines += answered(line)
            return
        argv = asked["run"][0]["argv"]
        told = {"run": argv, "exit": 0, "stderr": "", "stdout": self._command(argv)}
        self._lines += [json.dumps(each).encode() for each in (told, {"done": asked["round"]})]

    def lines(self, _deadline: float) -> Iterator[bytes]:
        """Yield the answers that are due."""
        while self._lines:
            yield self._lines.pop(0)

    def close(self) -> None:
        """Nothing was opened."""

    def _command(self, argv: Sequence[str]) -> str:
        """Return what a command of a sandbox prints."""
        if argv[0] == "sh":
            return self._log() if "grep" in argv[2] else ""
        if "--version" in argv:
            return "crictl version v1.31.1\n"
        if "images" in argv:
            return json.dumps({"images": [{"id": "sha256:0", "repoTags": [IMAGE]}]})
        if "run" in argv:
            self._gpu = any(word.startswith("--runtime=") for word in argv)
            time.sleep(float(os.environ["STUB_SANDBOX"]))
            return "c1\n"
        return json.dumps({"items": []}) if "pods" in argv else ""

    def _log(self) -> str:
        """Return the log of the container that ran last."""
        runs: Sequence[Mapping[str, Any]] = recorded().outcome("sandbox")["runs"]
        listed = runs[1]["output"].splitlines() if self._gpu else ()
        return "".join(f"{STAMP}{line}\n" for line in (*listed, END))


def pytest_configure() -> None:
    """Lead every line to the stub."""
    # Both only say that a stand-in is no PodStream: there is no pod to exec into.
    pod_line._open_line = lambda *_: StubLine()  # type: ignore[assignment, return-value]
