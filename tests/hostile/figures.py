"""The figures of many tries, in one line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tests.hostile.inputs import FAMILIES
from tests.hostile.judging import Kind
from tests.hostile.trying import Tried

COUNTED: dict[Kind, str] = {
    "traceback": "tracebacks",
    "time": "over 5 s",
    "memory": "over 512 MiB",
    "escape": "raw escapes",
    "green": "green",
    "exit": "wrong exit code",
    "line": "wrong line",
    "node": "other nodes not judged",
    "left": "left behind",
}
"""Kinds of faults, as the figures name them."""


def figures(tried: Sequence[Tried]) -> str:
    """Return how many inputs there were, how many had each fault, and which cost most."""
    families = Counter(each.family for each in tried)
    faults = Counter(kind for each in tried for kind in {fault.kind for fault in each.faults})
    slowest = max(tried, key=lambda each: each.seconds)
    largest = max(tried, key=lambda each: each.peak)
    return (
        f"{len(tried)} inputs: {', '.join(f'{name} {families[name]}' for name in FAMILIES)}; "
        f"{'; '.join(f'{words} {faults[kind]}' for kind, words in COUNTED.items())}; "
        f"slowest {slowest.seconds:.1f} s {slowest.input}; "
        f"largest {largest.peak >> 20} MiB {largest.input}"
    )


def complaints(each: Tried) -> list[str]:
    """Return a line for each thing that is wrong with an input."""
    return [f"FAIL {each.input}: {fault.kind}: {fault.what}" for fault in each.faults]
