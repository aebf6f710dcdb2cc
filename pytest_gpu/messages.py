"""The messages of components and their causes: every ``messages.toml`` below ``pytest_gpu.stack``.

A message is looked up by its text and by where it stands, never by who might have written it. Of
several rows that match, the one whose match begins last comes first: components wrap an error in
their own words, so the innermost error stands at the end.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from pytest_gpu.catalogue import files_called
from pytest_gpu.cause_file import EntryError
from pytest_gpu.causes import Evidence
from pytest_gpu.discriminators import registered
from pytest_gpu.errors import GpuError
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.message_file import Row, Where, read_rows

FILE = "messages.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """A cause that a message means, and the values of the cause that the message holds.

    Attributes:
        needs: the discriminators that must hold besides.
        shows: those whose evidence is shown where it exists.
    """

    cause: str
    values: Mapping[str, str]
    needs: tuple[str, ...] = ()
    shows: tuple[str, ...] = ()


@cache
def table() -> tuple[Row, ...]:
    """Return every row that ships."""
    return load(files("pytest_gpu.stack"))


def load(root: Traversable) -> tuple[Row, ...]:
    """Return the rows of every ``messages.toml`` below a folder.

    Raises:
        GpuError: a file or a row cannot be read, or two rows have one pattern in one place.
    """
    rows: list[Row] = []
    taken: set[tuple[str, Where]] = set()
    for file in files_called(root, FILE):
        for row in _read(file):
            places = {(row.pattern.pattern, where) for where in row.where}
            if places & taken:
                raise GpuError(f"{file}: {row.cause}: another row has this pattern already")
            taken |= places
            rows.append(row)
    return tuple(rows)


def _read(file: Traversable) -> list[Row]:
    try:
        return list(read_rows(file.read_text(encoding="utf-8")))
    except EntryError as error:
        raise GpuError(f"{file}: {error}") from None


def meanings(text: str, where: Where) -> tuple[Meaning, ...]:
    """Return what a text means, the most specific first; none if no row knows it."""
    found = [
        (not row.decisive, row.general, -match.start(), row, match)
        for row in table()
        if where in row.where and (match := row.pattern.search(text))
    ]
    found.sort(key=lambda each: each[:3])
    return tuple(_meaning(row, match) for *_, row, match in found)


def _meaning(row: Row, match: re.Match[str]) -> Meaning:
    values = {name: _said(value) for name, value in match.groupdict().items() if value}
    return Meaning(cause=row.cause, values=values, needs=row.needs, shows=row.shows)


def _said(value: str) -> str:
    """Return a value without the full stop of a sentence, and without a gRPC code behind it.

    containerd puts the name of the code behind an error.
    """
    return value.strip().removesuffix(": unknown").removesuffix(".")


@dataclass(frozen=True, slots=True, kw_only=True)
class Understood:
    """What a message means on one node.

    Attributes:
        cause: the ID of the cause.
        values: the values of the cause that the message holds.
        evidence: what holds besides.
    """

    cause: str
    values: Mapping[str, str]
    evidence: tuple[Evidence, ...]


def understood(node: Node, text: str, where: Where) -> Understood | None:
    """Return what a text means on a node: the most specific row whose needs hold, if any.

    What was not looked at does not hold.
    """
    for meaning in meanings(text, where):
        needed = [_shown(node, name) for name in meaning.needs]
        if all(needed):
            shown = [*needed, *(_shown(node, name) for name in meaning.shows)]
            evidence = tuple(each for found in shown for each in found)
            return Understood(cause=meaning.cause, values=meaning.values, evidence=evidence)
    return None


def _shown(node: Node, name: str) -> tuple[Evidence, ...]:
    return known(lambda: tuple(registered()[name](node))) or ()
