"""The shipped suite: where it is, and what its tests are called."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from pytest_gpu.asked import question_of
from pytest_gpu.layers import Layer

SUITE = "conformance"


@cache
def suite_path() -> Path:
    """Return the shipped suite: inside the package in a wheel, next to it in a checkout."""
    package = Path(__file__).parents[1]
    shipped = package / SUITE
    return shipped if shipped.is_dir() else package.parent / SUITE


def suite_arguments() -> list[str]:
    """Return the suite's modules as arguments for pytest, sorted.

    Files, not the directory: a user's ``python_files`` does not apply to named files.
    """
    return [str(path) for path in sorted(suite_path().glob("test_*.py"))]


def questions(up_to: Layer) -> frozenset[str]:
    """Return the names of all questions of the shipped suite, up to a layer.

    The modules are read, not imported: the process that writes a recording may have no tests.
    """
    return frozenset(
        question_of(layer, statement.name)
        for layer in Layer
        if layer <= up_to
        for statement in ast.parse((suite_path() / _module_of(layer)).read_text("utf-8")).body
        if isinstance(statement, ast.FunctionDef) and statement.name.startswith("test_")
    )


def shipped_tests(layer: Layer) -> Mapping[str, Callable[..., object]]:
    """Return the functions of a layer's shipped tests by name, in the order of definition."""
    module = importlib.import_module(f"pytest_gpu.{SUITE}.{layer.module}")
    return {name: each for name, each in vars(module).items() if name.startswith("test_")}


def is_shipped(path: Path) -> bool:
    """Return whether a test belongs to the shipped suite, by its file.

    Not by its ID: a project may have a folder called ``conformance``, too.
    """
    return path.parent == suite_path()


def _module_of(layer: Layer) -> str:
    return f"test_{str(layer).replace('-', '_')}.py"


def nodeid_of(path: Path) -> str | None:
    """Return the ID of a shipped module, ``None`` for any other file.

    It is the same wherever the package is installed: JUnit's class names and Allure's history
    are derived from it.
    """
    return f"{SUITE}/{path.name}" if is_shipped(path) else None


def located(argument: str) -> list[str]:
    """Return a path argument as pytest finds it.

    ``conformance`` is the whole shipped suite. The ID of a shipped test is made a path, so that a
    line of the report, ``conformance/test_driver.py::test_x[gpu-1]``, can be pasted back. A path
    that exists is the user's own. ``./conformance`` is the same as ``conformance``.
    """
    given, colons, rest = argument.partition("::")
    path = Path(given)
    if path.exists():
        return [argument]
    if path == Path(SUITE) and not colons:
        return suite_arguments()
    shipped = path.parent == Path(SUITE) and path.name.startswith("test_")
    return [f"{suite_path() / path.name}{colons}{rest}" if shipped else argument]


def with_suite(arguments: Sequence[str], paths: Sequence[str]) -> list[str]:
    """Return the command line's arguments with the suite added if they name no path.

    The suite comes first: behind an option whose value may be left out, such as ``--cov``, the
    first of its files would be that value.
    """
    if not paths:
        return [*suite_arguments(), *arguments]
    return [
        word
        for each in _expanded(arguments)
        for word in (located(each) if each in paths else [each])
    ]


def _expanded(arguments: Sequence[str]) -> Iterator[str]:
    """Yield the arguments with those in files, ``@FILE``, in their place, as argparse does it."""
    for argument in arguments:
        if argument.startswith("@"):
            text = Path(argument[1:]).read_text("utf-8", "surrogateescape")
            yield from _expanded(text.splitlines())
        else:
            yield argument
