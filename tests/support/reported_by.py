"""Which causes each layer's tests can report, read from the source: who mentions what.

A name that is mentioned anywhere in a definition counts as used by it, so the answer may name too
many causes and never too few. What mentions a place of messages can report the causes of all rows
for that place. Only an operand's words are told by whichever layer needs that operand, so what they
mean is read from no mention: a cause reported in no other way is of the layer it is listed in.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from pytest_gpu.catalogue import catalogue
from pytest_gpu.layers import Layer
from pytest_gpu.message_file import Where
from pytest_gpu.messages import table

Name = tuple[str, str]
"""A module, and something that it defines."""

_OPERANDS_WORDS = "pytest_gpu.stack.operands.known_words"


def lowest_layers() -> Mapping[str, Layer]:
    """Return the lowest layer whose tests can report a cause, by the cause's ID."""
    found: dict[str, Layer] = {}
    for layer in Layer:
        module = f"pytest_gpu.conformance.{layer.module}"
        for name in definitions(module):
            for cause in _causes((module, name), set()):
                found.setdefault(cause, layer)
    for row in table():
        if Where.OPERAND in row.where:
            found.setdefault(row.cause, catalogue()[row.cause].layer)
    return found


def _causes(name: Name, seen: set[Name]) -> Iterator[str]:
    if name in seen or name[0] == _OPERANDS_WORDS:
        return
    seen.add(name)
    for node in ast.walk(definitions(name[0])[name[1]]):
        if isinstance(node, ast.Constant) and node.value in catalogue():
            yield str(node.value)
        yield from _meant(node)
        for used in _used(name[0], node):
            yield from _causes(used, seen)


def _meant(node: ast.AST) -> Iterator[str]:
    """Yield the causes that messages of a place mean, if a node is a place."""
    if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "Where":
        where = getattr(Where, node.attr)
        yield from (row.cause for row in table() if where in row.where)


def _used(module: str, node: ast.AST) -> Iterator[Name]:
    """Yield the definition of ours that a name or an attribute stands for."""
    names = imported(module)
    if isinstance(node, ast.Name):
        target = names.get(node.id, (module, node.id))
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        package, name = names.get(node.value.id, ("", ""))
        target = (f"{package}.{name}", node.attr)
    else:
        return
    if target[0].startswith("pytest_gpu.") and target[1] in definitions(target[0]):
        yield target


@cache
def imported(module: str) -> Mapping[str, Name]:
    """Return what a module imports by name: the module it is from, and its name there."""
    return {
        alias.asname or alias.name: (str(node.module), alias.name)
        for node in ast.walk(tree(module))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


@cache
def definitions(module: str) -> Mapping[str, ast.AST]:
    """Return what a module defines at its top, by name: functions, classes, constants."""
    found: dict[str, ast.AST] = {}
    for node in tree(module).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = node
        for target in getattr(node, "targets", [getattr(node, "target", None)]):
            if isinstance(target, ast.Name):
                found[target.id] = node
    return found


@cache
def tree(module: str) -> ast.Module:
    """Return a module's source, an empty module if there is none of that name."""
    try:
        spec = find_spec(module)
    except ModuleNotFoundError:
        spec = None
    file = spec.origin if spec else None
    return ast.parse(Path(file).read_text(encoding="utf-8") if file else "")
