"""The parts of an end in order: threads that nobody waits for, and work that is waited for."""

from __future__ import annotations

import threading
import time

import pytest

from pytest_gpu.cluster.daemon_pool import DaemonPool
from pytest_gpu.cluster.gate import Gate
from pytest_gpu.errors import GpuError


def test_jobs_have_results_and_errors_in_order() -> None:
    """As with ThreadPoolExecutor."""
    with DaemonPool(2, "test") as pool:
        assert pool.map(lambda number: number * 2, range(5)) == [0, 2, 4, 6, 8]
        with pytest.raises(ZeroDivisionError):
            pool.submit(lambda: 1 / 0).result()


def test_no_more_threads_than_asked_for_and_none_keeps_a_process() -> None:
    """They end with the block, and are daemons while they work."""
    seen = set()

    def job(_: int) -> None:
        assert threading.current_thread().daemon
        seen.add(threading.current_thread())
        time.sleep(0.01)

    with DaemonPool(3, "test") as pool:
        pool.map(job, range(30))
    assert len(seen) <= 3
    for thread in seen:
        thread.join(5)
        assert not thread.is_alive()


def test_the_end_of_the_block_waits_for_nobody() -> None:
    """What has not begun is cancelled; what has begun may take as long as it likes."""
    begun, go_on = threading.Event(), threading.Event()

    def hang() -> bool:
        begun.set()
        return go_on.wait(60)

    with DaemonPool(1, "test") as pool:
        first, second = pool.submit(hang), pool.submit(hang)
        assert begun.wait(5)
    assert (first.done(), second.cancelled()) == (False, True)
    go_on.set()
    assert first.result(5)


def test_nothing_begins_behind_a_gate_that_is_shut() -> None:
    """Until then everything may, from many threads."""
    gate = Gate()
    with gate.inside(), gate.inside():
        assert not gate.shut()
        with pytest.raises(GpuError, match="the run is ending"), gate.inside():
            raise AssertionError
    assert gate.shut()


def test_what_is_going_on_is_waited_for() -> None:
    """For a while."""
    gate, inside, go_on = Gate(), threading.Event(), threading.Event()

    def work() -> None:
        with gate.inside():
            inside.set()
            go_on.wait(60)

    with DaemonPool(1, "test") as pool:
        job = pool.submit(work)
        assert inside.wait(5)
        assert not gate.shut(0.01)
        go_on.set()
        assert gate.shut(5)
        job.result(5)
