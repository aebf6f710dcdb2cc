"""The line of each key in a TOML file, found by a walk over the text.

``tomllib`` gives values without lines, and is stricter than the decoders in containerd;
``tomlkit`` is slow and has no line numbers either. The walk knows just enough of TOML to
distinguish keys from values, and notes the line of each key and what in the text only the more
tolerant decoders accept (measured on containerd 1.6.20, 1.7.24 and 2.1.9).
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

Path = tuple[str, ...]

BYTE_ORDER_MARK = "a byte order mark"
NOT_UTF8 = "bytes that are not UTF-8"
CONTROL = "control characters in a comment"
BROKEN_INLINE = "an inline table over several lines"
TRAILING_COMMA = "a comma at the end of an inline table"

DEEPEST = 64
"""Keys below this level are passed by: nobody asks for their lines."""

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_COMMENT = re.compile(r"#[^\n]*")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_KEY = re.compile(r"""[ \t]*("(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[A-Za-z0-9_-]+)[ \t]*""")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'', re.DOTALL
)
_SCALAR = re.compile(r"[^,\]}#\n]+")


class _LostError(Exception):
    """The text is not TOML that this walk understands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """The result of a walk: the line of each key, and the text in the strict grammar.

    ``lines`` maps key paths, with array indexes as text, to line numbers from 1. ``generous``
    names what the strict text had to leave out.
    """

    lines: Mapping[Path, int]
    strict: str
    generous: frozenset[str]


def walk(text: str) -> Walk | None:
    """Return the walk over a TOML document, ``None`` if the text is not TOML."""
    walker = _Walker(text)
    try:
        walker.document()
    except (_LostError, RecursionError, tomllib.TOMLDecodeError):
        return None
    return Walk(
        lines={**walker.implied, **walker.said},
        strict=walker.strict(),
        generous=frozenset(walker.generous),
    )


class _Walker:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.starts = [match.end() for match in re.finditer("\n", text)]
        self.said: dict[Path, int] = {}
        self.implied: dict[Path, int] = {}
        self.edits: list[tuple[int, int]] = []
        self.generous: set[str] = set()

    def document(self) -> None:
        prefix: Path = ()
        while self._skip_blank() < len(self.text):
            if self.text[self.at] == "[":
                prefix = self._header()
            else:
                self._pair(prefix)

    def strict(self) -> str:
        """Return the text without what the strict grammar refuses; lines may be joined."""
        parts, last = [], 0
        for start, end in sorted(self.edits):
            parts += [self.text[last:start], " "]
            last = end
        return "".join([*parts, self.text[last:]])

    def _skip_blank(self) -> int:
        start, self.at = self.at, _BLANK.match(self.text, self.at).end()  # type: ignore[union-attr] # matches the empty text
        for comment in _COMMENT.finditer(self.text, start, self.at):
            if _CONTROL.search(comment[0].rstrip("\r")):
                self._leave_out(comment.start(), comment.end(), CONTROL)
        return self.at

    def _leave_out(self, start: int, end: int, why: str) -> None:
        self.edits.append((start, end))
        self.generous.add(why)

    def _header(self) -> Path:
        start = self.at
        brackets = 2 if self.text.startswith("[[", self.at) else 1
        self.at += brackets
        path = self._key()
        self._expect("]" * brackets)
        self._say(path, start)
        return path

    def _pair(self, prefix: Path) -> None:
        start = self.at
        path = (*prefix, *self._key())
        self._expect("=")
        self._say(path, start)
        self._value(path)

    def _say(self, path: Path, at: int) -> None:
        if len(path) > DEEPEST:
            return
        line = bisect_right(self.starts, at) + 1
        self.said.setdefault(path, line)
        for length in range(1, len(path)):
            self.implied.setdefault(path[:length], line)

    def _expect(self, token: str) -> None:
        if not self.text.startswith(token, self.at):
            raise _LostError
        self.at += len(token)

    def _key(self) -> Path:
        parts = []
        while True:
            match = _KEY.match(self.text, self.at)
            if not match:
                raise _LostError
            parts.append(_unquoted(match[1]))
            self.at = match.end()
            if not self.text.startswith(".", self.at):
                return tuple(parts)
            self.at += 1

    def _value(self, path: Path) -> None:
        while self.text[self.at : self.at + 1] in {" ", "\t"}:
            self.at += 1
        opening = self.text[self.at : self.at + 1]
        if opening == "{":
            self._inline_table(path)
        elif opening == "[":
            self._array(path)
        else:
            match = (_STRING if opening in {'"', "'"} else _SCALAR).match(self.text, self.at)
            if not match:
                raise _LostError
            self.at = match.end()

    def _array(self, path: Path) -> None:
        self.at += 1
        for index in range(len(self.text)):
            self._skip_blank()
            if self.text.startswith("]", self.at):
                break
            element = (*path, str(index)) if len(path) <= DEEPEST else path
            self._say(element, self.at)
            self._value(element)
            self._skip_blank()
            if not self.text.startswith(",", self.at):
                break
            self.at += 1
        self._expect("]")

    def _inline_table(self, path: Path) -> None:
        self.at += 1
        comma = None
        while not self._inline_blank().startswith("}", self.at):
            self._pair(path)
            comma = None
            if not self._inline_blank().startswith(",", self.at):
                break
            comma = self.at
            self.at += 1
        if comma is not None:
            self._leave_out(comma, comma + 1, TRAILING_COMMA)
        self._expect("}")

    def _inline_blank(self) -> str:
        start = self.at
        if "\n" in self.text[start : self._skip_blank()]:
            self._leave_out(start, self.at, BROKEN_INLINE)
        return self.text


def _unquoted(key: str) -> str:
    if key[0] == "'":
        return key[1:-1]
    if key[0] != '"':
        return key
    return str(next(iter(tomllib.loads(f"{key} = 1")))) if "\\" in key else key[1:-1]
