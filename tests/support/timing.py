"""What the tests cost: the average processor time of a test, printed at the end of a run."""

from __future__ import annotations

import os
from typing import Any

import pytest

GOAL = 95
"""Milliseconds per test on average, with all processes that tests start."""


class Processor:
    """Plugin that sums up the time of this process, of xdist's workers, and of their children.

    It sees all of it but the last moments of each process.
    """

    def __init__(self) -> None:
        self.tests = 0
        self.workers: list[float] = []

    def pytest_runtest_logfinish(self) -> None:
        """Count a test; xdist's controller is told of those in its workers."""
        self.tests += 1

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what a worker used; one that crashed could not tell."""
        self.workers.append(getattr(node, "workeroutput", {}).get("processor", 0.0))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """In a worker, hand over what it used."""
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["processor"] = _own() + _of_children()

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the average."""
        if self.tests:
            seconds = self._seconds()
            average = f"{1000 * seconds / self.tests:.0f} ms on average (goal: {GOAL})"
            tests = f"{self.tests} test{'s' if self.tests > 1 else ''}"
            terminalreporter.write_line(f"processor time: {seconds:.1f} s, {tests}, {average}")

    def _seconds(self) -> float:
        # The workers are children of the controller, and would count twice.
        return _own() + (sum(self.workers) if self.workers else _of_children())


def _own() -> float:
    times = os.times()
    return times.user + times.system


def _of_children() -> float:
    times = os.times()
    return times.children_user + times.children_system
