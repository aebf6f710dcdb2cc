"""Turns all test reports into the verdict document, its reports and the exit code."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import pytest

from pytest_gpu.errors import GpuError
from pytest_gpu.layers import Layer
from pytest_gpu.report import json, terminal, verdicts
from pytest_gpu.report.facts import node_facts
from pytest_gpu.report.run_info import RunInfo
from pytest_gpu.run import short_summary
from pytest_gpu.run.below import nodeid_of
from pytest_gpu.run.final import worse
from pytest_gpu.run.interrupts import interrupts_of
from pytest_gpu.run.outcome import Gpu, gpu_of
from pytest_gpu.run.project.verdict_hook import call_verdict_hook
from pytest_gpu.run.session import GpuSession
from pytest_gpu.stack.kube.objects import name_of
from pytest_gpu.stack.kube.pods import waiting_pods
from pytest_gpu.text.visible import visible


class Results:
    """Gathers ``report.gpu`` of every test in the controller; at the end judges and reports."""

    def __init__(self, session: GpuSession) -> None:
        self.session = session
        self.started = datetime.now(UTC)
        self._clock = time.monotonic()
        self._results: dict[str, Gpu] = {}
        self._document: dict[str, Any] | None = None
        self._troubles: list[str] = []

    def standing(self) -> str:
        """Return how many nodes have no failed layer yet, for the progress line."""
        fallen = {gpu["node"] for gpu in self._results.values() if gpu["state"] == "failed"}
        total = len(self.session.names)
        nodes = "1 node" if total == 1 else f"{total} nodes"
        return f"{total - len(fallen)} of {nodes}" if fallen else nodes

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what a report decides, and what an earlier report of the same test found."""
        if (gpu := gpu_of(report)) is not None:
            earlier = self._results.get(report.nodeid)
            asked = None if earlier is None or earlier.get("silent") else earlier
            for found in gpu.get("below", ()):
                self._results.setdefault(nodeid_of(found), found)
            self._results[report.nodeid] = worse(asked, gpu)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, Any, Any]:
        """Judge the run, write the reports and turn a 0 that proves nothing into a 1.

        The reports are written first, since what follows may take long. If it changes the exit
        code (cleaning up a cluster, pytest's limit of warnings), they are written again.
        """
        ended, interrupts = ended_by(session), interrupts_of(session.config)
        interrupts.settle(session)
        if not session.config.getoption("collectonly"):
            self._finish(session, ended)
        try:
            result = yield
        except KeyboardInterrupt:
            session.exitstatus = interrupts.code
            raise
        else:
            interrupts.result = int(session.exitstatus)
            return result
        finally:
            if self._document and self._document["run"]["exit_code"] != session.exitstatus:
                self._write(self._document, session)

    def _finish(self, session: pytest.Session, ended: str | None) -> None:
        plan = self.session.ledger.planned()
        tested = bool(plan.get("tests") or self._results)
        if not tested and not self.session.settings.reports:
            return
        try:
            document = self._document = self._judge(plan, ended)
        except GpuError as error:
            self._fail(session, f"ERROR: no verdict: {error}")
            return
        if tested and document["run"]["exit_code"]:
            self._fail(session)
        document["run"]["exit_code"] = int(session.exitstatus)
        if tested:
            self._call_hook(document, session)
        self._write(document, session)

    def _call_hook(self, document: Mapping[str, Any], session: pytest.Session) -> None:
        failure = call_verdict_hook(session.config, document)
        if failure is None:
            return
        self._fail(session, failure.line)
        if session.exitstatus == pytest.ExitCode.TESTS_FAILED:
            session.exitstatus = failure.code

    def _fail(self, session: pytest.Session, trouble: str | None = None) -> None:
        """Turn exit code 0 into 1; another code of pytest's says more and stays."""
        if trouble is not None and trouble not in self._troubles:
            self._troubles.append(trouble)
        if session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter, exitstatus: int
    ) -> Generator[None, None, None]:
        """Print the verdicts last, or why there are none."""
        with told_once(terminalreporter):
            yield
        if not terminalreporter.config.option.no_summary:
            self._summary(terminalreporter, exitstatus)
        for trouble in self._troubles:
            terminalreporter.write_line(visible(trouble), red=True)

    def _summary(self, reporter: pytest.TerminalReporter, exitstatus: int) -> None:
        short_summary.write(reporter)
        if self._document is not None and self._document["nodes"]:
            if reporter.config.get_verbosity() >= -1:
                reporter.section("GPU conformance")
            beside = [name_of(node) for node in self.session.cluster.objects("nodes")]
            lines = terminal.render(self._document, **_page(reporter), beside=beside)
            terminal.print_lines(lines, reporter)
        elif exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
            reporter.write_line(visible(f"gpu: {why_nothing(reporter.config)}"))

    def _judge(self, plan: Mapping[str, Any], ended: str | None) -> dict[str, Any]:
        planned: Mapping[str, Mapping[str, int]] = plan.get("tests") or {}
        tested = {*planned, *(gpu["node"] for gpu in self._results.values())}
        return verdicts.build(
            list(self._results.values()),
            [name for name in self.session.names if name in tested],
            self._run_info(planned, plan.get("deselected", 0), ended),
            self.session.cluster,
            waiting_pods,
            node_facts=lambda name: node_facts(self.session.node(name)),
        )

    def _run_info(
        self, planned: Mapping[str, Mapping[str, int]], deselected: int, ended: str | None
    ) -> RunInfo:
        settings = self.session.settings
        asked = {layer for layers in planned.values() for layer in layers}
        return RunInfo(
            suite_version=version("pytest-gpu"),
            cluster=settings.cluster,
            started=self.started,
            duration=time.monotonic() - self._clock,
            layers_asked=tuple(str(layer) for layer in Layer if str(layer) in asked),
            all_layers=settings.all_layers,
            allow_unproven=settings.allow_unproven,
            deselected=deselected,
            ended=ended,
            planned=planned,
        )

    def _write(self, document: dict[str, Any], session: pytest.Session) -> None:
        """Write the reports, with the exit code of the process."""
        document["run"]["exit_code"] = int(session.exitstatus)
        for path in self.session.settings.reports:
            try:
                json.write(document, path)
            except OSError as error:
                self._fail(session, f"ERROR: --gpu-report: {path}: {error.strerror}")


def ended_by(session: pytest.Session) -> str | None:
    """Return why pytest stopped before the last test, ``None`` if it does not know."""
    if why := session.shouldfail or session.shouldstop:
        return str(why)
    interrupted = session.exitstatus == pytest.ExitCode.INTERRUPTED
    return "interrupted" if interrupted else None


@contextmanager
def told_once(reporter: pytest.TerminalReporter) -> Iterator[None]:
    """Keep failures that have a cause out of pytest's own summary: the verdicts show them.

    A hundred nodes with one cause would otherwise be a hundred tracebacks. ``-v``, ``--tb`` and
    an ``-r`` for failures bring them back; failures without a cause and errors always stay.
    """
    options, failed = reporter.config.option, reporter.stats.get("failed", [])
    listed = options.reportchars != "fE" and "f" in reporter.reportchars
    asked = options.verbose > 0 or options.tbstyle != "auto" or listed
    rest = [report for report in failed if asked or not _has_cause(report)]
    reporter.stats["failed"] = rest
    try:
        yield
    finally:
        reporter.stats["failed"] = failed
        if not failed:
            del reporter.stats["failed"]


def _has_cause(report: pytest.TestReport) -> bool:
    cause = ((gpu_of(report) or {}).get("finding") or {}).get("cause")
    return cause is not None and not cause.endswith("/unexplained")


def _page(reporter: pytest.TerminalReporter) -> dict[str, Any]:
    """Return how wide the terminal is, which characters it has, and how much it should say."""
    return {
        "width": reporter.config.get_terminal_writer().fullwidth,
        "encoding": getattr(sys.__stdout__, "encoding", None),
        "verbosity": reporter.config.get_verbosity(),
    }


def why_nothing(config: pytest.Config) -> str:
    """Return why no test was selected, as far as the configuration shows."""
    functions = config.getini("python_functions")
    if functions != ["test"] and "test" not in functions:
        found = " ".join(functions)
        return (
            f"nothing was tested: this directory's pytest configuration sets python_functions = "
            f"{found}, which hides the shipped tests; try -o python_functions=test"
        )
    return "nothing was tested: -k, -m or the given paths selected no test"
