"""What may be written after ``--gpu-nodes=``, and that printed names can be pasted there."""

from __future__ import annotations

import pytest

from pytest_gpu.report.blocks import Block
from pytest_gpu.settings.node_words import names_of, parse_nodes
from pytest_gpu.settings.selector import Selector

WORDS = {
    "gpu-1": ["gpu-1"],
    " gpu-1 , gpu-2 ": ["gpu-1", "gpu-2"],
    "gpu-1,gpu-1": ["gpu-1"],
    "gpu-[4,7,9]": ["gpu-4", "gpu-7", "gpu-9"],
    "gpu-[4, 7-9]": ["gpu-4", "gpu-7", "gpu-8", "gpu-9"],
    "gpu-[008-010]": ["gpu-008", "gpu-009", "gpu-010"],
    "gpu-[9-11].eu": ["gpu-9.eu", "gpu-10.eu", "gpu-11.eu"],
    "r[1,2]n[3-4]": ["r1n3", "r1n4", "r2n3", "r2n4"],
    "gpu-[1,2], b": ["gpu-1", "gpu-2", "b"],
    "gpu-[1-2]*": ["gpu-1*", "gpu-2*"],
    "nvidia.com/gpu.present": ["nvidia.com/gpu.present"],
}


@pytest.mark.parametrize(("text", "words"), WORDS.items(), ids=WORDS)
def test_words(text: str, words: list[str]) -> None:
    """Lists of numbers are written out, each name once."""
    assert parse_nodes(text) == tuple(words)


@pytest.mark.parametrize("text", ["a=b", "!a", "a in (b)", "a notin (b)", "a>1", "a,b!=c"])
def test_conditions_are_a_selector(text: str) -> None:
    """No name of a node has such characters."""
    assert isinstance(parse_nodes(text), Selector)


PATTERNS = {
    "gpu-*": {"gpu-1", "gpu-10"},
    "gpu-?": {"gpu-1"},
    "*": {"gpu-1", "gpu-10", "a.b", "axb"},
    "a.b": {"a.b"},
    "a.*": {"a.b"},
    "*-1*": {"gpu-1", "gpu-10"},
    "x*": set(),
    "gpu": set(),
}


@pytest.mark.parametrize(("word", "names"), PATTERNS.items(), ids=PATTERNS)
def test_patterns(word: str, names: set[str]) -> None:
    """A dot is a dot."""
    assert names_of(word, {"gpu-1", "gpu-10", "a.b", "axb"}) == names


@pytest.mark.parametrize(
    "names",
    [
        [f"gpu-{number}" for number in (4, 7, 9, 10, 11, 100)],
        [f"gpu-{number:03}" for number in range(0, 100, 3)],
        [f"{a}{n}{z}" for a in "ab" for n in ("7", "07", "8", "08", "010") for z in "xy"],
        [f"ip-10-0-{a}-{b}.eu.compute.internal" for a in range(3) for b in (1, 2, 17)],
        ["gpu", "node-1", "gpu-1-2", "1", "2", "007"],
    ],
)
def test_printed_names_can_be_pasted(names: list[str]) -> None:
    """What a block lists as the nodes of a cause means these nodes."""
    printed = Block(100, unicode=True).names(names)
    words = parse_nodes(printed)
    assert isinstance(words, tuple)
    assert set(words) == set(names)
