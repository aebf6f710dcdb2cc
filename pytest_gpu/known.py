"""Optional facts: ``None`` when the evidence was not collected."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pytest_gpu.errors import NotInEvidence

_T = TypeVar("_T")


def known(look: Callable[[], _T]) -> _T | None:
    """Return a look-up's result, ``None`` without evidence: no verdict may rest on it alone."""
    try:
        return look()
    except NotInEvidence:
        return None
