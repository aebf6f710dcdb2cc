"""What ``--gpu-nodes`` says: a label selector, or names, patterns and lists of numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from itertools import islice

from pytest_gpu.settings.selector import Selector, parse_selector
from pytest_gpu.text.naming import listed

MOST = 10_000
"""Names that one value may stand for."""

_BALANCED = re.compile(r"(?:[^\[\]]|\[[^\[\]]*\])*")
_COMMA = re.compile(r",(?![^\[\]]*\])")
_VALID = re.compile(r"[A-Za-z0-9*?](?:[A-Za-z0-9*?._/-]*[A-Za-z0-9*?])?")
_LIST = re.compile(r"\[([^\[\]]*)\]")
_RANGE = re.compile(r"([0-9]{1,18})(?:-([0-9]{1,18}))?")
_CONDITION = re.compile(r"[=!()<>]|\s(?:not)?in(?:\s|$)")


def parse_nodes(text: str) -> Selector | tuple[str, ...]:
    """Return the selector, or the names, patterns and label keys, that a text stands for.

    ``gpu-[4,7-9]`` is read as the reports print it: the numbers one by one. In other words
    ``*`` and ``?`` are left for :func:`names_of`.

    Raises:
        ValueError: it is none of these; the message names the wrong part.
    """
    if _CONDITION.search(text):
        return parse_selector(text)
    words = tuple(islice((name for word in _words(text) for name in _expanded(word)), MOST + 1))
    if len(words) > MOST:
        raise ValueError(f"stands for more than {MOST} nodes; use a pattern such as gpu-*")
    if wrong := [word for word in words if not _VALID.fullmatch(word)]:
        raise ValueError(
            f"{listed(map(repr, wrong))} cannot be the name of a node; write names such as gpu-1, "
            "gpu-[4,7-9] or gpu-*, or a label selector such as pool=gpu"
        )
    return tuple(dict.fromkeys(words))


def is_pattern(word: str) -> bool:
    """Return whether a word stands for all names that it matches."""
    return "*" in word or "?" in word


def names_of(word: str, known: AbstractSet[str]) -> frozenset[str]:
    """Return the names that a word stands for: ``*`` is any text, ``?`` any one character."""
    if not is_pattern(word):
        return frozenset({word} & known)
    pattern = re.compile(re.escape(word).replace(r"\*", ".*").replace(r"\?", "."))
    return frozenset(name for name in known if pattern.fullmatch(name))


def _words(text: str) -> list[str]:
    """Return what stands between the commas that are outside brackets."""
    if not _BALANCED.fullmatch(text):
        raise ValueError("has a bracket without its partner; write gpu-[4,7-9]")
    words = [word.strip() for word in _COMMA.split(text)]
    if "" in words:
        raise ValueError("has a comma without a name beside it")
    return words


def _expanded(word: str) -> Iterator[str]:
    """Yield the names that a word with lists of numbers stands for."""
    found = _LIST.search(word)
    if found is None:
        yield word
        return
    for number in _numbers(found[1]):
        for rest in _expanded(word[found.end() :]):
            yield f"{word[: found.start()]}{number}{rest}"


def _numbers(text: str) -> Iterator[str]:
    """Yield the numbers of a list such as ``001-085,090``; leading zeros are kept."""
    for part in text.split(","):
        found = _RANGE.fullmatch(part.strip())
        first, last = (found[1], found[2] or found[1]) if found else ("1", "0")
        if int(first) > int(last):
            raise ValueError(
                f"[{text}] is not a list of numbers; write [4,7-9], smaller numbers first"
            )
        width = len(first) if first.startswith("0") else 0
        for number in range(int(first), int(last) + 1):
            yield str(number).zfill(width)
