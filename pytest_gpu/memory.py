"""Answers kept for one snapshot of the evidence, without a lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, cast, overload

from pytest_gpu.errors import Unproven

_T = TypeVar("_T")


class _Stands:
    """The error that is kept in place of an answer that is not in the evidence."""

    def __init__(self, error: Unproven) -> None:
        self.error = error


class Memory:
    """Keeps answers by key; an :class:`Unproven` is kept, too, and raised again.

    It belongs to one snapshot of the evidence. Two threads may work out the same answer at the
    same time; both get the same one, since facts are pure.
    """

    def __init__(self) -> None:
        self._kept: dict[object, object] = {}

    def recall(self, key: object, work: Callable[[], _T]) -> _T:
        """Return the answer kept under a key; work it out the first time.

        Raises:
            Unproven: what ``work`` raised, the first time and every time after.
        """
        try:
            kept = self._kept[key]
        except KeyError:
            kept = self._kept[key] = _attempt(work)
        if isinstance(kept, _Stands):
            raise kept.error.with_traceback(None)
        return cast("_T", kept)


def _attempt(work: Callable[[], object]) -> object:
    try:
        return work()
    except Unproven as error:
        return _Stands(error)


class lazy(Generic[_T]):  # noqa: N801 - used like property
    """A property that is worked out when first asked and kept in the instance.

    Unlike ``functools.cached_property`` before Python 3.12, it has no lock for all instances:
    threads that judge different nodes would wait for each other.
    """

    def __init__(self, function: Callable[[Any], _T]) -> None:
        self._function = function
        self.__doc__ = function.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type) -> _T: ...

    def __get__(self, instance: object | None, owner: type) -> Self | _T:
        if instance is None:
            return self
        found = vars(instance)[self._name] = self._function(instance)
        return found
