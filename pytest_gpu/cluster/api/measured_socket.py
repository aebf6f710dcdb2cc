"""A websocket within a budget of bytes and of time, from its handshake to its last frame.

websocket-client has a timeout for each read, and reads a message to its end however long it is.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, TypeVar

from pytest_gpu.cluster.daemon_pool import DaemonPool
from pytest_gpu.errors import GpuError

MESSAGE_BYTES = 4 << 20
"""Bytes of one message; the API server sends parts of 32 KiB."""

_T = TypeVar("_T")


class MeasuredSocket:
    """Takes the place of a websocket's socket: reads until a deadline, and not too much."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._deadline = math.inf
        self._taken = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def begin(self, deadline: float) -> None:
        """Begin a message that must be complete before a deadline (of time.monotonic)."""
        self._deadline = deadline
        self._taken = 0

    def recv(self, size: int) -> bytes:
        """Read some bytes.

        Raises:
            TimeoutError: the deadline passed.
            GpuError: the message is too long.
        """
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the message was not complete in time")
        self._inner.settimeout(None if left == math.inf else left)
        data: bytes = self._inner.recv(size)
        self._taken += len(data)
        if self._taken > MESSAGE_BYTES:
            raise GpuError(f"cut off: a message is longer than {MESSAGE_BYTES >> 20} MiB")
        return data


def abandoned_after(seconds: float, work: Callable[[], _T]) -> _T:
    """Return what a function returns; if that takes too long, its thread is left to itself.

    Raises:
        TimeoutError: it took too long.
    """
    with DaemonPool(1, "gpu-exec") as pool:
        return pool.submit(work).result(seconds)
