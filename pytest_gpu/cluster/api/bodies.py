"""The body of an answer, read within a budget of bytes and of time."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from pytest_gpu.cluster.api.answers import ApiError

MAX_BODY = 32 << 20
"""Bytes of one answer after decompression; a page of 500 large pods has about 15 MiB."""

ANSWER_TIME = 120.0
"""Seconds for one whole answer."""

_CHUNK = 1 << 16


def chunks(response: Any) -> Iterator[bytes]:
    """Yield the parts of an answer, decompressed.

    Raises:
        ApiError: it is too long, or the connection breaks.
    """
    import urllib3  # noqa: PLC0415 - heavy

    size = 0
    try:
        for chunk in response.stream(_CHUNK, decode_content=True):
            size += len(chunk)
            if size > MAX_BODY:
                raise ApiError(200, "", f"the answer was cut off after {MAX_BODY >> 20} MiB")
            yield chunk
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise ApiError(0, "Unreachable", f"the answer broke off: {error}") from error


@contextmanager
def ended_after(response: Any, seconds: float) -> Iterator[None]:
    """Hang up if an answer is not complete after a number of seconds.

    A timeout of the connection counts from the last byte: a server that sends a byte now and then
    would never be late.

    Raises:
        ApiError: it was not complete.
    """
    late = threading.Event()
    timer = threading.Timer(seconds, _hang_up, [response, late])
    timer.daemon = True
    timer.start()
    try:
        yield
    except ApiError:
        if not late.is_set():
            raise
    finally:
        timer.cancel()
    # An answer without a length seems to be complete when the connection ends.
    if late.is_set():
        raise ApiError(0, "Unreachable", f"the answer was not complete after {seconds:g} s")


def _hang_up(response: Any, late: threading.Event) -> None:
    """End the reading in another thread; urllib3 before 2.3 has no way of its own."""
    late.set()
    with suppress(OSError):
        if hasattr(response, "shutdown"):
            response.shutdown()
        elif line := getattr(response.connection, "sock", None):
            line.shutdown(socket.SHUT_RDWR)
