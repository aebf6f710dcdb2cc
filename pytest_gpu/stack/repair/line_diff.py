"""How two texts differ, line by line, in a time that grows with their length.

difflib compares each line with all that are like it, and starts anew in each part that it has not
matched. So it is given short texts only: of long ones, what lies between their equal ends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import takewhile
from typing import Literal

Matcher = SequenceMatcher[str]
Tag = Literal["replace", "delete", "insert", "equal"]
Opcode = tuple[Tag, int, int, int, int]

MAX_LINES = 400
"""Most lines of both texts together with which difflib is used."""

MAX_PAIRS = 10_000
"""Most pairs of equal lines."""


class _Told(Matcher):
    """A comparison whose result is known."""

    def __init__(self, opcodes: list[Opcode]) -> None:
        super().__init__(None, (), ())
        self._opcodes = opcodes

    def get_opcodes(self) -> list[Opcode]:
        """Return what it was given."""
        return self._opcodes


def matcher(before: Sequence[str], after: Sequence[str], *, autojunk: bool = True) -> Matcher:
    """Return difflib's comparison; of long texts one that first takes off their equal ends."""
    if _is_short(before, after):
        return SequenceMatcher(None, before, after, autojunk)
    return _Told(list(_trimmed(before, after)))


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
        yield _tag(before=start < old, after=start < new), start, old, start, new
    if rest:
        yield "equal", old, len(before), new, len(after)


def _tag(*, before: bool, after: bool) -> Tag:
    """Return what happens where the texts have lines that the other one has not."""
    if before and after:
        return "replace"
    return "delete" if before else "insert"


def _same(one: Sequence[str], other: Sequence[str]) -> int:
    """Return how many lines are equal at the beginning."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
