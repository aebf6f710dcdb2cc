"""Environment variables and headers that are written as pairs: ``name: X``, ``value: Y``.

In YAML or JSON, in flow or block style, in either order, on one line or on two.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from pytest_gpu.cluster.redaction.following_lines import LINE_ENDS
from pytest_gpu.cluster.redaction.secret_names import is_harmless, is_secret_env
from pytest_gpu.evidence import REDACTED

# In block style a value ends with its line, in flow style before a comma or bracket.
_SCALAR = re.compile(
    r"(?P<head>^[ \t]*+(?:-[ \t]++)*+)?+(?<![\w.-])(?P<open>\\*+[\"'])?+(?P<key>name|key|value)"
    r"(?(open)(?P=open))[ \t]*+[:=][ \t]*+(?:(?P<quote>\\*+[\"'])"
    rf"(?P<quoted>(?:(?!(?P=quote))(?:\\.|[^\\{LINE_ENDS}]))*+)(?P=quote)"
    rf"|(?(head)(?P<line>[^{LINE_ENDS}]*+)|(?P<bare>(?:[^,}}\]\"'\\{LINE_ENDS}]|,(?![ \t]))*+)))",
    re.IGNORECASE | re.MULTILINE,
)
_BETWEEN = re.compile(r"[\\\"'\s,]*+(?:#[^\n]*+\n\s*+)?+")


def redact_pairs(text: str) -> str:
    """Return text without the values of pairs whose name is a secret's."""
    lowered = text.lower()
    if "value" not in lowered or ("name" not in lowered and "key" not in lowered):
        return text
    parts: list[str] = []
    done = 0
    for start, end in _secret_values(text):
        if start >= done:
            parts += (text[done:start], REDACTED)
            done = end
    return "".join((*parts, text[done:]))


def _secret_values(text: str) -> Iterator[tuple[int, int]]:
    scalars = list(_SCALAR.finditer(text))
    for first, second in pairwise(scalars):
        yield from _of_pair(text, first, second)


def _of_pair(text: str, first: re.Match[str], second: re.Match[str]) -> Iterator[tuple[int, int]]:
    keys = [first["key"].lower(), second["key"].lower()]
    if keys.count("value") != 1 or not _is_adjacent(text, first, second):
        return
    name, value = (second, first) if keys[0] == "value" else (first, second)
    named, told = _span(text, name), _span(text, value)
    if is_secret_env(text[slice(*named)]) and not is_harmless("", text[slice(*told)]):
        yield told


def _span(text: str, scalar: re.Match[str]) -> tuple[int, int]:
    """Return where a scalar's text is."""
    group = next(name for name in ("quoted", "line", "bare") if scalar[name] is not None)
    start, end = scalar.span(group)
    return start, start + len(text[start:end].rstrip(" \t,"))


def _is_adjacent(text: str, first: re.Match[str], second: re.Match[str]) -> bool:
    start, end = _span(text, first)[1], second.start()
    between = _BETWEEN.match(text, start, end)
    return between is not None and between.end() == end

