"""Secrets that stand beside a name in one line: ``password: x``, ``TOKEN=x``, ``--token x``.

One pass from left to right: a name, what separates it from its value, the value. The position only
moves forward, so a line takes linear time. A secret that continues on the following lines returns
a function that redacts those.
"""

from __future__ import annotations

import re
from functools import partial

from pytest_gpu.cluster.redaction import following_lines as following
from pytest_gpu.cluster.redaction.bare_values import REST, Found, Place, bare_value
from pytest_gpu.cluster.redaction.following_lines import LINE_ENDS, Take
from pytest_gpu.cluster.redaction.secret_names import is_harmless, is_secret_name
from pytest_gpu.evidence import REDACTED

_NAMED = re.compile(
    r"(?:(?P<newline>(?<!\\)\\++[nrt])|(?<![\w./\\-]))(?P<dash>--?)?+(?P<open>\\*+[\"'])?+"
    r"(?P<name>(?:(?:api|access|secret|private|license|account)[ ](?=[a-z]))?+[\w.][\w./-]*+)"
    r"(?P<close>\\*+[\"']|\])?+(?P<sep>[ \t]*+(?:[=-]>|:=|[:=])[ \t]*+|[ \t]++)",
    re.IGNORECASE,
)
# What may stand before the name of a line: indentation, a comment sign, list items, "export".
_HEAD = re.compile(
    r"[\s>#;+]*+(?:-[ \t]++)*+(?:(?:export|set|setenv|declare|readonly|env|arg)[ \t]++"
    r"(?:-\w++[ \t]++)?+)?+",
    re.IGNORECASE,
)
_ELEMENT = re.compile(rf"<(?P<name>[\w.:-]++)>(?P<value>[^<>{LINE_ENDS}]++)(?=</)")
_PREFIX = re.compile(r"(?:[&!][^\s]*+[ \t]++)++")
_BLOCK = re.compile(r"[|>][-+0-9]*+[ \t]*+(?:#.*+)?\r?$")
_NOTHING = re.compile(r"[ \t]*+(?:#.*+)?\r?$")
# Two single quotes stand for one inside of YAML's single quotes.
_QUOTE = re.compile(r"''(?=\w)|\\*+[\"']")
_DOUBLE = re.compile(rf"(?:[^\"\\{LINE_ENDS}]|\\.)*+")
_SINGLE = re.compile(rf"(?:[^'{LINE_ENDS}]|'')*+")


def redact_names(line: str) -> tuple[str, Take | None]:
    """Return a line without secrets, and a function for the following lines.

    It is ``None`` unless a secret continues there.
    """
    line = _ELEMENT.sub(_redact_element, line)
    parts: list[str] = []
    done = at = 0
    head = _HEAD.match(line)
    flow = line.find("{")
    while match := _NAMED.search(line, at):
        at = match.end()
        place = Place(line, match, head.end() if head else 0, flow)
        if not _is_candidate(place) or (found := _value(place)) is None:
            continue
        parts += (line[done : found.start], found.text)
        done = at = found.end
        if found.take is not None:
            return "".join((*parts, line[done:])), found.take
    return "".join((*parts, line[done:])), None


def _redact_element(match: re.Match[str]) -> str:
    name, value = match["name"], match["value"]
    hidden = is_secret_name(name) and not is_harmless(name, value)
    return f"<{name}>{REDACTED}" if hidden else match[0]


def _is_candidate(place: Place) -> bool:
    flag = place.match["dash"] and not place.match["open"]
    if not place.separator and not flag:
        return False
    return not place.name.startswith(("./", "../")) and is_secret_name(place.name)


def _value(place: Place) -> Found | None:
    at = place.start
    if ":" in place.separator and (prefix := _PREFIX.match(place.line, at)):
        at = prefix.end()
    rest = place.line[at : at + 3]
    if place.at_head and place.separator and (found := _below(place, at)):
        return found
    if rest in ('"""', "'''"):
        return _long(place, at, rest)
    if rest.startswith("["):
        return _list(place, at)
    if rest.startswith("{") or (rest.startswith("*") and ":" in place.separator):
        return None
    if quote := _QUOTE.match(place.line, at):
        return _quoted(place, quote)
    return bare_value(place, at)


def _below(place: Place, at: int) -> Found | None:
    """Return a value that begins on the next line."""
    if ":" in place.separator and _BLOCK.match(place.line, at):
        return Found(at, at, "", partial(following.take_block, column=place.column))
    if ":" in place.separator and _NOTHING.match(place.line, at):
        return Found(at, at, "", partial(following.take_below, column=place.column))
    return None


def _long(place: Place, at: int, quotes: str) -> Found:
    """Return a string between triple quotes."""
    end = place.line.find(quotes, at + 3)
    if end >= 0:
        inner = place.line[at + 3 : end]
        return Found(at + 3, end, REDACTED if inner.strip() else inner)
    text = REDACTED if place.line[at + 3 :].strip() else ""
    stop = REST.match(place.line, at + 3)
    take = partial(following.take_until, quotes=quotes)
    return Found(at + 3, stop.end() if stop and text else at + 3, text, take)


def _list(place: Place, at: int) -> Found:
    """Return a list: the strings in it are redacted, on the following lines, too."""
    text, end, closed = following.redact_items(place.line, at + 1)
    return Found(at + 1, end, text, None if closed else following.take_list)


def _quoted(place: Place, quote: re.Match[str]) -> Found | None:
    start = quote.end()
    end, closed = _closing(place.line, start, quote[0])
    if is_harmless(place.name, place.line[start:end]):
        return None
    if closed:
        return Found(start, end)
    goes_on = place.at_head and len(quote[0]) == 1
    take = partial(following.take_quoted, quote=quote[0]) if goes_on else None
    return Found(start, end, REDACTED if end > start else "", take)


def _closing(line: str, start: int, quote: str) -> tuple[int, bool]:
    """Return where a quoted text ends, and whether a quote closes it."""
    if len(quote) == 1:
        inside = (_DOUBLE if quote == '"' else _SINGLE).match(line, start)
        end = inside.end() if inside else start
        return end, line.startswith(quote, end)
    end = line.find(quote, start)
    while end > 0 and line[end - 1] == "\\":
        end = line.find(quote, end + len(quote))
    if end >= 0:
        return end, True
    rest = REST.match(line, start)
    return rest.end() if rest else start, False
