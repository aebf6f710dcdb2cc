"""Children of this process whose output has a budget: what they may send, and for how long."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from pytest_gpu.errors import GpuError

OUTPUT_BYTES = 32 << 20
"""Bytes that one command may print, output and errors together."""

ERROR_BYTES = 8 << 20
"""Bytes that a probe, or ssh, may write to its standard error."""

LAST_WORDS = 2000
"""Last characters of a child's standard error that are kept."""

_PART = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What a command printed, and its exit code."""

    code: int
    stdout: bytes
    stderr: bytes

    @property
    def said(self) -> str:
        """The end of its errors, in one line."""
        return " ".join(self.stderr[-LAST_WORDS:].decode(errors="replace").split())


def run(argv: Sequence[str], timeout: float) -> Output:
    """Run a command and return what it printed.

    Raises:
        OSError: it cannot be started.
        TimeoutError: it did not end in time, and was killed.
        GpuError: it printed more than :data:`OUTPUT_BYTES`, and was killed.
    """
    with subprocess.Popen(  # noqa: S603 - an argument list, no shell here
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        start_new_session=True,
    ) as child:
        try:
            stdout, stderr = _read(child, time.monotonic() + timeout)
            return Output(code=child.wait(1.0), stdout=stdout, stderr=stderr)
        except subprocess.TimeoutExpired:
            raise TimeoutError from None
        finally:
            kill(child)


def _read(child: subprocess.Popen[bytes], deadline: float) -> tuple[bytes, bytes]:
    """Return all that a child prints."""
    assert child.stdout is not None
    assert child.stderr is not None
    taken: dict[object, bytearray] = {child.stdout: bytearray(), child.stderr: bytearray()}
    with selectors.DefaultSelector() as ready:
        for pipe in (child.stdout, child.stderr):
            ready.register(pipe, selectors.EVENT_READ)
        while ready.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            for key, _ in ready.select(left):
                part = os.read(key.fd, _PART)
                taken[key.fileobj] += part
                if not part:
                    ready.unregister(key.fileobj)
            if sum(map(len, taken.values())) > OUTPUT_BYTES:
                raise GpuError(f"cut off after {OUTPUT_BYTES >> 20} MiB of output")
    return bytes(taken[child.stdout]), bytes(taken[child.stderr])


def kill(child: subprocess.Popen[bytes]) -> None:
    """Kill a child that still runs, with everything that it started."""
    if child.poll() is None:
        with suppress(OSError):
            os.killpg(child.pid, signal.SIGKILL)


class ErrorPipe:
    """Reads a child's standard error; keeps its end, and ends a child that writes too much."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self._child = child
        self._tail = b""
        self._taken = 0
        self._thread = threading.Thread(target=self._drain, args=(child.stderr,), daemon=True)
        self._thread.start()

    @property
    def said(self) -> str:
        """What was written last, in one line."""
        if self._child.poll() is not None:
            self._thread.join(1.0)  # what it wrote before it ended may still be on its way
        if self._taken > ERROR_BYTES:
            return f"cut off after {ERROR_BYTES >> 20} MiB of errors"
        return " ".join(self._tail.decode(errors="replace").split())

    def _drain(self, pipe: IO[bytes]) -> None:
        with suppress(OSError, ValueError), pipe:
            while part := os.read(pipe.fileno(), _PART):
                self._taken += len(part)
                self._tail = (self._tail + part)[-LAST_WORDS:]
                if self._taken > ERROR_BYTES:
                    kill(self._child)
                    return
