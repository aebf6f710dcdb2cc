"""Run several checks for one requirement; missing evidence in one does not hide the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from pytest_gpu.causes import Finding
from pytest_gpu.errors import Unproven
from pytest_gpu.gpu_node import Node

Look = Callable[[], Finding | None]


def each_finding(looks: Iterable[Look]) -> Iterator[Finding]:
    """Yield the findings of several checks.

    Raises:
        Unproven: at the end, the first error of a check that lacked evidence.
    """
    unknown: Unproven | None = None
    for look in looks:
        try:
            if finding := look():
                yield finding
        except Unproven as error:
            unknown = unknown or error
    if unknown:
        raise unknown


def first_finding(looks: Iterable[Look]) -> Finding | None:
    """Return the first finding of several checks, ``None`` if there is none.

    Raises:
        Unproven: there is no finding, and a check lacked evidence; the first such error.
    """
    return next(each_finding(looks), None)


def first_of(node: Node, *checks: Callable[[Node], Finding | None]) -> Finding | None:
    """Return the first finding of several checks of a node, ``None`` if there is none.

    Raises:
        Unproven: see :func:`first_finding`.
    """
    return first_finding(partial(check, node) for check in checks)


def each_of(node: Node, *checks: Callable[[Node], Finding | None]) -> Iterator[Finding]:
    """Yield the findings of several checks of a node.

    Raises:
        Unproven: see :func:`each_finding`.
    """
    return each_finding(partial(check, node) for check in checks)
