"""Discriminators: facts of a node that decide between the causes of one message.

Each is decorated with ``@discriminator``, in a module ``discriminators.py`` of a thing; rows of a
``messages.toml`` name it. It yields the evidence that it holds, nothing where it does not.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, update_wrapper
from types import ModuleType

from pytest_gpu.causes import Evidence
from pytest_gpu.checks import STACK
from pytest_gpu.gpu_node import Node

MODULE = "discriminators"

_Look = Callable[[Node], Iterable[Evidence]]


class Discriminator:
    """A registered discriminator; calling it calls the decorated function."""

    def __init__(self, name: str, function: _Look) -> None:
        self.name = name
        self._function = function
        update_wrapper(self, function)

    def __call__(self, node: Node) -> Iterable[Evidence]:
        """Return the evidence that it holds.

        Raises:
            NotInEvidence: nobody looked.
        """
        return self._function(node)


def discriminator(name: str) -> Callable[[_Look], Discriminator]:
    """Register a discriminator under a name such as ``sandbox/access-denied``."""
    return lambda function: Discriminator(name, function)


@cache
def registered() -> Mapping[str, Discriminator]:
    """Return every discriminator by its name."""
    found: dict[str, Discriminator] = {}
    for module in _modules():
        for each in vars(module).values():
            if isinstance(each, Discriminator) and found.setdefault(each.name, each) is not each:
                raise ValueError(f"two discriminators are called {each.name!r}")
    return found


def _modules() -> Iterator[ModuleType]:
    stack = importlib.import_module(STACK)
    for found in pkgutil.walk_packages(stack.__path__, f"{STACK}."):
        if found.name.rpartition(".")[2] == MODULE:
            yield importlib.import_module(found.name)
