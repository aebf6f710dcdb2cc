"""Lines to a probe that runs as a child of this process: on this machine, or behind ssh."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

from pytest_gpu.cluster.api.line_buffer import LineBuffer
from pytest_gpu.cluster.visits.bounded import ErrorPipe, kill
from pytest_gpu.cluster.visits.probe_app import BOOTSTRAP, sent_app
from pytest_gpu.cluster.visits.visit import StreamLate
from pytest_gpu.errors import GpuError

_PART = 1 << 16


class ChildStream:
    """A child process whose standard input and output are the line.

    Args:
        argv: the child's command line.
        first: bytes that are sent before anything else.
    """

    def __init__(self, argv: Sequence[str], first: bytes = b"") -> None:
        self._buffer = LineBuffer()
        self._lines: deque[bytes] = deque()
        try:
            self._child = subprocess.Popen(  # noqa: S603 - an argument list, no shell
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise GpuError(f"{argv[0]} cannot be started: {error.strerror}") from error
        self._errors = ErrorPipe(self._child)
        if first:
            self.send(first)

    @property
    def complaint(self) -> str:
        """The end of what the child wrote to its standard error, in one line."""
        return self._errors.said

    def send(self, line: bytes) -> None:
        """Send bytes, all of them.

        Raises:
            GpuError: the child does not read any more.
        """
        assert self._child.stdin is not None
        self._buffer.renew()
        left = memoryview(line)
        try:
            while left:
                left = left[self._child.stdin.write(left) :]
        except (OSError, ValueError) as error:
            self._wait(1.0)
            raise GpuError(self.complaint or f"the line is dead: {error}") from error

    def lines(self, deadline: float) -> Iterator[bytes]:
        """Yield lines until ``deadline`` (of time.monotonic) or the end.

        Raises:
            StreamLate: the deadline passed.
            GpuError: it sends too much.
        """
        assert self._child.stdout is not None
        handle = self._child.stdout.fileno()
        while True:
            while self._lines:
                yield self._lines.popleft()
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([handle], [], [], left)[0]:
                raise StreamLate(f"nothing came in time; {self.complaint}".rstrip("; "))
            part = os.read(handle, _PART)
            if not part:
                self._wait(1.0)
                return
            self._lines.extend(self._buffer.take(part))

    def close(self) -> None:
        """Close the line and end the child, with everything that it started."""
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                pipe.close()
        if not self._wait(1.0):
            kill(self._child)
            self._wait(1.0)

    def _wait(self, seconds: float) -> bool:
        try:
            self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True


class LocalStream(ChildStream):
    """A probe on this machine that is in no folder: nothing is left behind, however this ends.

    ``root`` and ``enter`` are the probe's own options: where the node's ``/`` is, and how commands
    get there. ``python`` is the interpreter, by default the one that runs now.
    """

    def __init__(self, root: Path = Path("/"), enter: str = "here", python: str = "") -> None:
        options = ("--root", str(root), "--enter", enter)
        words = (python or sys.executable, "-I", "-B", "-c", BOOTSTRAP, *options)
        super().__init__(words, sent_app())
