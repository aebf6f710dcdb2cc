"""Checks: the functions that decide a requirement on one node, and the questions a visit asks.

Each is decorated with ``@check``, in a module ``check_*.py`` of the thing that it judges. The
conformance tests call registered checks and nothing else. Running the checks on what is known so
far shows what a visit must ask; ``@question`` adds what no check asks for, such as evidence that
is shown with a finding.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from functools import cache, update_wrapper
from types import ModuleType
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from pytest_gpu.gpu_node import Node

_P = ParamSpec("_P")
_T = TypeVar("_T")

STACK = "pytest_gpu.stack"


class Check(Generic[_P, _T]):
    """A registered check; calling it calls the decorated function.

    ``name`` is ``thing/what-is-wrong`` and never changes: recordings list it. ``visit`` says
    whether a visit to the node can answer what it asks; the others ask Kubernetes, or need more
    than a node.
    """

    __name__: str

    def __init__(
        self, name: str, function: Callable[Concatenate[Node, _P], _T], *, visit: bool
    ) -> None:
        self.name = name
        self.visit = visit
        self._function = function
        update_wrapper(self, function)

    def __repr__(self) -> str:
        return f"Check({self.name!r})"

    def __call__(self, node: Node, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Return the check's result for a node."""
        return self._function(node, *args, **kwargs)


def check(
    name: str, *, visit: bool = True
) -> Callable[[Callable[Concatenate[Node, _P], _T]], Check[_P, _T]]:
    """Register a check under a name such as ``cdi/device-missing``."""

    def registering(function: Callable[Concatenate[Node, _P], _T]) -> Check[_P, _T]:
        return Check(name, function, visit=visit)

    return registering


class Question(Generic[_T]):
    """A fact that every visit asks for, whatever the checks find."""

    def __init__(self, name: str, function: Callable[[Node], _T]) -> None:
        self.name = name
        self._function = function
        update_wrapper(self, function)

    def __repr__(self) -> str:
        return f"Question({self.name!r})"

    def __call__(self, node: Node) -> _T:
        """Return the fact for a node."""
        return self._function(node)


def question(name: str) -> Callable[[Callable[[Node], _T]], Question[_T]]:
    """Register a question under a name such as ``gpu/libcuda``."""

    def registering(function: Callable[[Node], _T]) -> Question[_T]:
        return Question(name, function)

    return registering


Registered = Check[Any, Any] | Question[Any]


@cache
def registered() -> Mapping[str, Check[Any, Any]]:
    """Return every check by its name: those of the modules ``check_*.py`` below ``stack``."""
    return {name: each for name, each in _everything().items() if isinstance(each, Check)}


@cache
def asked_by_visits() -> Mapping[str, Registered]:
    """Return the checks and questions that a visit to a node can answer, by name."""
    return {
        name: each
        for name, each in _everything().items()
        if isinstance(each, Question) or each.visit
    }


@cache
def _everything() -> Mapping[str, Registered]:
    found: dict[str, Registered] = {}
    for module in check_modules():
        for each in registered_in(module):
            if found.setdefault(each.name, each) is not each:
                raise ValueError(f"two checks are called {each.name!r}")
    return found


def check_modules() -> Iterator[ModuleType]:
    """Yield the modules that may hold checks, by name."""
    stack = importlib.import_module(STACK)
    for found in pkgutil.walk_packages(stack.__path__, f"{STACK}."):
        if found.name.rpartition(".")[2].startswith("check_"):
            yield importlib.import_module(found.name)


def registered_in(module: ModuleType) -> Iterator[Registered]:
    """Yield the checks and questions that a module defines, in its order."""
    for each in vars(module).values():
        if isinstance(each, Check | Question) and each.__module__ == module.__name__:
            yield each
