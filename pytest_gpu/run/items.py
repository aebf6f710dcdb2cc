"""The place of a collected test on the ladder: its node, its layer, its requirement."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from sys import intern
from typing import Any

import pytest

from pytest_gpu.layers import Layer

MARK = "gpu_layer"

NO_NODE = "is only for tests of a node; let the test use the fixture gpu_node, or remove the mark"

NOT_ONCE_PER_NODE = (
    "pytest cannot run a method of unittest.TestCase once per node; write a function, or a class "
    "that is not a TestCase"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """A test's place on the ladder; ``requirement`` is the first line of its docstring."""

    node: str
    layer: Layer
    test: str
    requirement: str


RUNG_KEY = pytest.StashKey[Rung | None]()


def layer_of(item: pytest.Item) -> Layer | None:
    """Return the layer that a test's ``gpu_layer`` mark names, ``None`` without a mark.

    Raises:
        ValueError: the mark does not name a layer; the message lists the layers.
    """
    marks = list(item.iter_markers_with_node(MARK))
    if not marks:
        return None
    closest, mark = marks[0]
    if sum(each is closest for each, _ in marks) > 1:
        raise ValueError("is given twice; a test has one layer")
    if len(mark.args) != 1:
        raise ValueError("takes one layer, such as Layer.DRIVER")
    [named] = mark.args
    return named if isinstance(named, Layer) else Layer.parse(str(named))


def misplaced(item: pytest.Item) -> str | None:
    """Return why a test cannot be on the ladder although it wants to, ``None`` if it can."""
    if not isinstance(item, pytest.Function):
        return None
    where = item.nodeid.partition("[")[0]
    try:
        layer = layer_of(item)
    except ValueError as error:
        return f"{where}: mark {MARK}: {error}"
    if node_under(item) is not None:
        return None
    if "gpu_node" in item.fixturenames:
        return f"{where}: fixture gpu_node: {NOT_ONCE_PER_NODE}"
    return None if layer is None else f"{where}: mark {MARK}: {NO_NODE}"


def rung_of(item: pytest.Item) -> Rung | None:
    """Return a test's place on the ladder, ``None`` for a test that has no node or no layer."""
    if RUNG_KEY not in item.stash:
        item.stash[RUNG_KEY] = _rung(item)
    return item.stash[RUNG_KEY]


def node_under(item: pytest.Item) -> str | None:
    """Return the node that a test is about, with or without a layer; ``None`` for no node."""
    callspec = _callspec(item)
    found = callspec is not None and "gpu_node" in callspec.params
    return str(callspec.params["gpu_node"]) if found else None


def asked_again(item: pytest.Item) -> Callable[[object], object]:
    """Return a function that calls a test's function for a node, other arguments unchanged."""
    function: Callable[..., object] = getattr(item, "function")  # noqa: B009 - not every item has it
    given: Mapping[str, object] = getattr(item, "funcargs", {})
    names = inspect.signature(function).parameters
    others = {name: given[name] for name in names if name != "gpu_node" and name in given}
    return lambda node: function(gpu_node=node, **others)


def _callspec(item: pytest.Item) -> Any:
    """Return pytest's record of a test's parameters, ``None`` for a test that has none."""
    return getattr(item, "callspec", None)


def _rung(item: pytest.Item) -> Rung | None:
    layer, node = layer_of(item), node_under(item)
    if layer is None or node is None:
        return None
    requirement = requirement_of(getattr(item, "function", None))
    return Rung(node=node, layer=layer, test=_test(item, node), requirement=requirement)


def _test(item: pytest.Item, node: str) -> str:
    """Return the test's name with its parameters, without the node among them."""
    name = str(getattr(item, "originalname", None) or item.name)
    others = str(_callspec(item).id).removeprefix(node).removeprefix("-")
    return f"{name}[{others}]" if others else name


def requirement_of(function: object) -> str:
    """Return the first line of a test function's docstring."""
    doc = (getattr(function, "__doc__", None) or "").strip()
    return intern(str(doc.partition("\n")[0]))
