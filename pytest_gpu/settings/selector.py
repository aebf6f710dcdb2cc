"""Label selectors, with all that kubectl's ``-l`` takes: equality, sets, existence and numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Operator = Literal["in", "notin", "exists", "absent", ">", "<"]

_TOKEN = re.compile(r"[ \t\r\n]*(==|!=|[=!(),<>]|[^ \t\r\n=!(),<>]+)[ \t\r\n]*")
_SIGNS = frozenset({"==", "!=", "=", "!", "(", ")", ",", "<", ">", ""})
_NAME = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_DNS = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_VALUE = re.compile(rf"(?:{_NAME})?")
_KEY = re.compile(rf"(?:(?P<prefix>{_DNS}(?:\.{_DNS})*)/)?{_NAME}")
_INTEGER = re.compile(r"[-+]?[0-9]+")
_LONGEST_PREFIX = 253
_OPERATORS: Mapping[str, Operator] = {
    "=": "in",
    "==": "in",
    "!=": "notin",
    "in": "in",
    "notin": "notin",
    ">": ">",
    "<": "<",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One condition on a label; ``key=value`` is a set of one value."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether labels meet this condition; ``notin`` also holds without the key."""
        value = labels.get(self.key)
        if self.operator in {"absent", "exists"}:
            return (value is None) is (self.operator == "absent")
        if self.operator == "notin":
            return value is None or value not in self.values
        if value is None or self.operator == "in":
            return value in self.values
        return self._compares(value)

    def _compares(self, value: str) -> bool:
        if not _INTEGER.fullmatch(value):
            return False
        (limit,) = self.values
        return int(value) > int(limit) if self.operator == ">" else int(value) < int(limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Conditions that must all hold."""

    requirements: tuple[Requirement, ...]

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether labels meet every condition."""
        return all(each.matches(labels) for each in self.requirements)


def parse_selector(text: str) -> Selector:
    """Return the selector that a text means, such as ``pool in (a,b),!spot,zone!=c``.

    Raises:
        ValueError: the text is not a selector; the message names the wrong part.
    """
    parser = _Parser(text)
    found = [parser.requirement()]
    while parser.take() == ",":
        found.append(parser.requirement())
    if parser.last:
        raise parser.unexpected("a comma between conditions")
    return Selector(requirements=tuple(found))


class _Parser:
    """Reads a selector token by token; the empty token is the end."""

    def __init__(self, text: str) -> None:
        self.tokens: tuple[str, ...] = (*_TOKEN.findall(text), "")
        self.position = 0

    @property
    def next(self) -> str:
        """The token that comes next."""
        return self.tokens[self.position]

    @property
    def last(self) -> str:
        """The token that was taken last."""
        return self.tokens[self.position - 1]

    def take(self) -> str:
        """Return the next token and go on behind it."""
        self.position += 1
        return self.last

    def unexpected(self, expected: str) -> ValueError:
        """Return the error that the token taken last is not what was expected."""
        found = repr(self.last) if self.last else "the end"
        before = f" after {self.tokens[self.position - 2]!r}" if self.position > 1 else ""
        return ValueError(f"found {found}{before}, expected {expected}")

    def word(self, expected: str) -> str:
        """Return the next token, which must be no operator."""
        if self.take() in _SIGNS:
            raise self.unexpected(expected)
        return self.last

    def requirement(self) -> Requirement:
        """Return the next condition."""
        negated = self.next == "!"
        if negated:
            self.take()
        key = _key(self.word("a label key, as in key=value, key in (a,b), key or !key"))
        if negated or self.next in {",", ""}:
            return Requirement(key=key, operator="absent" if negated else "exists")
        sign = self.take()
        if sign not in _OPERATORS:
            raise self.unexpected("one of = == != in notin < > or a comma")
        return self._compared(key, sign)

    def _compared(self, key: str, sign: str) -> Requirement:
        operator = _OPERATORS[sign]
        if sign in {"in", "notin"}:
            return Requirement(key=key, operator=operator, values=self._set())
        value = "" if self.next in {",", ""} else _value(self.word("a value"))
        if operator in {">", "<"} and not _INTEGER.fullmatch(value):
            raise ValueError(f"{value!r} is not a whole number, which {operator} compares with")
        return Requirement(key=key, operator=operator, values=frozenset({value}))

    def _set(self) -> frozenset[str]:
        """Return the values in parentheses; ``(a,,b)`` has the empty value, too."""
        if self.take() != "(":
            raise self.unexpected("values in parentheses, as in key in (a,b)")
        values = {self._member()}
        while self.take() == ",":
            values.add(self._member())
        if self.last != ")":
            raise self.unexpected("a comma or )")
        return frozenset(values)

    def _member(self) -> str:
        return "" if self.next in {",", ")"} else _value(self.word("a value or )"))


def _key(text: str) -> str:
    match = _KEY.fullmatch(text)
    if match is None or len(match["prefix"] or "") > _LONGEST_PREFIX:
        raise ValueError(f"{text!r} is not a label key; one looks like pool or example.com/pool")
    return text


def _value(text: str) -> str:
    if not _VALUE.fullmatch(text):
        raise ValueError(
            f"{text!r} is not a label value: use up to 63 letters, digits, '-', '_' and '.', with "
            "a letter or digit at both ends"
        )
    return text
