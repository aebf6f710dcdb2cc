"""Work that may be going on when a run ends: nothing new begins, and what began is awaited."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

from pytest_gpu.errors import GpuError


class Gate:
    """Counts what is going on in any thread; once it is shut, nothing more may begin."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._inside = 0
        self._is_shut = False

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Count the block as going on.

        Raises:
            GpuError: the gate is shut.
        """
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def shut(self, within: float = 0.0) -> bool:
        """Let nothing more begin; return whether all has ended within a number of seconds."""
        with self._changed:
            self._is_shut = True
            return self._changed.wait_for(lambda: self._inside == 0, within)

    def _count(self, change: int) -> None:
        with self._changed:
            if self._is_shut and change > 0:
                raise GpuError("the run is ending")
            self._inside += change
            self._changed.notify_all()
