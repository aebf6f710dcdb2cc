"""Several looks for one requirement: what one of them cannot see hides none of the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from pytest_gpu.causes import Finding
from pytest_gpu.errors import Unproven
from pytest_gpu.node.gpu_node import GpuNode

Look = Callable[[], Finding | None]


def first_finding(looks: Iterable[Look]) -> Finding | None:
    """Return the first finding of several looks.

    Raises:
        Unproven: there is none, and a look could not be made; the first such.
    """
    unknown: Unproven | None = None
    for look in looks:
        try:
            if finding := look():
                return finding
        except Unproven as error:
            unknown = unknown or error
    if unknown:
        raise unknown
    return None


def first_of(node: GpuNode, *checks: Callable[[GpuNode], Finding | None]) -> Finding | None:
    """Return what the first check finds of a node that finds anything.

    Raises:
        Unproven: as :func:`first_finding`.
    """
    return first_finding(partial(check, node) for check in checks)
