"""Environment variables and headers that are written as pairs: ``name: X``, ``value: Y``.

In YAML or JSON, in flow or block style, in either order, on one line or on two.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from pytest_gpu.cluster.redaction.following_lines import LINE_ENDS
from pytest_gpu.cluster.redaction.secret_names import is_harmless, is_secret_env
from pytest_gpu.evidence import REDACTED

_KEY = re.compile(
    r"(?P<head>^[ \t]*+(?:-[ \t]++)*+)?+(?:(?<!\\)\\++[nrt]|(?<![\w.\\-]))"
    r"(?P<open>\\*+[\"'])?+(?P<key>name|key|value)"
    r"(?P<close>\\*+[\"'])?+[ \t]*+[:=][ \t]*+",
    re.IGNORECASE | re.MULTILINE,
)
_QUOTED = re.compile(
    rf"(?P<quote>\\*+[\"'])(?P<text>(?:(?!(?P=quote))(?:\\.|[^\\{LINE_ENDS}]))*+)(?P=quote)"
)
# In block style a value ends with its line, in flow style before a comma or bracket.
_LINE = re.compile(rf"(?P<text>[^{LINE_ENDS}]*+)")
_BARE = re.compile(rf"(?P<text>(?:[^,}}\]\"'\\{LINE_ENDS}]|,(?![ \t]))*+)")
_PAIR = re.compile(rf"(?P<text>[^\s,}}\]\"'\\{LINE_ENDS}]*+)")
_BETWEEN = re.compile(
    r"(?:\\++[nrt]?+|[\"'\s,#+>])*+(?:#[^\n]*+\n\s*+"
    r"|valueFrom\\*+\"?[ \t]*+:[ \t]*+null[ \t]*+,?[\s\\\"]*+)?+"
)
_LIST_SIGNS = re.compile(r"[\s\[\]{},:\"'\\-]*+")


@dataclass(frozen=True, slots=True)
class Scalar:
    """A key and where its text is; ``begin`` is where the key itself begins.

    ``is_item`` tells that it begins an item of a list: the key before it belongs to another item.
    """

    key: str
    begin: int
    start: int
    end: int
    is_item: bool


def redact_pairs(text: str) -> str:
    """Return text without the values of pairs whose name is a secret's."""
    lowered = text.lower()
    if "value" not in lowered or ("name" not in lowered and "key" not in lowered):
        return text
    parts: list[str] = []
    done = 0
    headers = _Headers(text)
    for first, second in pairwise(_scalars(text)):
        pair = _pair(text, first, second)
        if pair is None:
            continue
        name, value = pair
        is_secret = headers.have(first.begin, second.end) or is_secret_env(_of(text, name))
        if is_secret and value.start >= done and not is_harmless("", _of(text, value)):
            parts += (text[done : value.start], REDACTED)
            done = value.end
    return "".join((*parts, text[done:]))


class _Headers:
    """Tells which pairs are headers of a probe: those that follow ``httpHeaders`` at once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._begins = [match.end() for match in re.finditer("httpHeaders", text)]
        self._end = -1

    def have(self, begin: int, end: int) -> bool:
        """Return whether the next pair of the text, which is here, is a header."""
        while self._begins and self._begins[0] <= begin:
            self._end = self._begins.pop(0)
        if self._end < 0:
            return False
        between = _LIST_SIGNS.match(self._text, self._end, begin)
        found = between is not None and between.end() == begin
        self._end = end if found else -1
        return found


def _of(text: str, scalar: Scalar) -> str:
    return text[scalar.start : scalar.end]


def _scalars(text: str) -> Iterator[Scalar]:
    at = 0
    while match := _KEY.search(text, at):
        at = match.end()
        if match["open"] != match["close"]:
            continue
        value = _QUOTED.match(text, at) or _unquoted(match).match(text, at)
        if value is not None:
            start, at = value.start("text"), value.end()
            end = start + len(value["text"].rstrip(" \t,"))
            is_item = "-" in (match["head"] or "")
            yield Scalar(match["key"].lower(), match.start(), start, end, is_item)


def _unquoted(key: re.Match[str]) -> re.Pattern[str]:
    """Return what a text without quotes consists of after this key."""
    if "=" in key[0]:
        return _PAIR
    return _BARE if key["head"] is None else _LINE


def _pair(text: str, first: Scalar, second: Scalar) -> tuple[Scalar, Scalar] | None:
    """Return the name and value of two scalars that are a pair."""
    if second.is_item or (first.key == "value") == (second.key == "value"):
        return None
    between = _BETWEEN.match(text, first.end, second.begin)
    is_next = between is not None and between.end() == second.begin
    if not is_next and not _has_same_prefix(text, first, second):
        return None
    return (second, first) if first.key == "value" else (first, second)


def _has_same_prefix(text: str, first: Scalar, second: Scalar) -> bool:
    """Return whether two keys are on consecutive lines of a log, behind the same words."""
    gap = text[first.end : second.begin]
    if gap.count("\n") != 1:
        return False
    prefix = gap.lstrip("\r\"', ")[1:].rstrip()
    begin = text.rfind("\n", 0, first.begin) + 1
    return prefix != "" and text[begin : first.begin].rstrip("- ") == prefix
