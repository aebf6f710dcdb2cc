"""What no reader must find in a finding's texts: each rule yields what is wrong, in one line.

The rules look at the finding as reports show it (:func:`pytest_gpu.finding_json.as_json`), so they
hold for the catalogue's words and for the values that checks fill in.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any

Told = Mapping[str, Any]
"""A finding with all its texts filled in."""

Rule = Callable[[Told], Iterator[str]]

LONGEST_TITLE = 300
"""Characters of a title, of which paths and names may be the larger part."""

_NOTHING = re.compile(
    r"(?<![\w'\"-])None(?![\w-])|\[\]|\(\)|an empty list"
    r"|\(unknown\b|\bunknown\)|, unknown(?: |$)(?!error)|^[^:]*: (?:unknown|False|True)$|^unknown\b"
    r"|error 0:"
)
_UNFILLED = re.compile(r"(?<!\{)\{[a-z_]+\}(?!\})|%s|%d")
_ONE_OF_MANY = re.compile(r"(?<![\w.,:/=+-])1 ([A-Za-z]+s)(?![\w=/-])")
_MANY_OF_ONE = re.compile(
    r"(?<![\w.,:/=+-])(?<!version )(?:0|[2-9]|\d\d+) (GPU|node|pod|file|function|device)\b(?!\(s\))"
)
_ONE_ARE = re.compile(r"^1 of \D*\bare\b")
_BLANKS = re.compile(r"\S {2,}\S|\S [,;:](?: |$)|^ | $|(?<!')''(?!')")
_GPU = re.compile(r"\bGPU \d+ \([^)]*\)|\b[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_NO_GPU = re.compile(r"\bGPU\b[^:]*: nvml")
_LOWER = re.compile(r"(?:the|a|an|no|this|there|some|something) ")
_NOT_PLURAL = frozenset({"is", "was", "has", "this", "means", "does", "needs", "process", "bus"})


def faults(told: Told) -> list[str]:
    """Return what is wrong with a finding's texts, each with the cause it is about."""
    return [f"{told['cause']}: {said}" for rule in RULES for said in rule(told)]


def prose(told: Told) -> Iterator[str]:
    """Yield what is written for people: title, why, and the words between the commands."""
    yield told["title"]
    yield " ".join(told["why"].split())
    yield from words(told)


def words(told: Told) -> Iterator[str]:
    """Yield the steps of the fix that are words."""
    for kind, step in _steps(told):
        if kind == "words":
            yield step


def _steps(told: Told) -> list[tuple[str, str]]:
    return list(zip(told["fix_kinds"], told["fix"], strict=True))


def nothing_said(told: Told) -> Iterator[str]:
    """A value is missing, and the text says None, unknown or an empty list in its place."""
    texts = [*prose(told), *(item["text"] for item in told["evidence"] if "NVML" in item["source"])]
    yield from (f"says nothing: {text}" for text in texts if _NOTHING.search(text))


def unfilled(told: Told) -> Iterator[str]:
    """A placeholder was not filled in."""
    texts = [*prose(told), *told["check"], *told["fix"]]
    yield from (f"is not filled in: {text}" for text in texts if _UNFILLED.search(text))


def numbers(told: Told) -> Iterator[str]:
    """A number and its noun do not agree."""
    for text in (*prose(told), *(item["text"] for item in told["evidence"])):
        one = [match[1] for match in _ONE_OF_MANY.finditer(text)]
        plural = [each for each in one if each not in _NOT_PLURAL and not each.endswith("ss")]
        if plural or _MANY_OF_ONE.search(text) or _ONE_ARE.search(text):
            yield f"number and noun differ: {text}"


def blanks(told: Told) -> Iterator[str]:
    """Something was left out between two blanks, or between quotes."""
    yield from (f"has a gap: {text!r}" for text in prose(told) if _BLANKS.search(text))


def headings(told: Told) -> Iterator[str]:
    """Words that end with a colon promise a command, a file or a patch, which must follow."""
    steps = [*_steps(told), ("words", "")]
    for (kind, text), (after, _) in pairwise(steps):
        if kind == "words" and text.endswith(":") and after == "words":
            yield f"promises what does not follow: {text}"
    if told["why"].rstrip().endswith(":"):
        yield f"promises what does not follow: {told['why']}"


def empty_steps(told: Told) -> Iterator[str]:
    """A step has no text, a patch has no lines, or a file is a remark."""
    for kind, text in _steps(told):
        empty = not text.strip("$ \n")
        patch = "+++ " in text and not re.search(r"^[-+](?!--|\+\+)", text, re.MULTILINE)
        if empty or patch or (kind == "file" and text.startswith("(")):
            yield f"step {kind} is empty: {text!r}"


def repeated(told: Told) -> Iterator[str]:
    """A GPU or another thing is named twice in a title, or a step or evidence stands twice."""
    title = told["title"]
    listed = title.rpartition(": ")[2].split(", ")
    lists = (_GPU.findall(title), listed, [*map(str, told["evidence"])], _commands(told))
    twice = [name for each in lists for name, times in Counter(each).items() if times > 1]
    yield from (f"is there twice: {name}" for name in dict.fromkeys(twice))


def _commands(told: Told) -> list[str]:
    """Return the steps that need not be done twice: patches and files."""
    return [text for kind, text in _steps(told) if kind == "file" or "+++ " in text]


def no_gpu(told: Told) -> Iterator[str]:
    """What a title gives as the name of a GPU is a function of NVML."""
    if _NO_GPU.search(told["title"]):
        yield f"names no GPU: {told['title']}"


def titles(told: Told) -> Iterator[str]:
    """A title is one short line: it begins like a sentence and has no full stop."""
    title = told["title"]
    if "\n" in title or title.endswith((".", ":", ",")) or _LOWER.match(title):
        yield f"is no title: {title!r}"
    if len(title) > LONGEST_TITLE:
        yield f"the title has {len(title)} characters: {title}"


RULES: tuple[Rule, ...] = (
    nothing_said,
    unfilled,
    numbers,
    blanks,
    headings,
    empty_steps,
    repeated,
    no_gpu,
    titles,
)
