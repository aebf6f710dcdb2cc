"""What each cause of the catalogue explains: its ``explains``, with a direction.

A cause stands below its consequences, or beside them. A name in full always counts. A pattern is a
wish: it means no cause of a lower layer, and none beside it that explains this one just as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache

from pytest_gpu.catalogue import catalogue
from pytest_gpu.cause_entry import Cause


@cache
def consequences() -> Mapping[str, frozenset[str]]:
    """Return the causes that each cause of the catalogue explains, by its ID."""
    return directed(catalogue())


def directed(known: Mapping[str, Cause]) -> Mapping[str, frozenset[str]]:
    """Return what each of these causes explains."""
    causes = known.values()
    return {
        name: frozenset(other.id for other in causes if other is not cause and _goes(cause, other))
        for name, cause in known.items()
    }


def _goes(cause: Cause, other: Cause) -> bool:
    """Say whether ``explains`` leads from one cause to another one, and not back."""
    if other.id in cause.explains:
        return True
    if not _fits(cause, other) or cause.id in other.explains:
        return False
    return other.layer > cause.layer or (other.layer == cause.layer and not _fits(other, cause))


def _fits(cause: Cause, other: Cause) -> bool:
    return any(fnmatchcase(other.id, pattern) for pattern in cause.explains)
