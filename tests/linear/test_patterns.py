"""Every regular expression takes linear time: its steps are counted, not its seconds."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_gpu.messages import table
from tests.linear.counted_pattern import MOST, CountedPattern
from tests.linear.patterns import Used, attacks, largest_bound, modules, used

GROWTH = 5
"""What four times the text may cost: a linear pattern takes four times the steps."""

ELSEWHERE = {
    "pytest_gpu.cluster.redaction": "redaction has tests of its own",
    "pytest_gpu.settings": "reads the user's own options",
    "pytest_gpu.probe": "runs on the node, and reads what the node itself printed",
}

PUT_TOGETHER = {
    "pytest_gpu.cluster.recording.renaming:pattern.replace('{}', f'({olds})')": [
        re.compile("(node-a|node-b)-gpu")
    ],
    "pytest_gpu.report.findings:f'(?<![\\\\w.-]){re.escape(node)}(?![\\\\w-]|\\\\.\\\\w)'": [
        re.compile(r"(?<![\w.-])node(?![\w-]|\.\w)")
    ],
    'pytest_gpu.stack.repair.config_versions:f"""([\\\\"\']){re.escape(old)}\\\\1"""': [
        re.compile(r"([\"'])cri\1")
    ],
    'pytest_gpu.stack.runtime.check_templates:f"""([\\\\"\']){re.escape(old)}\\\\1"""': [
        re.compile(r"([\"'])cri\1")
    ],
    "pytest_gpu.stack.runtime.check_cgroups:f'^[^\\\\S\\\\n]*(\\\\[.*\\\\.)?{key}\\\\s*[\\\\]=]'": [
        re.compile(r"^[^\S\n]*(\[.*\.)?cni\s*[\]=]", re.MULTILINE)
    ],
}
"""Patterns that hold a value which is known at run time only, with an example of each."""


@pytest.fixture(autouse=True)
def deep() -> Iterator[None]:
    """Let the matcher recurse: it calls itself for every repetition of a group."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    yield
    sys.setrecursionlimit(before)


def growth(pattern: re.Pattern[Any], how: str) -> tuple[float, str]:
    """Return the largest factor by which the steps grow with four times the text, and that text."""
    counted, worst = CountedPattern(pattern), (0.0, "")
    count = max(30, 2 * largest_bound(pattern))
    for small, large in zip(attacks(pattern, count), attacks(pattern, 4 * count), strict=True):
        steps = counted.run(large, how)
        factor = float(GROWTH + 1) if steps > MOST else steps / counted.run(small, how)
        worst = max(worst, (factor, repr(small[:80])))
    return worst


def all_used() -> list[Used | str]:
    """Return every use of a pattern that is ours to test."""
    return [
        *(
            each
            for module in modules()
            if not module.__name__.startswith(tuple(ELSEWHERE))
            for each in used(module)
        ),
        *(Used(row.pattern, f"messages.toml: {row.cause}", "search") for row in table()),
    ]


def test_every_pattern_takes_linear_time() -> None:
    """No text makes it start again and again, or go back again and again."""
    slow = []
    known = dict[tuple[object, int, str], Used]()
    for each in all_used():
        if isinstance(each, Used):
            known.setdefault((each.pattern.pattern, each.pattern.flags, each.how), each)
    for each in known.values():
        factor, text = growth(each.pattern, each.how)
        if factor > GROWTH:
            slow.append(f"{each.place} ({each.how}): {factor:.0f} times for {text}")
    assert not slow, "\n".join(slow)
    assert len(known) > 100


def test_patterns_that_are_put_together_have_an_example() -> None:
    """A new one must be added above; one that is gone must be taken out."""
    assert {each for each in all_used() if isinstance(each, str)} == set(PUT_TOGETHER)


@pytest.mark.parametrize("place", [*PUT_TOGETHER])
def test_the_examples_take_linear_time(place: str) -> None:
    """As all others do."""
    for pattern in PUT_TOGETHER[place]:
        assert growth(pattern, "search")[0] <= GROWTH


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("a.*b", "a" * 20),
        ("(a|b)*?c(?=d)", "abacdbbcd"),
        (r"(['\"]).*?\1", "x'a\"b' \"\"'"),
        (r"\bfoo(?:\s+|,)*bar$", "foo , bar\nfoo bar"),
        ("(?>a+)b|c", "aaabc"),
        (r"^x\w{2,3}+", "xabcd\nxab"),
        ("ABC(?<!z)d?", "zabcd"),
    ],
)
@pytest.mark.parametrize("flags", [0, re.MULTILINE, re.IGNORECASE])
def test_the_counting_matcher_finds_what_re_finds(pattern: str, text: str, flags: int) -> None:
    """Otherwise it would count the steps of another pattern."""
    compiled = re.compile(pattern, flags)
    assert CountedPattern(compiled).spans(text) == [each.span() for each in compiled.finditer(text)]


@pytest.mark.parametrize("pattern", ["a.*b", r"\s+$", "(a+)+b", r"\d+x", r"(?m)^\s*a", "<[^>]*>"])
def test_what_is_not_linear_is_noticed(pattern: str) -> None:
    """Each of these starts again at every character, or worse."""
    assert growth(re.compile(pattern), "search")[0] > GROWTH


@pytest.mark.parametrize("pattern", [r"\A(?>.*?a).*b", "(?<!a)a++b", r"(?m)^[^\S\n]*a", "<[^<>]*>"])
def test_what_is_linear_passes(pattern: str) -> None:
    """The same, written so that it does not."""
    assert growth(re.compile(pattern), "search")[0] <= GROWTH
