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
    r"(?P<head>^[ \t]*+(?:-[ \t]++)*+)?+(?<![\w.\\-])(?P<open>\\*+[\"'])?+(?P<key>name|key|value)"
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
    r"[\\\"'\s,]*+(?:#[^\n]*+\n\s*+"
    r"|\\*+\"?valueFrom\\*+\"?[ \t]*+:[ \t]*+null[ \t]*+,?[\s\\\"]*+)?+"
)


@dataclass(frozen=True, slots=True)
class Scalar:
    """A key and where its text is; ``begin`` is where the key itself begins."""

    key: str
    begin: int
    start: int
    end: int


def redact_pairs(text: str) -> str:
    """Return text without the values of pairs whose name is a secret's."""
    lowered = text.lower()
    if "value" not in lowered or ("name" not in lowered and "key" not in lowered):
        return text
    parts: list[str] = []
    done = 0
    for first, second in pairwise(_scalars(text)):
        value = _secret_value(text, first, second)
        if value is not None and value.start >= done:
            parts += (text[done : value.start], REDACTED)
            done = value.end
    return "".join((*parts, text[done:]))


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
            yield Scalar(match["key"].lower(), match.start(), start, end)


def _unquoted(key: re.Match[str]) -> re.Pattern[str]:
    """Return what a text without quotes consists of after this key."""
    if "=" in key[0]:
        return _PAIR
    return _BARE if key["head"] is None else _LINE


def _secret_value(text: str, first: Scalar, second: Scalar) -> Scalar | None:
    """Return the value of two scalars that are a pair, if it is a secret."""
    if (first.key == "value") == (second.key == "value"):
        return None
    between = _BETWEEN.match(text, first.end, second.begin)
    if between is None or between.end() != second.begin:
        return None
    name, value = (second, first) if first.key == "value" else (first, second)
    is_plain = is_harmless("", text[value.start : value.end])
    return value if is_secret_env(text[name.start : name.end]) and not is_plain else None
