"""Several looks for one requirement: what one of them cannot see hides none of the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from pytest_gpu.causes import Finding
from pytest_gpu.errors import Unproven
from pytest_gpu.gpu_node import Node

Look = Callable[[], Finding | None]


def each_finding(looks: Iterable[Look]) -> Iterator[Finding]:
    """Yield what each look finds.

    Raises:
        Unproven: after all others, a look could not be made; the first such.
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
    """Return the first finding of several looks.

    Raises:
        Unproven: there is none, and a look could not be made; the first such.
    """
    return next(each_finding(looks), None)


def first_of(node: Node, *checks: Callable[[Node], Finding | None]) -> Finding | None:
    """Return what the first check finds of a node that finds anything.

    Raises:
        Unproven: as :func:`first_finding`.
    """
    return first_finding(partial(check, node) for check in checks)


def each_of(node: Node, *checks: Callable[[Node], Finding | None]) -> Iterator[Finding]:
    """Yield what each check finds of a node.

    Raises:
        Unproven: as :func:`each_finding`.
    """
    return each_finding(partial(check, node) for check in checks)
