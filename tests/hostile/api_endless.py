"""What an API server may answer: lists of the wrong shape, bodies without end, refusals, names."""

from __future__ import annotations

import gzip
import itertools
import json
import time
from collections.abc import Iterator
from typing import Any

from tests.hostile.api_asked import GROUPS, NO_LIST, NODES, PODS, QUICK
from tests.hostile.api_lists import gpu_node
from tests.hostile.inputs import Input
from tests.hostile.live import answering, streamed
from tests.hostile.stub_api import HostileHandler


def _forever(part: bytes) -> Iterator[bytes]:
    return itertools.repeat(part)


def _slowly(part: bytes) -> Iterator[bytes]:
    while True:
        yield part
        time.sleep(0.3)


def _bomb() -> bytes:
    return gzip.compress(b" " * (1 << 20), 1) * 1024


def _pages(item: bytes) -> Any:
    """Return an answer whose every page has another one behind it."""
    numbers = itertools.count()

    def answer(handler: HostileHandler) -> None:
        head = b'{"metadata": {"continue": "%d"}, "items": [' % next(numbers)
        handler.send_bytes(head + item + b"]}")

    return answer


def _again(handler: HostileHandler) -> None:
    handler.send_bytes(b'{"metadata": {"continue": "again"}, "items": []}')


def _broken_off(handler: HostileHandler) -> None:
    handler.send_bytes(b'{"items": [', Content_Length="1000")


def _hangs(handler: HostileHandler) -> None:
    time.sleep(20)


def _wide(handler: HostileHandler) -> None:
    handler.send_bytes('{"items": ["\U0001f600'.encode() + b"x" * (30 << 20) + b'"]}')


def endless() -> Iterator[Input]:
    """Yield answers that do not end, or are longer than any should be."""
    yield from _long_bodies("cut off after")
    yield from _slow_bodies()
    yield from _endless_pages()


def _endless_pages() -> Iterator[Input]:
    many = b",".join([json.dumps(gpu_node(metadata={"name": "x" * 50})).encode()] * 5000)
    yield answering("a page that follows itself", NODES, _again, "a page follows itself")
    yield answering("endless empty pages", NODES, _pages(b""), "the list", QUICK)
    yield answering("endless pages", NODES, _pages(many), "the list", QUICK)
    yield answering(
        "endless pages of pods",
        PODS,
        _pages(many),
        "could not read pods",
        QUICK,
        exit=1,
        layers="device-plugin",
        hurt="device-plugin",
    )


def _long_bodies(gone: str) -> Iterator[Input]:
    yield answering("endless body", NODES, streamed(lambda: _forever(b" " * (1 << 16))), gone)
    yield answering(
        "endless line of brackets", NODES, streamed(lambda: _forever(b"{" * 65536)), gone
    )
    yield answering(
        "gzip bomb",
        NODES,
        lambda handler: handler.send_bytes(_bomb(), Content_Encoding="gzip"),
        gone,
    )
    yield answering(
        "many parts",
        NODES,
        lambda handler: handler.send_bytes(b'{"items": [' + b"{}," * 4_000_000 + b"{}]}"),
        "parts",
    )
    yield answering(
        "many texts",
        NODES,
        lambda handler: handler.send_bytes(b'{"items": [' + b'"ab",' * 4_000_000 + b'""]}'),
        "parts",
    )
    yield answering(
        "one wide character in a long body",
        NODES,
        _wide,
        NO_LIST,
    )


def _slow_bodies() -> Iterator[Input]:
    yield answering("drip", NODES, streamed(lambda: _slowly(b" ")), "was not complete", QUICK)
    yield answering("drip of groups", GROUPS, streamed(lambda: _slowly(b" ")), "complete", QUICK)
    yield answering("silence", NODES, _hangs, "cannot be reached", QUICK)
    yield answering("broken off", NODES, _broken_off, "the answer broke off")


def endless_inputs() -> tuple[Input, ...]:
    """Return all inputs of this module."""
    return tuple(endless())
