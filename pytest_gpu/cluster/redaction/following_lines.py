"""What a secret's name claims of the lines that follow it: blocks, lists, quoted texts.

Each function takes lines from a position on, redacts those that belong to the secret, and returns
the position of the first line that does not. No line is read twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from pytest_gpu.evidence import REDACTED

LINE_ENDS = "\r\n\v\f\x1c-\x1e\x85\u2028\u2029"
"""What ends a line for ``str.splitlines``: none of these characters may be removed."""

Take = Callable[[list[str], int], int]

_AROUND = re.compile(r"(?P<before>\s*+(?:-[ \t]++)*+\\*+[\"']?)(?P<rest>.*+)", re.DOTALL)
_AFTER = "\"',] \t\r\\"
_ENTRY = re.compile(r"[ \t]*+(?:-[ \t]++)*+[\"']?[\w./-]++[\"']?[ \t]*+(?::(?:\s|$)|=)")
_ITEM = re.compile(
    r"(?<!\\)(?P<quote>\\*+[\"'])(?P<text>(?:(?!(?P=quote))(?:\\.|[^\\]))*+)(?P<close>(?P=quote))?+"
    r"|(?P<bare>[^\s,\[\]\"'\\#{}]++)|\]"
)
_MAX_QUOTED = 20
"""Lines in which the end of a quoted text is looked for."""


def blank(text: str) -> str:
    """Return ``text`` with every line redacted; indentation and line ends stay."""
    return "".join(_blank(line) for line in text.splitlines(keepends=True))


def _blank(line: str) -> str:
    body = line.strip()
    return line.replace(body, REDACTED) if body else line


def take_block(lines: list[str], at: int, column: int) -> int:
    """Redact a block of YAML: lines that are indented further than the name's column."""
    while at < len(lines) and (not lines[at].strip() or _indentation(lines[at]) > column):
        lines[at] = blank(lines[at])
        at += 1
    return at


def take_below(lines: list[str], at: int, column: int) -> int:
    """Redact a text or list of YAML that begins below its name; a mapping stays."""
    first = lines[at] if at < len(lines) else ""
    if not first.strip() or first.lstrip().startswith(("#", "{")) or _ENTRY.match(first):
        return at
    if _indentation(first) < column or not _belongs(first, column):
        return at
    while at < len(lines) and lines[at].strip() and _belongs(lines[at], column):
        lines[at] = blank_inside(lines[at])
        at += 1
    return at


def take_continued(lines: list[str], at: int) -> int:
    """Redact the lines that a backslash at the end of the line above makes part of it."""
    goes_on = True
    while at < len(lines) and goes_on:
        goes_on = lines[at].rstrip().endswith("\\")
        lines[at] = blank(lines[at])
        at += 1
    return at


def take_until(lines: list[str], at: int, quotes: str) -> int:
    """Redact the lines of a TOML string up to its closing quotes."""
    while at < len(lines):
        before, closing, after = lines[at].partition(quotes)
        lines[at] = blank(before) + closing + after
        at += 1
        if closing:
            break
    return at


def take_quoted(lines: list[str], at: int, quote: str) -> int:
    """Redact the lines up to a closing quote, if there is one nearby."""
    nearby = lines[at : at + _MAX_QUOTED]
    closing = next((index for index, line in enumerate(nearby) if quote in line), None)
    if closing is None:
        return at
    return take_until(lines, at, quote)


def take_list(lines: list[str], at: int) -> int:
    """Redact the items of a list up to its closing bracket."""
    closed = False
    while at < len(lines) and not closed and not _ENTRY.match(lines[at]):
        text, end, closed = redact_items(lines[at], 0)
        lines[at] = text + lines[at][end:]
        at += 1
    return at


def redact_items(line: str, start: int) -> tuple[str, int, bool]:
    """Return a list's items without their texts, where they end, and whether a bracket closes."""
    parts: list[str] = []
    done = start
    for match in _ITEM.finditer(line, start):
        parts.append(line[done : match.start()])
        done = match.end()
        if match[0] == "]":
            return "".join((*parts, "]")), done, True
        parts.append(_item(match))
    return "".join((*parts, line[done:])), len(line), False


def _item(match: re.Match[str]) -> str:
    if match["bare"]:
        return REDACTED
    text = REDACTED if match["text"] else ""
    return f"{match['quote']}{text}{match['close'] or ''}"


def blank_inside(line: str) -> str:
    """Return a line with its value redacted; a list's dash, quotes and a comma stay."""
    around = _AROUND.match(line)
    if around is None or not around["rest"].strip():
        return line
    rest = around["rest"]
    return f"{around['before']}{REDACTED}{rest[len(rest.rstrip(_AFTER)) :]}"


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip(" \t"))


def _belongs(line: str, column: int) -> bool:
    """Return whether a line belongs to the name above: it is deeper, or an item of its list."""
    depth = _indentation(line)
    return depth > column or (depth == column and line.lstrip().startswith("- "))
