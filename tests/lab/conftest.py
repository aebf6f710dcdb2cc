"""The real components that the lab tests start, and a message about those left out.

``PYTEST_GPU_LAB=required`` (CI sets it) turns "left out" into a failure.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NoReturn

import pytest

from tests.lab.cluster import LabCluster, open_cluster
from tests.lab.control_plane.account import Account, applied
from tests.lab.parts import debian
from tests.lab.parts.containerds import containerd

LEFT_OUT = "lab test left out: "
COMPARED = "containerd merge"
"""Property of a test that compared: (generation, digests of configurations, differences)."""


def leave_out(reason: str) -> NoReturn:
    """Skip the test, or fail it where the lab is required."""
    if os.environ.get("PYTEST_GPU_LAB") == "required":
        pytest.fail(f"{LEFT_OUT}{reason} (PYTEST_GPU_LAB=required)", pytrace=False)
    pytest.skip(LEFT_OUT + reason)


@pytest.fixture(scope="session")
def containerd_program() -> Callable[[str], Path]:
    """Return the function that gives the real containerd of a generation, or leaves out."""
    known: dict[str, Path | str] = {}

    def program(generation: str) -> Path:
        if generation not in known:
            known[generation] = _ask(generation)
        found = known[generation]
        if isinstance(found, str):
            leave_out(found)
        return Path(found)

    return program


@pytest.fixture(scope="session")
def lab_cluster() -> Iterator[LabCluster]:
    """Give a real cluster with nodes of three containerd generations and one with systemd.

    Everything on it is healthy at first; a test that breaks something repairs it. Left out where
    this machine cannot have one.
    """
    try:
        cluster = open_cluster()
    except debian.Missing as missing:
        leave_out(f"the lab's cluster: {missing}")
    yield cluster
    cluster.close()


@pytest.fixture(scope="module")
def user(lab_cluster: LabCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """Give the service account of the shipped manifest, on the healthy cluster."""
    file = tmp_path_factory.mktemp("account") / "kubeconfig"
    with applied(lab_cluster.api, lab_cluster.kubeconfig, file) as account:
        yield account


def _ask(generation: str) -> Path | str:
    try:
        return containerd(generation) / "containerd"
    except debian.Missing as missing:
        return f"containerd {generation}: {missing}"


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the lab tests that did not run, and why, by reason."""
    reasons: dict[str, int] = {}
    for report in terminalreporter.stats.get("skipped", ()):
        text = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else ""
        if LEFT_OUT in text:
            reason = text.partition(LEFT_OUT)[2]
            reasons[reason] = reasons.get(reason, 0) + 1
    if reasons:
        _tell(terminalreporter, reasons)
    _tell_compared(terminalreporter)


def _tell_compared(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many configurations were compared with the real containerd, and how many differ."""
    found = [
        value
        for state in ("passed", "failed")
        for report in terminalreporter.stats.get(state, ())
        for name, value in report.user_properties
        if name == COMPARED
    ]
    if found:
        configurations = {each for _, digests, _ in found for each in digests}
        generations = {generation for generation, _, _ in found}
        differences = sum(count for _, _, count in found)
        terminalreporter.write_line(
            f"{COMPARED}: {len(configurations)} configurations x {len(generations)} generations,"
            f" {differences} differences"
        )


def _tell(terminalreporter: pytest.TerminalReporter, reasons: Mapping[str, int]) -> None:
    terminalreporter.section("LAB TESTS LEFT OUT", yellow=True, bold=True)
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"{count} tests not run: {reason}", yellow=True)
    terminalreporter.write_line("They compare with real components: run them as root on Debian.")
