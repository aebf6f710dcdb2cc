"""The catalogue of causes: every ``causes.toml`` below ``pytest_gpu.stack``, read once.

Each cause is in the package whose checks report it, under its full ID. The ID's prefix names the
component to fix. To add a cause, add one entry there. Causes of a user's project are not here:
they belong to the run (see :mod:`pytest_gpu.run.project.own_causes`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import TypeVar

from pytest_gpu.cause_entry import Cause
from pytest_gpu.cause_file import EntryError, read_causes, read_examples
from pytest_gpu.errors import GpuError
from pytest_gpu.steps import Value

FILE = "causes.toml"

T = TypeVar("T")


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
    for file in files_called(root, FILE):
        for cause_id, cause in _read(file, read_causes).items():
            if cause_id in found:
                raise GpuError(f"{file}: {cause_id}: another {FILE} has this cause already")
            found[cause_id] = cause
    return dict(sorted(found.items()))


@cache
def examples() -> Mapping[str, Mapping[str, Value]]:
    """Return the values with which a cause is explained, by its ID: every ``examples.toml``.

    They are not in the files of the causes because only ``--gpu-explain`` needs them.
    """
    found: dict[str, Mapping[str, Value]] = {}
    for file in files_called(files("pytest_gpu.stack"), "examples.toml"):
        found |= _read(file, read_examples)
    return found


def _read(file: Traversable, read: Callable[[str], Mapping[str, T]]) -> Mapping[str, T]:
    try:
        return read(file.read_text(encoding="utf-8"))
    except EntryError as error:
        raise GpuError(f"{file}: {error}") from None


def files_called(folder: Traversable, name: str) -> Iterator[Traversable]:
    """Yield the files of a name below a folder, sorted by their paths."""
    for each in sorted(folder.iterdir(), key=lambda each: each.name):
        if each.is_dir():
            yield from files_called(each, name)
        elif each.name == name:
            yield each
