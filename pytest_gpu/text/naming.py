"""Lists of names for people: in natural order, or the nearest to a word first, and short."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import SequenceMatcher

FEW = 5
"""Names that a message lists."""

WAITING = "what waits for it"
"""The source of evidence that lists pods: a report does not list them again."""

_NUMBER = re.compile(r"([0-9]+)")

Key = tuple[str | tuple[int, int], ...]


def natural(name: str) -> Key:
    """Return the key that sorts names by the numbers in them: gpu-2 before gpu-10."""
    # Text and numbers take turns, so like is compared with like; 7 comes before 007.
    parts = _NUMBER.split(name)
    return tuple((int(part), len(part)) if at % 2 else part for at, part in enumerate(parts))


def nearest(word: str, names: Iterable[str], limit: int = FEW) -> str:
    """Return the names most like a word, nearest first, as a list; ``none`` if there are none."""
    ordered = sorted(sorted(names, key=natural), key=lambda name: -_likeness(word, name))
    return listed(ordered, limit) or "none"


def listed(names: Iterable[str], limit: int = FEW) -> str:
    """Return names as a readable list that ends with how many were left out."""
    found = list(names)
    rest = len(found) - limit
    shown = ", ".join(found[:limit])
    return f"{shown} and {rest} more" if rest > 0 else shown


def count(number: int, singular: str, plural: str | None = None) -> str:
    """Return a number with its noun: ``1 node``, ``12 nodes``."""
    return f"{number} {singular if number == 1 else plural or f'{singular}s'}"


def _likeness(word: str, name: str) -> float:
    return SequenceMatcher(None, name, word, autojunk=False).ratio()
