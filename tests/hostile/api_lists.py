"""What an API server may answer: lists of the wrong shape, bodies without end, refusals, names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.hostile.api_asked import DEEP, GROUPS, HUGE, NO_LIST, NO_OBJECT, NODES, NOT_JSON, PODS
from tests.hostile.inputs import Input
from tests.hostile.live import answering, body, listed, thing
from tests.support.hostile_text import HOSTILE

SHAPES: Mapping[str, tuple[bytes, str]] = {
    "null": (b"null", NO_OBJECT),
    "a number": (b"7", NO_OBJECT),
    "a text": (b'"nodes"', NO_OBJECT),
    "a list": (b"[{}]", NO_OBJECT),
    "nothing": (b" ", NOT_JSON),
    "html": (b"<html><body>\x1b[31mLog in</body></html>", NOT_JSON),
    "invalid utf-8": (b'{"items": ["\xff\xfe"]}', NOT_JSON),
    "nested deeply": (b'{"items": ' + DEEP, NOT_JSON),
    "nested deeply and closed": (
        b'{"items": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        NOT_JSON,
    ),
    "a number of 5000 digits": (b'{"items": ' + b"1" * 5000 + b"}", NOT_JSON),
    "truncated": (b'{"kind": "NodeList", "items": [{"metadata": {"na', NOT_JSON),
    "two answers": (b'{"items": []}{"items": []}', NOT_JSON),
    "items a map": (b'{"items": {}}', NO_LIST),
    "items a text": (b'{"items": "none"}', NO_LIST),
    "items a number": (b'{"items": %s}' % HUGE, NO_LIST),
    "items of null": (b'{"items": [null]}', NO_LIST),
    "items of lists": (b'{"items": [[]]}', NO_LIST),
    "items of texts": (b'{"items": ["a"]}', NO_LIST),
    "metadata a list": (b'{"items": [{"metadata": []}]}', NO_OBJECT),
    "metadata of the list a text": (b'{"metadata": "x", "items": []}', NO_OBJECT),
}


def shapes() -> Iterator[Input]:
    """Yield answers of the wrong shape, for the nodes and for what else is listed."""
    for name, (data, says) in SHAPES.items():
        yield answering(f"nodes: {name}", NODES, body(data), says)
    for name in ("null", "html", "items of null", "nested deeply", "items a number"):
        data, says = SHAPES[name]
        yield answering(
            f"pods: {name}",
            PODS,
            body(data),
            f"could not read pods: {says}"[:20],
            exit=1,
            layers="device-plugin",
            hurt="device-plugin",
        )
        yield answering(f"groups: {name}", GROUPS, body(data.replace(b"items", b"groups")), says)


def empties() -> Iterator[Input]:
    """Yield lists without a GPU node in them."""
    none = "no GPU node"
    yield answering("nodes: no items", NODES, thing({"kind": "NodeList"}), none)
    yield answering("nodes: items are null", NODES, thing({"items": None}), none)
    pod = {"metadata": {"name": "a", "namespace": "b"}, "spec": {"containers": []}}
    yield answering("nodes: pods instead", NODES, thing({"kind": "PodList", "items": [pod]}), none)


def gpu_node(**parts: Any) -> dict[str, Any]:
    """Return a Node with a GPU, some of whose parts are others."""
    status = {"capacity": {"nvidia.com/gpu": "1"}, "allocatable": {"nvidia.com/gpu": "1"}}
    return {"metadata": {"name": "bad-1"}, "status": status, **parts}


VALUES: Mapping[str, dict[str, Any]] = {
    "without metadata": {"metadata": None},
    "without a name": {"metadata": {}},
    "named by a number": {"metadata": {"name": 7}},
    "named by a list": {"metadata": {"name": ["a"]}},
    "named by a path": {"metadata": {"name": "../../etc"}},
    "named by a command": {"metadata": {"name": "nv$(touch PWN); id"}},
    "named by escapes": {"metadata": {"name": HOSTILE}},
    "named endlessly": {"metadata": {"name": "a" * 300}},
    "named by nothing": {"metadata": {"name": ""}},
    "labels a list": {"metadata": {"name": "bad-1", "labels": ["a"]}},
    "labels of numbers": {"metadata": {"name": "bad-1", "labels": {"a": 1}}},
    "annotations a text": {"metadata": {"name": "bad-1", "annotations": "a"}},
    "status a list": {"status": []},
    "status a number": {"status": 10**400},
    "capacity a list": {"status": {"capacity": [1]}},
    "conditions a text": {"status": {"conditions": "Ready"}},
    "conditions of null": {"status": {"conditions": [None]}},
    "addresses of numbers": {"status": {"addresses": [7]}},
    "node info a list": {"status": {"nodeInfo": []}},
    "spec a list": {"spec": []},
    "taints a map": {"spec": {"taints": {}}},
}


NAMELESS = frozenset({"without metadata", "without a name", "named by a number", "named by a list"})


def values() -> Iterator[Input]:
    """Yield lists of nodes in which one value is wrong."""
    for name, parts in VALUES.items():
        says = "has no name" if name in NAMELESS else "the API server's list"
        yield answering(f"a node {name}", NODES, listed([gpu_node(**parts)]), says)
    for name, number in HUGE_AMOUNTS.items():
        status = {"capacity": {"nvidia.com/gpu": number}, "allocatable": {}}
        says = "must be a whole number"
        yield answering(
            f"a node whose capacity is {name}", NODES, listed([gpu_node(status=status)]), says
        )
    twice = listed([gpu_node(), gpu_node()])
    yield answering("nodes: one name twice", NODES, twice, "is in the list twice")


HUGE_AMOUNTS: Mapping[str, Any] = {
    "infinite": float("inf"),
    "a text": "1e999999999",
    "a list": [1],
    "a fraction": 0.5,
}


def list_inputs() -> tuple[Input, ...]:
    """Return all inputs of this module."""
    return (*shapes(), *empties(), *values())
