"""The catalogue of causes: every ``causes.toml`` below ``pytest_gpu.stack``, read once.

Each cause is in the package whose checks report it, under its full ID. The ID's prefix names the
component to fix. To add a cause, add one entry there.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from pytest_gpu.errors import GpuError
from pytest_gpu.steps import Slot, Step, leaves_drained, read_step

FILE = "causes.toml"
_NEEDED = {"title", "why", "check", "fix"}
_KNOWN = {*_NEEDED, "explains"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One root cause of the catalogue.

    Texts contain ``{placeholders}`` for a finding's values. ``fix`` maps a distribution (or
    ``default``) to steps. ``explains`` holds patterns of causes that are only consequences of
    this one.
    """

    id: str
    title: str
    why: str
    check: tuple[Step, ...]
    fix: Mapping[str, tuple[Step | Slot, ...]]
    explains: tuple[str, ...] = ()


@cache
def catalogue() -> Mapping[str, Cause]:
    """Return every cause by its ID."""
    return load(files("pytest_gpu.stack"))


def load(root: Traversable) -> Mapping[str, Cause]:
    """Return the causes of every ``causes.toml`` below a folder, sorted by their IDs.

    Raises:
        GpuError: a file or an entry cannot be read, or an ID occurs twice.
    """
    found: dict[str, Cause] = {}
    for file in _files(root):
        for cause_id, entry in _entries(file):
            if cause_id in found:
                raise GpuError(f"{file}: {cause_id}: another {FILE} has this cause already")
            try:
                found[cause_id] = _cause(cause_id, entry)
            except ValueError as error:
                raise GpuError(f"{file}: {cause_id}: {error}") from None
    return dict(sorted(found.items()))


def _files(folder: Traversable) -> Iterator[Traversable]:
    for each in sorted(folder.iterdir(), key=lambda each: each.name):
        if each.is_dir():
            yield from _files(each)
        elif each.name == FILE:
            yield each


def _entries(file: Traversable) -> Iterator[tuple[str, Any]]:
    try:
        yield from tomllib.loads(file.read_text(encoding="utf-8")).items()
    except tomllib.TOMLDecodeError as error:
        raise GpuError(f"{file}: {error}") from None


def _cause(cause_id: str, entry: Any) -> Cause:
    if problem := _problem(cause_id, entry):
        raise ValueError(problem)
    return Cause(
        id=cause_id,
        title=entry["title"],
        why=entry["why"].strip(),
        check=tuple(map(_check, entry["check"])),
        fix={name: _fix(name, steps) for name, steps in entry["fix"].items()},
        explains=tuple(entry.get("explains", ())),
    )


def _problem(cause_id: str, entry: Any) -> str | None:
    """Return what is wrong with an entry, apart from its steps; ``None`` if nothing is."""
    prefix, _, name = cause_id.partition("/")
    if not (prefix and name):
        return 'the ID must have a prefix: ["prefix/name"]'
    if not isinstance(entry, dict):
        return "must be a table"
    if missing := sorted(_NEEDED - entry.keys()):
        return f"{', '.join(missing)} missing"
    if unknown := sorted(entry.keys() - _KNOWN):
        return f"unknown key {', '.join(unknown)}"
    return None if "default" in entry["fix"] else "fix.default missing"


def _fix(name: str, steps: list[object]) -> tuple[Step | Slot, ...]:
    fix = tuple(map(read_step, steps))
    if leaves_drained(fix):
        raise ValueError(f"fix.{name} drains the node: end it with kubectl uncordon {{node}}")
    return fix


def _check(entry: object) -> Step:
    step = read_step(entry)
    if isinstance(step, Step):
        return step
    raise ValueError(f"{entry!r}: only a fix may contain the steps of a finding")
