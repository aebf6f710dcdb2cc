"""How two texts differ, line by line, in a time that grows with their length.

difflib compares each line with all that are like it, and starts anew in each part that it has not
matched. So it is given short texts only: of long ones, what lies between their equal ends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import takewhile

Matcher = SequenceMatcher[str]
Opcode = tuple[str, int, int, int, int]

MAX_LINES = 400
"""Most lines of both texts together with which difflib is used."""

MAX_PAIRS = 10_000
"""Most pairs of equal lines."""


def matcher(before: Sequence[str], after: Sequence[str], *, autojunk: bool = True) -> Matcher:
    """Return difflib's comparison; of long texts one that first takes off their equal ends."""
    if _is_short(before, after):
        return SequenceMatcher(None, before, after, autojunk)
    found = SequenceMatcher(None, "", "")
    found.opcodes = list(_trimmed(before, after))
    return found


def unified(before: Sequence[str], after: Sequence[str], context: int) -> Iterator[str]:
    """Yield the hunks of a unified diff of lines that have their ends, without the file names."""
    for group in matcher(before, after).get_grouped_opcodes(context):
        old = _range(group[0][1], group[-1][2])
        new = _range(group[0][3], group[-1][4])
        yield f"@@ -{old} +{new} @@\n"
        for tag, start, end, new_start, new_end in group:
            if tag == "equal":
                yield from (f" {line}" for line in before[start:end])
                continue
            yield from (f"-{line}" for line in before[start:end])
            yield from (f"+{line}" for line in after[new_start:new_end])


def _range(start: int, stop: int) -> str:
    """Return a range of lines as ``diff -u`` prints it."""
    length = stop - start
    if length == 1:
        return str(start + 1)
    return f"{start + 1 if length else start},{length}"


def _is_short(before: Sequence[str], after: Sequence[str]) -> bool:
    if len(before) + len(after) > MAX_LINES:
        return False
    there = Counter(after)
    return sum(count * there[line] for line, count in Counter(before).items()) <= MAX_PAIRS


def _trimmed(before: Sequence[str], after: Sequence[str]) -> Iterator[Opcode]:
    """Yield what is equal at both ends, and the changes in between; one where that is long."""
    start = _same(before, after)
    rest = _same(before[start:][::-1], after[start:][::-1])
    old, new = len(before) - rest, len(after) - rest
    if start:
        yield "equal", 0, start, 0, start
    if _is_short(between := before[start:old], others := after[start:new]):
        for tag, first, last, other, end in SequenceMatcher(None, between, others).get_opcodes():
            yield tag, start + first, start + last, start + other, start + end
    else:
        tag = "replace" if start < old and start < new else "delete" if start < old else "insert"
        yield tag, start, old, start, new
    if rest:
        yield "equal", old, len(before), new, len(after)


def _same(one: Sequence[str], other: Sequence[str]) -> int:
    """Return how many lines are equal at the beginning."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
