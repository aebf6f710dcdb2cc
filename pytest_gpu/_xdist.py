"""xdist hooks, registered only in a controller that runs with xdist."""

from __future__ import annotations

from collections.abc import Generator
from itertools import islice
from typing import Any

import pytest
from pluggy import HookRelay
from xdist.scheduler import LoadScopeScheduling

from pytest_gpu.layers import Layer, node_of
from pytest_gpu.run.interrupts import Interrupts
from pytest_gpu.run.items import Rung
from pytest_gpu.run.outcome import Gpu, blank, properties_of
from pytest_gpu.run.session import GpuSession


class ShardScheduling(LoadScopeScheduling):
    """Distributes the cluster's nodes over the workers; each climbs its nodes layer by layer.

    A test that crashed its worker counts as done: running it again would crash the next one.
    """

    def __init__(self, config: pytest.Config, log: Any, names: tuple[str, ...]) -> None:
        super().__init__(config, log)
        self.place = {name: index for index, name in enumerate(names)}

    def _split_scope(self, nodeid: str) -> str:
        name = node_of(nodeid, self.place)
        if name is None:
            scope: str = super()._split_scope(nodeid)
            return scope
        return f"shard {self.place[name] % self.numnodes}"

    def _pending_of(self, workload: dict[str, dict[str, bool]]) -> int:
        """Return how many tests of a worker are pending, at most 3.

        xdist asks after each event and compares with 2 at most. Counting all of them would take a
        time that grows with the square of the number of tests.
        """
        pending = (not done for unit in workload.values() for done in reversed(unit.values()))
        return sum(islice(filter(None, pending), 3))

    def remove_node(self, node: Any) -> str | None:
        """Take a crashed worker's test off the list before the rest is distributed again."""
        units = self.assigned_work[node].values()
        pending = (test for unit in units for test, done in unit.items() if not done)
        crashed = next(pending, None)
        if crashed is not None:
            next(unit for unit in units if crashed in unit)[crashed] = True
        super().remove_node(node)
        return crashed


class XdistHooks:
    """Sends the nodes under test to the workers, and reports tests that crashed a worker."""

    def __init__(self, session: GpuSession, hook: HookRelay, interrupts: Interrupts) -> None:
        self.session = session
        self.interrupts = interrupts
        self._hook = hook
        self._crash: pytest.TestReport | None = None

    def pytest_keyboard_interrupt(self) -> None:
        """End the tests of all workers at once, if a signal ends this process.

        A terminal sends Ctrl-C to all processes, everybody else only to this one; xdist would
        wait for 5 s, and kill the workers 5 s later.
        """
        if self.interrupts.first is not None:  # else -x, after which workers end by themselves
            self.session.ledger.end_workers()

    # Not ``--dist=loadgroup``: with pytest 9.2 it no longer groups (pytest-xdist#1386).
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> ShardScheduling:
        """Schedule by node, whatever ``--dist`` says."""
        return ShardScheduling(config, log, self.session.names)

    def pytest_configure_node(self, node: Any) -> None:
        """Give every worker the same nodes in the same order."""
        node.workerinput.update(self.session.for_workers())

    @pytest.hookimpl(tryfirst=True)
    def pytest_handlecrashitem(self, crashitem: str, report: pytest.TestReport) -> None:
        """Make a crash an error of its node, which xdist's own report does not name."""
        gpu = self._crashed(crashitem, report)
        if gpu is not None:
            vars(report)["gpu"] = gpu
            report.user_properties = list(properties_of(gpu).items())
            # Not "???", which would be a phase that nobody knows.
            report.when = "setup"
            self._crash = report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(
        self, report: pytest.TestReport
    ) -> Generator[None, object, object]:
        """Let the report of a tear-down follow a crash: JUnit then closes the test's entry."""
        result = yield
        if report is self._crash:
            self._crash = None
            self._hook.pytest_runtest_logreport(report=_tear_down(report))
        return result

    def _crashed(self, crashitem: str, report: Any) -> Gpu | None:
        test = self.session.ledger.running(report.node.gateway.id)
        if test.pop("nodeid", None) != crashitem:
            return self._from_id(crashitem)
        return test | {"reason": report.longrepr}

    def _from_id(self, nodeid: str) -> Gpu | None:
        """Return what a test's ID says, for a worker that died before it started the test."""
        module, _, test = nodeid.partition("::")
        layers = {f"{layer.module}.py": layer for layer in Layer}
        layer, node = layers.get(module.rpartition("/")[2]), node_of(nodeid, self.session.names)
        if layer is None or node is None:
            return None
        rung = Rung(node=node, layer=layer, test=test.partition("[")[0], requirement="")
        return blank(rung, "error", "the worker crashed before the test started")


def _tear_down(crash: pytest.TestReport) -> pytest.TestReport:
    """Return the report of a tear-down that nobody ran, with the properties of the crash."""
    report = pytest.TestReport(
        nodeid=crash.nodeid,
        location=crash.location,
        keywords={},
        outcome="passed",
        longrepr=None,
        when="teardown",
        user_properties=crash.user_properties,
    )
    # By it the terminal and JUnit know the worker.
    vars(report)["node"] = vars(crash)["node"]
    return report
