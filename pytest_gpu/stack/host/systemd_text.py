"""The syntax of systemd's files: unit files, command lines, environment files.

Sources: systemd.syntax(7), systemd.service(5) "COMMAND LINES", systemd.exec(5)
"EnvironmentFile=", and systemd's own parsers (extract-word.c, env-file.c); the tests compare
with systemd itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache

_ESCAPES = {
    **dict(zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True)),
    **{char: char for char in "\\\"'"},
    "s": " ",
}
_NUMBER = re.compile(r"x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}")
_BRACED = re.compile(r"\$(\$|\{(\w+)\})")


def assignments(text: str, section: str) -> Iterator[tuple[str, str]]:
    """Yield key and value of every assignment in one section of a unit file, in order.

    A backslash at the end of a line joins it with the next one by a space; comments in between are
    skipped.
    """
    current = ""
    for line in _joined(text):
        if line.startswith("[") and line.endswith("]"):
            current = line[1:-1]
        elif current == section and "=" in line:
            key, _, value = line.partition("=")
            yield key.rstrip(), value.lstrip()


def _joined(text: str) -> Iterator[str]:
    begun: list[str] = []
    for raw in text.splitlines():
        if raw.lstrip()[:1] in ("#", ";"):
            continue
        if raw.endswith("\\"):
            begun += raw[:-1], " "
            continue
        yield "".join([*begun, raw]).strip()
        begun = []
    if begun:
        yield "".join(begun).strip()


def words(text: str) -> tuple[str, ...]:
    """Split a value at whitespace as systemd does: remove quotes, replace C escapes.

    Unknown escapes are kept unchanged.

    Raises:
        ValueError: a quote is not closed; systemd ignores such a line.
    """
    found: list[str] = []
    word: list[str] | None = None
    quote, at = "", 0
    while at < len(text):
        char = text[at]
        step, at = (_escape(text, at)) if char == "\\" else (char, at + 1)
        if char == quote:
            quote = ""
        elif not quote and char in "\"'":
            quote, word = char, word or []
        elif not quote and char in " \t\n\r":
            found += [] if word is None else ["".join(word)]
            word = None
        else:
            word = word or []
            word.append(step)
    if quote:
        raise ValueError(f"{quote} is not closed")
    return tuple(found if word is None else [*found, "".join(word)])


def _escape(text: str, at: int) -> tuple[str, int]:
    """Return the text that an escape stands for, and the position after it."""
    if match := _NUMBER.match(text, at + 1):
        code = match[0]
        base = 8 if code[0].isdecimal() else 16
        number = int(code if base == 8 else code[1:], base)
        # An invalid code point is kept unchanged.
        return (chr(number) if number < 0x110000 else f"\\{code}"), match.end()
    following = text[at + 1 : at + 2]
    return _ESCAPES.get(following, f"\\{following}"), at + 1 + len(following)


MAX_ARGUMENTS = 1 << 21
"""Most characters of a command line with its variables: Linux starts none that is longer."""


class TooLongError(ValueError):
    """A command line that Linux does not start."""


def expand(words_: tuple[str, ...], environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return a command line with its variables replaced.

    ``$NAME`` as a separate word becomes the words of its value, none if it is not set;
    ``${NAME}`` anywhere becomes its unchanged value; ``$$`` is a dollar sign.

    Raises:
        TooLongError: it would be longer than any that can be started.
    """
    found: list[str] = []
    room = MAX_ARGUMENTS
    relaxed = cache(_relaxed)
    for word in words_:
        before = len(found)
        if re.fullmatch(r"\$\w+", word):
            found += relaxed(environment.get(word[1:], ""))
        else:
            found.append(_braced(word, environment, room))
        room -= sum(len(each) + 1 for each in found[before:])
        if room < 0:
            raise TooLongError
    return tuple(found)


def _braced(word: str, environment: Mapping[str, str], room: int) -> str:
    names = [match[2] for match in _BRACED.finditer(word) if match[2]]
    if sum(len(environment.get(name, "")) for name in names) > room:
        raise TooLongError
    return _BRACED.sub(lambda m: environment.get(m[2], "") if m[2] else "$", word)


def _relaxed(value: str) -> tuple[str, ...]:
    """Split a variable's value: quotes may stay open, and a backslash only protects a character.

    This corresponds to EXTRACT_RELAX and EXTRACT_UNQUOTE in systemd's extract-word.c.
    """
    plain = re.sub(r"\\(.?)", _protected, value, flags=re.DOTALL)
    for closing in ("", '"', "'"):
        try:
            return words(plain + closing)
        except ValueError:
            continue
    return ()


def _protected(match: re.Match[str]) -> str:
    """Return a protected character as an escape by its code, which words() understands."""
    return f"\\U{ord(match[1]):08x}" if match[1] else ""


def environment_file(text: str) -> dict[str, str]:
    """Return the variables of an ``EnvironmentFile=``; it quotes almost like a shell.

    Invalid variable names are ignored, as systemd does.
    """
    return {
        key: value
        for key, value in _Variables(text).read()
        if re.fullmatch(r"[A-Za-z_]\w*", key, re.ASCII)
    }


class _Variables:
    """A parser of one environment file that reads it once, character by character."""

    def __init__(self, text: str) -> None:
        self._text = text.replace("\r\n", "\n")
        self._at = 0

    def read(self) -> Iterator[tuple[str, str]]:
        """Yield name and value of every assignment, in order."""
        while self._at < len(self._text):
            begin = self._peek()
            self._at += begin != "\n"
            line = begin + self._until("\n" if begin in "#;" else "\n=")
            if self._text[self._at : self._at + 1] == "=":
                self._at += 1
                yield line.strip(), self._value()
            while begin in "#;" and line.endswith("\\") and self._at < len(self._text):
                # A backslash continues a comment, too.
                self._at += 1
                line = self._until("\n")
            self._at += 1

    def _peek(self) -> str:
        while self._text[self._at : self._at + 1] in (" ", "\t", "\n", "\r"):
            self._at += 1
        return self._text[self._at : self._at + 1] or "\n"

    def _until(self, ends: str) -> str:
        start = self._at
        while self._at < len(self._text) and self._text[self._at] not in ends:
            self._at += 1
        return self._text[start : self._at]

    def _value(self) -> str:
        """Return a value up to the end of its line: quoted or plain parts, joined.

        Spaces before a part and after the last one are dropped.
        """
        found: list[str] = []
        while True:
            while self._text[self._at : self._at + 1] in (" ", "\t"):
                self._at += 1
            char = self._text[self._at : self._at + 1]
            if char in ("", "\n"):
                return "".join(found)
            if char in ("'", '"'):
                self._at += 1
                found.append(self._quoted(char))
            else:
                return "".join([*found, self._plain()])

    def _quoted(self, quote: str) -> str:
        found: list[str] = []
        while self._at < len(self._text) and (char := self._text[self._at]) != quote:
            self._at += 1
            if char == "\\" and quote == '"':
                following = self._text[self._at : self._at + 1]
                self._at += 1
                kept = following if following in '"\\`$' else f"\\{following}"
                found.append("" if following == "\n" else kept)
            else:
                found.append(char)
        self._at += 1
        return "".join(found)

    def _plain(self) -> str:
        found, kept = list[str](), 0
        while self._at < len(self._text) and (char := self._text[self._at]) != "\n":
            self._at += 1
            if char == "\\":
                following = self._text[self._at : self._at + 1]
                self._at += 1
                found.append(following.strip("\n"))
                kept = len(found)
            else:
                found.append(char)
                kept = kept if char in " \t\r" else len(found)
        return "".join(found[:kept])
