"""Label selectors as kubectl's ``-l`` takes them, with equality and existence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_PREFIX = r"(?:[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?/)?"
_NAME = r"[A-Za-z0-9](?:[-\w.]*[A-Za-z0-9])?"
_TERM = re.compile(
    rf"(?P<absent>!)?(?P<key>{_PREFIX}{_NAME})(?:\s*(?P<operator>==?|!=)\s*(?P<value>{_NAME}|))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One condition on a label; without a ``value`` it only tests for the key."""

    key: str
    value: str | None = None
    negated: bool = False

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether labels meet this condition; ``key!=value`` also holds without the key."""
        holds = self.key in labels if self.value is None else labels.get(self.key) == self.value
        return holds is not self.negated


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Conditions that must all hold."""

    terms: tuple[Term, ...]

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether labels meet every condition."""
        return all(term.matches(labels) for term in self.terms)


def parse_selector(text: str) -> Selector:
    """Return the selector that ``key=value,key!=value,key,!key`` means.

    Raises:
        ValueError: the text is not a selector; the message names the wrong part.
    """
    return Selector(terms=tuple(_term(part.strip()) for part in text.split(",")))


def _term(part: str) -> Term:
    match = _TERM.fullmatch(part)
    if match is None or (match["absent"] and match["operator"]):
        raise ValueError(f"{part!r} is not a label condition; write key=value, key!=value or key")
    return Term(
        key=match["key"],
        value=match["value"],
        negated=bool(match["absent"]) or match["operator"] == "!=",
    )
