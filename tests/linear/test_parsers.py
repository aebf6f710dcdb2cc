"""Every parser takes linear time and memory: its steps are counted, not its seconds."""

from __future__ import annotations

import gc
import re
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from types import CodeType, FrameType
from typing import Any

import pytest

from pytest_gpu.errors import GpuError
from tests.linear.parsers import PARSERS, Parse, hostile
from tests.linear.patterns import modules

GROWTH = 5
"""What four times the text may cost."""

FEW_STEPS = 3_000
"""Below this number of steps what every call costs is too large a part to tell anything."""

FEW_BYTES = 200_000

MORE_BYTES = 6
"""As many times the memory: tables grow in steps, and garbage waits to be collected."""

COUNT = 120
"""Above it no parser turns to another way of reading."""

REFUSED = (GpuError, ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""How parsers refuse a text; that each refusal is evidence is tested with the checks."""


class Steps:
    """Counts the lines of Python that are executed, and notes in which code."""

    def __init__(self) -> None:
        self.count = 0
        self.code = set[CodeType]()

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count what is executed inside, with whatever else traces put back afterwards."""
        before = sys.gettrace()
        sys.settrace(self._called)
        try:
            yield
        finally:
            sys.settrace(before)

    def _called(self, frame: FrameType, _event: str, _argument: Any) -> Any:
        self.code.add(frame.f_code)
        return self._line

    def _line(self, _frame: FrameType, event: str, _argument: Any) -> Any:
        self.count += event == "line"
        return self._line


@cache
def caches() -> list[Any]:
    """Return every function of the package that remembers its results."""
    values = [value for module in modules() for value in vars(module).values()]
    return [value for value in values if hasattr(value, "cache_clear")]


def forget() -> None:
    """Let every parser read each text anew."""
    for function in caches():
        function.cache_clear()
    re.purge()


def steps(parse: Parse, text: str) -> int:
    """Return how many lines of Python a parser executes for a text."""
    counter = Steps()
    forget()
    with suppress(*REFUSED), counter.counted():
        parse(text)
    return counter.count


def memory(parse: Parse, text: str) -> int:
    """Return how many bytes a parser has at most while it reads a text."""
    forget()
    threshold = gc.get_threshold()
    gc.set_threshold(100, *threshold[1:])  # errors keep their frames until they are collected
    tracemalloc.start()
    try:
        with suppress(*REFUSED):
            parse(text)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        gc.set_threshold(*threshold)


@pytest.mark.parametrize("name", [*PARSERS])
def test_four_times_the_text_takes_four_times_the_steps(name: str) -> None:
    """Whatever the text: many items, open quotes, nesting, long lines."""
    parse, seeds = PARSERS[name]
    slow = []
    for seed in seeds:
        small, large = hostile(seed, COUNT), hostile(seed, 4 * COUNT)
        for family, text in large.items():
            few, many = steps(parse, small[family]), steps(parse, text)
            if many > FEW_STEPS and many / len(text) > few / len(small[family]) * GROWTH / 4:
                slow.append(f"{family} of {seed!r}: {few} steps, then {many}")
    assert not slow, "\n".join(slow)


@pytest.mark.parametrize("name", [*PARSERS])
def test_four_times_the_text_takes_four_times_the_memory(name: str) -> None:
    """What is kept does not multiply with what is read."""
    parse, seeds = PARSERS[name]
    large = []
    for seed in seeds[:3]:
        few, many = hostile(seed, COUNT), hostile(seed, 4 * COUNT)
        for family in ("many items", "sections", "brackets", "dotted keys"):
            before = memory(parse, few[family])
            # The least of two: Python's own tables, such as that of known names, grow at any time.
            after = min(memory(parse, many[family]) for _ in range(2))
            if after > MORE_BYTES * max(before, FEW_BYTES):
                large.append(f"{family} of {seed!r}: {before} bytes, then {after}")
    assert not large, "\n".join(large)


@pytest.mark.parametrize(
    ("parse", "noticed"),
    [
        (lambda text: [text.count("a") for _ in text], False),
        (lambda text: [each for line in text.split("\n") for each in text.split("\n")], True),
        (lambda text: sorted(text.split("\n")), False),
    ],
    ids=["in C", "in Python", "linear"],
)
def test_what_is_not_linear_is_noticed(parse: Parse, noticed: bool) -> None:
    """Loops in Python are; what one call into C does is not counted."""
    few, many = steps(parse, "a\n" * 400), steps(parse, "a\n" * 1600)
    assert (many > GROWTH * few) == noticed


def test_what_is_counted_is_what_is_executed() -> None:
    """A loop of ten rounds has ten times the lines."""
    assert steps(lambda text: [int(each) for each in text], "1" * 10) > 0
