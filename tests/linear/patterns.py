"""Every regular expression of the package, and what makes each of them work hardest."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from re import _constants  # type: ignore[attr-defined] # no types
from types import ModuleType
from typing import Any

import pytest_gpu
from tests.linear.counted_pattern import parsed, single

METHODS = {"search", "match", "fullmatch", "finditer", "findall", "sub", "split", "subn"}

_REPEATS = {_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT}
_ALPHABET = [chr(code) for code in (*range(32, 127), 9, 10, 0)]
_MANY = 8
"""From this number of repetitions on a repeat counts as one without a bound."""


@dataclass(frozen=True, slots=True)
class Used:
    """A pattern, where it is written, and a method that it is used with."""

    pattern: re.Pattern[Any]
    place: str
    how: str


def modules() -> Iterator[ModuleType]:
    """Yield every module of the package."""
    for found in pkgutil.walk_packages(pytest_gpu.__path__, f"{pytest_gpu.__name__}."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def tree_of(module: ModuleType) -> ast.Module:
    """Return a module's source as a tree."""
    assert module.__file__ is not None
    return ast.parse(Path(module.__file__).read_text())


def compiled(module: ModuleType) -> Iterator[tuple[re.Pattern[Any], str]]:
    """Yield every pattern that a module holds, with the name it is used by."""
    for name, value in vars(module).items():
        if isinstance(value, re.Pattern):
            yield value, name
        elif isinstance(value, tuple | list | dict):
            entries = value.values() if isinstance(value, dict) else value
            flat = [each for entry in entries for each in _flat(entry)]
            yield from ((each, name) for each in flat if isinstance(each, re.Pattern))


def _flat(entry: object) -> tuple[object, ...]:
    return entry if isinstance(entry, tuple) else (entry,)


def used(module: ModuleType) -> Iterator[Used | str]:
    """Yield the patterns that a module uses; one that is put together at run time as its place."""
    tree = tree_of(module)
    methods = _methods(tree)
    for pattern, name in compiled(module):
        for how in methods.get(name, {"search"}):
            yield Used(pattern, f"{module.__name__}.{name}", how)
    for call in ast.walk(tree):
        if how := _direct(call):
            assert isinstance(call, ast.Call)
            yield _of_call(module, call, how)


def _methods(tree: ast.Module) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in METHODS:
            for name in ast.walk(node.value):
                if isinstance(name, ast.Name):
                    found.setdefault(name.id, set()).add(node.attr)
    return found


def _direct(node: ast.AST) -> str:
    """Return the function of ``re`` that is called with a pattern in a function's body."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return ""
    owner, name = node.func.value, node.func.attr
    ours = isinstance(owner, ast.Name) and owner.id == "re"
    return name if ours and name in METHODS else ""


def _of_call(module: ModuleType, call: ast.Call, how: str) -> Used | str:
    place = f"{module.__name__}:{ast.unparse(call.args[0])}"
    flags = [word.value for word in call.keywords if word.arg == "flags"]
    flags += call.args[3 if how == "sub" else 2 :] if how != "split" else []
    try:
        pattern, *more = (
            eval(compile(ast.Expression(each), place, "eval"), vars(module))  # noqa: S307 - our source
            for each in [call.args[0], *flags]
        )
    except NameError:
        return place
    return Used(re.compile(pattern, *more), place, how)


def largest_bound(pattern: re.Pattern[Any]) -> int:
    """Return the largest number of repetitions that a pattern allows, below which it may grow."""
    return max((each for each in _bounds(list(parsed(pattern)))), default=0)


def _bounds(nodes: list[Any]) -> Iterator[int]:
    for node in nodes:
        if node[0] in _REPEATS:
            if node[1][1] is not _constants.MAXREPEAT:
                yield node[1][1]
            yield from _bounds(list(node[1][2]))
        for inner in _inside(node):
            yield from _bounds(inner)


def attacks(pattern: re.Pattern[Any], count: int) -> Iterator[Any]:
    """Yield texts that make a pattern work: what it repeats, and its beginnings, many times."""
    tree = parsed(pattern)
    encode = str.encode if isinstance(pattern.pattern, bytes) else str
    for before, pumped in dict.fromkeys(_pumps(tree, list(tree), "")):
        for after in ("", "\0!\n"):
            yield encode(before + pumped * count + after)


def _pumps(tree: Any, nodes: list[Any], before: str) -> Iterator[tuple[str, str]]:
    """Yield what comes before, and what is worth repeating."""
    begun, repeats = "", False
    for node in nodes:
        operator, argument = node
        if operator in _REPEATS and argument[1] >= _MANY:
            body = sample(tree, list(argument[2]))
            yield "", before + begun
            yield before + begun, body
            yield before + begun, sample(tree, list(argument[2]), like=before + begun)
            yield from ((before + begun, each) for each in _fitting(tree, nodes))
            yield from _pumps(tree, list(argument[2]), before + begun)
        for inner in _inside(node):
            yield from _pumps(tree, inner, before + begun)
        begun += sample(tree, [node])
        repeats = repeats or operator in _REPEATS or any(map(list, _inside(node)))
        if repeats:
            yield before, begun
    yield before, begun


def _inside(node: Any) -> Iterator[list[Any]]:
    operator, argument = node
    if operator is _constants.SUBPATTERN:
        yield list(argument[3])
    elif operator is _constants.BRANCH:
        yield from map(list, argument[1])
    elif operator is _constants.ATOMIC_GROUP:
        yield list(argument)
    elif operator in {_constants.ASSERT, _constants.ASSERT_NOT}:
        yield list(argument[1])
    elif operator in _REPEATS and argument[1] < _MANY:
        yield list(argument[2])


def _fitting(tree: Any, nodes: list[Any]) -> Iterator[str]:
    """Yield, for each way to choose among the repeated characters of a sequence, one of them."""
    kinds: dict[tuple[bool, ...], str] = {}
    classes = [single(tree, each) for each in _repeated(nodes)]
    bytes_ = classes and isinstance(tree.state.str, bytes)
    for letter in _ALPHABET:
        told = letter.encode() if bytes_ else letter
        # A line's end is one more kind: what looks for a beginning of lines starts again there.
        fits = (letter == "\n", *(bool(each.fullmatch(told)) for each in classes))
        if any(fits[1:]):
            kinds.setdefault(fits, letter)
    yield from kinds.values()


def _repeated(nodes: list[Any]) -> Iterator[Any]:
    simple = {_constants.LITERAL, _constants.NOT_LITERAL, _constants.ANY, _constants.IN}
    for node in nodes:
        if node[0] in _REPEATS and len(node[1][2]) == 1 and node[1][2][0][0] in simple:
            yield node[1][2][0]
        else:
            body = [list(node[1][2])] if node[0] in _REPEATS else _inside(node)
            for inner in body:
                yield from _repeated(inner)


def sample(tree: Any, nodes: list[Any], like: str = "") -> str:
    """Return a short text that a sequence matches, not looking at what is asserted.

    Its characters are those of ``like`` where these fit, and the last of several alternatives.
    """
    return "".join(_sample(tree, node, like) for node in nodes)


def _sample(tree: Any, node: Any, like: str) -> str:
    operator, argument = node
    if operator in {_constants.LITERAL, _constants.NOT_LITERAL, _constants.ANY, _constants.IN}:
        character = single(tree, node)
        bytes_ = isinstance(tree.state.str, bytes)
        letters = [*like, "a", "0", *_ALPHABET]
        fits = (each for each in letters if character.fullmatch(each.encode() if bytes_ else each))
        known: str = chr(argument) if operator is _constants.LITERAL else ""
        return next(fits, known)
    if operator in _REPEATS:
        times: int = max(1, argument[0])
        return sample(tree, list(argument[2]), like) * times
    ways = [sample(tree, inner, like) for inner in _inside(node)] or [""]
    return ways[-1 if like else 0]
