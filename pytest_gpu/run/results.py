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
from pytest_gpu.run.below import nodeid_of
from pytest_gpu.run.outcome import Gpu, gpu_of
from pytest_gpu.run.session import GpuSession
from pytest_gpu.stack.kube.objects import name_of
from pytest_gpu.stack.kube.pods import waiting_pods


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
        """Keep what a report decides; a later phase of the same test replaces it."""
        if (gpu := gpu_of(report)) is not None:
            earlier = self._results.get(report.nodeid)
            if earlier and earlier["latent"] and not gpu["latent"]:
                gpu = gpu | {"latent": earlier["latent"]}
            for found in gpu.get("below", ()):
                self._results.setdefault(nodeid_of(found), found)
            self._results[report.nodeid] = gpu

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Judge the run, write the reports and turn a 0 that proves nothing into a 1."""
        plan = self.session.ledger.planned()
        if session.config.getoption("collectonly") or not (plan.get("tests") or self._results):
            return
        try:
            self._document = self._judge(plan)
        except GpuError as error:
            self._troubles.append(f"ERROR: no verdict: {error}")
        else:
            session.config.hook.pytest_gpu_verdict(config=session.config, document=self._document)
            self._write(self._document)
        good = self._document is not None and not self._document["run"]["exit_code"]
        if exitstatus == pytest.ExitCode.OK and (self._troubles or not good):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter, exitstatus: int
    ) -> Generator[None, None, None]:
        """Print the verdicts last, or why there are none."""
        with told_once(terminalreporter):
            yield
        if self._document is not None:
            terminalreporter.section("GPU conformance")
            beside = [name_of(node) for node in self.session.cluster.objects("nodes")]
            lines = terminal.render(self._document, **_page(terminalreporter), beside=beside)
            terminal.print_lines(lines, terminalreporter)
        elif exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
            terminalreporter.write_line(f"gpu: {why_nothing(terminalreporter.config)}")
        for trouble in self._troubles:
            terminalreporter.write_line(trouble, red=True)

    def _judge(self, plan: Mapping[str, Any]) -> dict[str, Any]:
        planned: Mapping[str, Mapping[str, int]] = plan.get("tests") or {}
        tested = {*planned, *(gpu["node"] for gpu in self._results.values())}
        return verdicts.build(
            list(self._results.values()),
            [name for name in self.session.names if name in tested],
            self._run_info(planned, plan.get("deselected", 0)),
            self.session.cluster,
            waiting_pods,
            node_facts=lambda name: node_facts(self.session.node(name)),
        )

    def _run_info(self, planned: Mapping[str, Mapping[str, int]], deselected: int) -> RunInfo:
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
            planned=planned,
        )

    def _write(self, document: Mapping[str, Any]) -> None:
        for path in self.session.settings.reports:
            try:
                json.write(document, path)
            except OSError as error:
                self._troubles.append(f"ERROR: --gpu-report: {path}: {error.strerror}")


@contextmanager
def told_once(reporter: pytest.TerminalReporter) -> Iterator[None]:
    """Keep failures that have a cause out of pytest's own summary: the verdicts show them.

    A hundred nodes with one cause would otherwise be a hundred tracebacks. Any of ``-v``,
    ``--tb`` and ``-r`` brings them back; failures without a cause and errors always stay.
    """
    options, failed = reporter.config.option, reporter.stats.get("failed", [])
    asked = options.verbose > 0 or options.tbstyle != "auto" or options.reportchars != "fE"
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
    """Return how wide the terminal is and which characters it has."""
    encoding = getattr(sys.__stdout__, "encoding", None)
    return {"width": reporter.config.get_terminal_writer().fullwidth, "encoding": encoding}


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
