"""Secrets that stand beside a name in one line: ``password: x``, ``TOKEN=x``, ``--token x``.

One pass from left to right: a name, what separates it from its value, the value. The position only
moves forward, so a line takes linear time. What continues on the following lines is claimed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from pytest_gpu.cluster.redaction import following_lines as following
from pytest_gpu.cluster.redaction.following_lines import LINE_ENDS, Take
from pytest_gpu.cluster.redaction.secret_names import (
    is_certain,
    is_harmless,
    is_secret_name,
    is_vague,
    looks_secret,
)
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
    r"(?:-\w+[ \t]++)?+)?+",
    re.IGNORECASE,
)
_ELEMENT = re.compile(rf"<(?P<name>[\w.:-]++)>(?P<value>[^<>{LINE_ENDS}]++)(?=</)")
_PREFIX = re.compile(r"(?:[&!][^\s]*+[ \t]++)++")
_BLOCK = re.compile(r"[|>][-+0-9]*+[ \t]*+(?:#.*+)?\r?$")
_NOTHING = re.compile(r"[ \t]*+(?:#.*+)?\r?$")
_QUOTE = re.compile(r"\\*+[\"']")
_HEADER = re.compile(r"(?:proxy-)?authorization|(?:set-)?cookie", re.IGNORECASE)
_SCHEME = re.compile(r"(?:bearer|basic|digest|negotiate|ntlm|token|apikey|dpop)\b", re.IGNORECASE)

_REST = re.compile(rf"[^{LINE_ENDS}]++")
_WORD = re.compile(rf"(?:[^\s\"'`\\{LINE_ENDS}]|\\(?![nrt\"'\\]))++")
_QUERY = re.compile(rf"[^\s\"'`&;#\\<>{LINE_ENDS}]++")
_ITEM = re.compile(rf"(?:[^;\"'\\{LINE_ENDS}]|\\(?![\"']))++")
_FLOW = re.compile(rf"[^,}}\]\"'{LINE_ENDS}]++")
_JSON = re.compile(rf"[^\s,}}\]{LINE_ENDS}]++")
_ESCAPED = re.compile(rf"(?:[^\"'\\{LINE_ENDS}]|\\(?![nrt\"'\\]))++")
_DOUBLE = re.compile(rf"(?:[^\"\\{LINE_ENDS}]|\\.)*+")
_SINGLE = re.compile(rf"(?:[^'{LINE_ENDS}]|'')*+")


@dataclass(frozen=True, slots=True)
class Found:
    """A value in a line: what replaces it, and what takes its following lines."""

    start: int
    end: int
    text: str = REDACTED
    take: Take | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A secret's name in a line, and where its value begins."""

    line: str
    match: re.Match[str]
    head: int
    flow: int

    @property
    def name(self) -> str:
        """The name, without quotes and dashes."""
        return self.match["name"]

    @property
    def start(self) -> int:
        """Where the value begins."""
        return self.match.end()

    @property
    def separator(self) -> str:
        """The colon or equals sign, empty after a flag."""
        return self.match["sep"].strip()

    @property
    def at_head(self) -> bool:
        """Whether the name begins the line."""
        return self.match.start() <= self.head

    @property
    def column(self) -> int:
        """Where the name begins: what belongs to it is indented further."""
        return min(self.match.start(), self.head)

    @property
    def is_item(self) -> bool:
        """Whether the name begins an item of a list in YAML."""
        return self.at_head and self.line.endswith("- ", 0, self.match.start())

    @property
    def before(self) -> str:
        """The character before the name, empty if there is none."""
        at = self.match.start()
        while at and self.line[at - 1] in " \t" and self.match.start() - at < 4:
            at -= 1
        return self.line[at - 1] if at else ""


def redact_names(line: str) -> tuple[str, Take | None]:
    """Return a line without secrets, and what takes the following lines, if a secret goes on."""
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
    return _bare(place, at)


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
    stop = _REST.match(place.line, at + 3)
    take = partial(following.take_until, quotes=quotes)
    return Found(at + 3, stop.end() if stop and text else at + 3, text, take)


def _list(place: Place, at: int) -> Found:
    """Return a list: the strings in it are redacted, on the following lines, too."""
    text, end, closed = following.redact_items(place.line, at + 1)
    return Found(at + 1, end, text, None if closed else following.take_list)


def _quoted(place: Place, quote: re.Match[str]) -> Found | None:
    start = quote.end()
    end, closed = _closing(place.line, start, quote[0])
    if place.start == place.match.end() and is_harmless(place.name, place.line[start:end]):
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
    rest = _REST.match(line, start)
    return rest.end() if rest else start, False


def _bare(place: Place, at: int) -> Found | None:
    pattern, judge = _extent(place)
    match = pattern.match(place.line, at)
    if match is None:
        return None
    value = match[0].rstrip(", \t" if pattern is _REST else " \t")
    if is_harmless(place.name, value) or not judge(value):
        return None
    is_flag = place.match["dash"] and not place.separator
    if not value or (is_flag and value.startswith("-")):
        return None
    goes_on = pattern is _REST and value.endswith("\\") and value[-2:-1] not in (" ", "\t")
    take = following.take_continued if goes_on else None
    return Found(at, at + len(value), _instead(place, value), take)


def _instead(place: Place, value: str) -> str:
    """Return what stands for a value: quoted where only a number may go without quotes."""
    if not value.replace(".", "", 1).isdigit():
        return REDACTED
    if place.match["open"] and place.match["close"] and ":" in place.separator:
        return f"{place.match['open']}{REDACTED}{place.match['open']}"
    return f'"{REDACTED}"' if place.match["sep"] == " = " else REDACTED


def _always(value: str) -> bool:
    return bool(value)


def _is_header(value: str) -> bool:
    """Return whether this is what HTTP has after ``Authorization:``, and no sentence."""
    return (
        "=" in value
        or _SCHEME.match(value) is not None
        or looks_secret(value.split(" ", maxsplit=1)[0])
    )


def _extent(place: Place) -> tuple[re.Pattern[str], Callable[[str], bool]]:
    """Return what a bare value consists of here, and what tells a secret from prose."""
    separator, dash = place.separator, bool(place.match["dash"])
    if _HEADER.fullmatch(place.name) and ":" in separator:
        return _ESCAPED, (_always if place.at_head else _is_header)
    if place.match["newline"]:
        return _ESCAPED, _always
    if place.match["open"] and place.match["close"]:
        return (_JSON if ":" in separator else _WORD), _always
    if place.at_head and not dash and not place.match["open"]:
        return _REST, _always
    return _extent_inside(place, separator, dash)


def _extent_inside(
    place: Place, separator: str, dash: bool
) -> tuple[re.Pattern[str], Callable[[str], bool]]:
    """Return the same for a name inside a line."""
    before = place.before
    is_open = bool(place.match["open"]) and not place.match["close"]
    if separator in ("=", "=>", "->", ":="):
        if is_open or place.is_item:
            return _ESCAPED, _always
        return {"?": _QUERY, "&": _QUERY, ";": _ITEM}.get(before, _WORD), _always
    if before in ("{", ",") and 0 <= place.flow < place.match.start():
        return _FLOW, _always
    if dash and not separator:
        return _WORD, (looks_secret if is_vague(place.name) else _always)
    certain = is_certain(place.name) and "/" not in place.name
    return (_ESCAPED if is_open and certain else _WORD), (_always if certain else looks_secret)
