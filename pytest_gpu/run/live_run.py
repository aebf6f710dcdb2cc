"""The pytest hooks of a run on a live cluster: nodes are visited, and everything is removed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import pytest

from pytest_gpu.cluster.outcomes import leftovers
from pytest_gpu.errors import GpuError
from pytest_gpu.run.interrupts import Interrupts
from pytest_gpu.run.items import node_under
from pytest_gpu.run.suite import questions
from pytest_gpu.text.visible import visible

if TYPE_CHECKING:
    from pytest_gpu.cluster.live import LiveCluster
    from pytest_gpu.run.session import GpuSession


class LiveRun:
    """Visits the nodes before the first test and cleans up after the last, in the controller."""

    def __init__(self, live: LiveCluster, session: GpuSession, interrupts: Interrupts) -> None:
        self.live = live
        self.session = session
        self.interrupts = interrupts
        self._troubles: list[str] = []

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, Any, Any]:
        """Visit the nodes that have tests; every process judges what was collected here."""
        names = self._with_tests(session)
        if names:
            try:
                self.live.visit(names)
            except GpuError as error:
                told = visible(f"--gpu-cluster: {self.live.title}: {error}")
                raise pytest.UsageError(told) from error
            self.session.look_again(self.live.opened())
        return (yield)

    def _with_tests(self, session: pytest.Session) -> list[str]:
        option = session.config.option
        failed = session.testsfailed and not option.continue_on_collection_errors
        if option.collectonly or failed or self.live.visited:
            return []
        if session.config.pluginmanager.has_plugin("dsession"):
            return list(self.session.names)  # the workers collect, this process does not
        asked = {node_under(item) for item in session.items}
        return [name for name in self.session.names if name in asked]

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Remove everything, then keep the recording; a failure is reported and fails the run.

        Whoever sends SIGTERM sends SIGKILL some seconds later.
        """
        if trouble := removed(self.live, self.interrupts):
            self._troubles.append(trouble)
        if (to := self.session.settings.record) is not None and self.live.visited:
            try:
                asked = questions(self.session.settings.up_to)
                self.live.record(to, asked, self.session.selected)
            except (GpuError, OSError) as error:
                self._troubles.append(f"--gpu-record: {to}: {error}")
        if self.live.visited:
            self._troubles.extend(leftovers(self.live.opened()))
        self.interrupts.settle(session)
        if self._troubles and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print what went wrong at the end."""
        for trouble in self._troubles:
            terminalreporter.write_line(visible(f"ERROR: {trouble}"), red=True)


def removed(live: LiveCluster, interrupts: Interrupts) -> str:
    """Remove what the run created; return what went wrong, empty if nothing."""
    trouble = interrupts.finish(live.clean_up)
    if trouble is None:
        return f"interrupted: what the run created may still be there; {live.by_hand}"
    return trouble


def last_resort(live: LiveCluster, interrupts: Interrupts) -> Callable[[], None]:
    """Return a function that cleans up when pytest ends before its session."""

    def clean_up() -> None:
        if trouble := removed(live, interrupts):
            sys.stderr.write(visible(f"ERROR: {trouble}\n"))
        live.forget()

    return clean_up


def writer(config: pytest.Config) -> Callable[[str], None]:
    """Return a function that writes a line for the user, or nothing with ``-q``."""
    terminal = config.pluginmanager.get_plugin("terminalreporter")

    def write(line: str) -> None:
        if terminal is not None and config.get_verbosity() >= 0:
            terminal.ensure_newline()
            terminal.write_line(visible(line))

    return write
