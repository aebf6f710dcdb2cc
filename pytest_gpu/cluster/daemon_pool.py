"""Threads that do not keep an interrupted run from ending, as those of ThreadPoolExecutor do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Any, Self, TypeVar

T = TypeVar("T")
A = TypeVar("A")


class DaemonPool:
    """Runs jobs in a number of threads; use it as a context manager.

    At the end of the block, jobs that have not begun are cancelled, and nobody waits for the
    others: after Ctrl-C they may hang in a request that a dead server never answers.

    Args:
        size: the number of threads, at least one.
        name: how the threads' names begin.
    """

    def __init__(self, size: int, name: str) -> None:
        self._size = max(1, size)
        self._name = name
        self._threads = 0
        self._futures: list[Future[Any]] = []
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for future in self._futures:
            future.cancel()
        for _ in range(self._threads):
            self._jobs.put(None)

    def submit(self, function: Callable[..., T], *args: object) -> Future[T]:
        """Return what will hold the function's result, or its exception."""
        future: Future[T] = Future()
        self._futures.append(future)
        self._jobs.put(partial(_run, future, partial(function, *args)))
        if self._threads < self._size:
            self._threads += 1
            Thread(target=self._work, name=f"{self._name}-{self._threads}", daemon=True).start()
        return future

    def map(self, function: Callable[[A], T], items: Iterable[A]) -> list[T]:
        """Return the results of a function for many items, in their order."""
        jobs = [self.submit(function, item) for item in items]
        return [job.result() for job in jobs]

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()


def _run(future: Future[T], job: Callable[[], T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = job()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)
