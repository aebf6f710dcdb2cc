"""The page of what fixtures return, generated from signatures and docstrings.

Public is what a fixture returns, its members without an underscore in front, and the same of what
those return, except for the classes in :data:`INTERNAL` and members that need one of them.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

import pytest_gpu
from pytest_gpu.gpu_node import fact
from pytest_gpu.memory import lazy

INTERNAL = {
    "ArgumentsFile": "how a distribution hands arguments on",
    "Asked": "the questions that a recording answers",
    "CommandLine": "a program's arguments while they are read",
    "Generation": "which rules a version of containerd follows",
    "HandsOn": "how a distribution's program starts a kubelet",
    "LiveConfig": "the raw answer of `crictl info`",
    "LiveHandlers": "handlers as a running containerd reports them",
    "LiveSettings": "how a live cluster is reached",
    "Memory": "where answers are kept",
    "Node": "the base of `GpuNode`",
    "Order": "a toolkit's plan of what to write",
    "Questions": "what a visit asks",
    "Rendered": "who writes which file of a distribution",
    "Selector": "the parsed text of an option",
    "Shells": "the shells of a run; `node_shell` returns one",
    "Table": "a parsed TOML table",
    "TomlValue": "a parsed value; `EffectiveConfig.origin` says where it stands",
}
"""Classes of the implementation: they may change at any time."""

_NAME = re.compile(r"\b[A-Z]\w+\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A fixture, or a public member of a class.

    ``kind`` is fixture, method, property or field; ``type`` is what it returns or holds.
    """

    name: str
    kind: str
    signature: str
    type: str
    text: str
    scope: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A public class: its documentation and its public members in the order of definition."""

    type: type
    text: str
    members: tuple[Entry, ...]


def pages() -> Mapping[str, str]:
    """Return the page by its path below ``docs/``."""
    return {"reference/api.md": api_page()}


def fixture_entries() -> tuple[Entry, ...]:
    """Return all public fixtures, by name."""
    fixtures = importlib.import_module("pytest_gpu.fixtures")
    found = (each for module in _modules(fixtures) for each in vars(module).values())
    entries = [_fixture(each) for each in found if hasattr(each, "_fixture_function")]
    return tuple(sorted(filter(_is_public, entries), key=lambda entry: entry.name))


def _fixture(definition: Any) -> Entry:
    function = definition._fixture_function
    return Entry(
        name=function.__name__,
        kind="fixture",
        signature=function.__name__,
        type=str(function.__annotations__.get("return", "")),
        text=inspect.getdoc(function) or "",
        scope=str(definition._fixture_function_marker.scope),
    )


def described() -> tuple[Described, ...]:
    """Return all public classes, each after the one that leads to it."""
    pending = [name for entry in fixture_entries() for name in _ours(entry)]
    found: dict[str, Described] = {}
    while pending:
        name = pending.pop(0)
        if name not in found:
            found[name] = describe(_classes()[name])
            pending += [n for member in found[name].members for n in _ours(member)]
    return tuple(found.values())


def describe(each: type) -> Described:
    """Return a class with its public members."""
    members = filter(_is_public, (_member(each, name) for name in public_names(each)))
    return Described(type=each, text=inspect.getdoc(each) or "", members=tuple(members))


def public_names(each: type) -> list[str]:
    """Return the names of a class that do not begin with an underscore, as they are defined."""
    own = [base for base in reversed(each.__mro__) if base.__module__.startswith("pytest_gpu")]
    names = (name for base in own for name in [*inspect.get_annotations(base), *vars(base)])
    return list(dict.fromkeys(name for name in names if not name.startswith("_")))


def _member(each: type, name: str) -> Entry:
    value = inspect.getattr_static(each, name, None)
    function = _function_of(value)
    if function is None:
        return _field(each, name)
    called = not isinstance(value, property | lazy | fact)
    return Entry(
        name=name,
        kind="method" if called else "property",
        signature=f"{name}({', '.join(parameters(function))})" if called else name,
        type=str(function.__annotations__.get("return", "")),
        text=inspect.getdoc(function) or "",
    )


def parameters(function: Any) -> Iterator[str]:
    """Yield the parameters of a function as its source has them."""
    for each in inspect.signature(function).parameters.values():
        if each.name not in ("self", "cls"):
            stars = "*" if each.kind is each.VAR_POSITIONAL else ""
            typed = "" if each.annotation is each.empty else f": {each.annotation}"
            default = "" if each.default is each.empty else f" = {each.default!r}"
            yield f"{stars}{each.name}{typed}{default}"


def _function_of(value: object) -> Any:
    """Return the function behind a method, a property or a fact; ``None`` for a field."""
    if isinstance(value, property):
        return value.fget
    if isinstance(value, lazy | fact):
        return value._function
    return inspect.unwrap(value) if inspect.isfunction(value) else getattr(value, "__func__", None)


def _field(each: type, name: str) -> Entry:
    owner = next(
        base for base in each.__mro__ if name in {*inspect.get_annotations(base), *vars(base)}
    )
    kind = inspect.get_annotations(owner).get(name, owner.__name__)
    text = field_text(inspect.getdoc(owner) or "", name)
    return Entry(name=name, kind="field", signature=name, type=str(kind), text=text)


def field_text(doc: str, name: str) -> str:
    """Return what a class's docstring says of a field: its line below ``Attributes:``.

    Otherwise the part of the sentence that names it, as in "``name`` is the node's name".
    """
    _, _, listed = doc.partition("Attributes:\n")
    if found := re.search(rf"^ +{name}: (.*(?:\n {{8,}}.*)*)", listed, re.MULTILINE):
        return " ".join(found[1].split())
    said = re.search(rf"[^.;]*``{name}``(?:[^.;`]|``[^`]*``|\.\w)*", " ".join(doc.split()))
    return said[0].strip() if said else ""


def _is_public(entry: Entry) -> bool:
    return INTERNAL.keys().isdisjoint(_names(entry))


def _ours(entry: Entry) -> list[str]:
    return [name for name in _names(entry) if name in _classes()]


def _names(entry: Entry) -> list[str]:
    return _NAME.findall(f"{entry.signature} {entry.type}")


@cache
def _classes() -> Mapping[str, type]:
    """Return the classes of the package by name; a house rule keeps the names apart."""
    found = (each for module in _modules(pytest_gpu) for each in vars(module).values())
    ours = (c for c in found if isinstance(c, type) and c.__module__.startswith("pytest_gpu."))
    return {each.__name__: each for each in ours}


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if ".conformance" not in module.name:
            yield importlib.import_module(module.name)


def api_page() -> str:
    """Return the reference: all fixtures, then every class that they lead to."""
    return "\n".join(
        [
            "# What fixtures return",
            "",
            "Your tests may use what is on this page; the rest may change with any version. If a",
            "`NotInEvidence` (an `Unproven`) escapes from your test, the test is unproven.",
            "",
            *(line for entry in fixture_entries() for line in _section(entry)),
            *(line for each in described() for line in _class_section(each)),
        ]
    )


def _section(entry: Entry) -> Iterator[str]:
    about = f"A fixture of scope {entry.scope}. It returns: {_linked(entry.type)}"
    yield from (f"## {entry.name}", "", about, "", *_prose(entry.text), "")


def _class_section(each: Described) -> Iterator[str]:
    yield from (f"## {each.type.__name__}", "")
    yield from (f"`from {each.type.__module__} import {each.type.__name__}`", "")
    yield from (*_prose(each.text.partition("\n\nAttributes:")[0]), "")
    yield from ("| member | type | what it is |", "|---|---|---|")
    for member in each.members:
        shown = "<br>".join(part for part in _prose(member.text) if part)
        yield f"| {_code(member.signature)} | {_linked(member.type)} | {shown} |"
    yield ""


def _code(text: str) -> str:
    return f"`{text}`".replace("|", "\\|")


def _linked(annotation: str) -> str:
    """Return a type as code, followed by links to the classes in it."""
    names = [n for n in _NAME.findall(annotation) if n in _classes() and n not in INTERNAL]
    if names == [annotation]:
        return f"[`{annotation}`](#{annotation.lower()})"
    links = "".join(f" [{name}](#{name.lower()})" for name in dict.fromkeys(names))
    return f"{_code(annotation)}{links}"


def _prose(text: str) -> Iterable[str]:
    """Return a docstring as Markdown: roles and double backticks become code."""
    plain = re.sub(r":\w+:`~?\.?(?:[\w.]+\.)?(\w+)`", r"`\1`", text).replace("``", "`")
    for part in plain.split("\n\n"):
        yield from (" ".join(part.split()).replace("|", "\\|"), "")
