"""Values without quotes: where they end, and what tells them from a sentence.

Where a value ends depends on its place: a line of its own, a log, a URL, JSON, YAML's flow style.
In a sentence most words after ``token:`` are not secrets.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from pytest_gpu.cluster.redaction import following_lines as following
from pytest_gpu.cluster.redaction.following_lines import LINE_ENDS, Take
from pytest_gpu.cluster.redaction.secret_names import (
    is_certain,
    is_harmless,
    is_vague,
    looks_secret,
)
from pytest_gpu.evidence import REDACTED

Extent = tuple[re.Pattern[str], Callable[[str], bool]]

_HEADER = re.compile(r"(?:proxy-)?authorization|(?:set-)?cookie", re.IGNORECASE)
_SCHEME = re.compile(r"(?:bearer|basic|digest|negotiate|ntlm|token|apikey|dpop)\b", re.IGNORECASE)

REST = re.compile(rf"[^{LINE_ENDS}]++")
_WORD = re.compile(rf"(?:[^\s\"'`\\{LINE_ENDS}]|\\(?![nrt\"'\\]))++")
_QUERY = re.compile(rf"[^\s\"'`&;#\\<>{LINE_ENDS}]++")
_ITEM = re.compile(rf"(?:[^;\"'\\{LINE_ENDS}]|\\(?![\"']))++")
_FLOW = re.compile(rf"[^,}}\]\"'{LINE_ENDS}]++")
_JSON = re.compile(rf"[^\s,}}\]{LINE_ENDS}]++")
_ESCAPED = re.compile(rf"(?:[^\"'\\{LINE_ENDS}]|\\(?![nrt\"'\\]))++")


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


def bare_value(place: Place, at: int) -> Found | None:
    """Return the value that begins here, ``None`` if it is not a secret."""
    pattern, judge = _extent(place)
    match = pattern.match(place.line, at)
    if match is None:
        return None
    value = match[0].rstrip(", \t" if pattern is REST else " \t")
    if is_harmless(place.name, value) or not judge(value):
        return None
    is_flag = place.match["dash"] and not place.separator
    if not value or (is_flag and value.startswith("-")):
        return None
    goes_on = pattern is REST and value.endswith("\\") and value[-2:-1] not in (" ", "\t")
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


def _extent(place: Place) -> Extent:
    """Return what a bare value consists of here, and what tells a secret from prose."""
    separator, dash = place.separator, bool(place.match["dash"])
    if _HEADER.fullmatch(place.name) and ":" in separator:
        return _ESCAPED, (_always if place.at_head else _is_header)
    if place.match["newline"]:
        return _ESCAPED, _always
    if place.match["open"] and place.match["close"]:
        return (_JSON if ":" in separator else _WORD), _always
    if place.at_head and not dash and not place.match["open"]:
        return REST, _always
    return _extent_inside(place, separator, dash)


def _extent_inside(place: Place, separator: str, dash: bool) -> Extent:
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
