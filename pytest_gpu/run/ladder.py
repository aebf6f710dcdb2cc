"""The pytest hooks of a run with ``--gpu-cluster``, in the controller and in every worker."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Generator
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from pytest_gpu.causes import LATENT
from pytest_gpu.errors import GpuError, NotInEvidence
from pytest_gpu.layers import Layer
from pytest_gpu.run.below import Below, whole_layers
from pytest_gpu.run.items import Rung, asked_again, layer_of, misplaced, rung_of
from pytest_gpu.run.missing import Missing

# Import names, not the module: when pytest runs twice in one process, a package that stays loaded
# still has the module of the first run.
from pytest_gpu.run.outcome import (
    BLOCKED_KEY,
    NOT_ASKED,
    Gpu,
    Status,
    attach,
    blank,
    judge,
    point_at_test,
    skip_if_unproven,
    status_of,
    tell_in_full,
)
from pytest_gpu.run.session import GpuSession
from pytest_gpu.run.suite import is_shipped, nodeid_of
from pytest_gpu.run.visible_errors import make_visible
from pytest_gpu.text.visible import visible

ORDER_KEY = pytest.StashKey[int]()


class Ladder:
    """Runs tests by layer, then node; stops climbing a node where a layer failed."""

    def __init__(self, session: GpuSession, worker: str | None) -> None:
        self.session = session
        self.worker = worker
        self.missing = Missing()
        self.below = Below(session, frozenset())
        self._definition = count()
        self._latent: dict[str, dict[str, Gpu]] = {}
        self._deselected = 0

    def pytest_pycollect_makemodule(
        self, module_path: Path, parent: pytest.Collector
    ) -> pytest.Module | None:
        """Give shipped modules the same ID wherever the package is installed."""
        nodeid = nodeid_of(module_path)
        if nodeid is None:
            return None
        module: pytest.Module = pytest.Module.from_parent(parent, path=module_path, nodeid=nodeid)
        return module

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run every test that needs ``gpu_node`` once per node."""
        if "gpu_node" in metafunc.fixturenames:
            names = self.session.names
            metafunc.parametrize("gpu_node", names, ids=names, indirect=True, scope="session")

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self) -> Generator[None, pytest.CollectReport, Any]:
        """Refuse tests that want a place on the ladder and cannot have one.

        Otherwise they would run and decide nothing. An error of the collection is what xdist
        workers can pass on.
        """
        report = yield
        items = (each for each in report.result or () if isinstance(each, pytest.Item))
        if wrong := dict.fromkeys(why for item in items if (why := misplaced(item))):
            report.outcome, report.longrepr, report.result = "failed", "\n".join(wrong), []
        return report

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Remember the order of definition before another plugin shuffles."""
        item.stash[ORDER_KEY] = next(self._definition)

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """Count conformance tests that ``-k`` and similar options left out."""
        up_to = self.session.settings.up_to
        rungs = [rung for item in items if (rung := rung_of(item))]
        self._deselected += sum(rung.layer <= up_to for rung in rungs)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Leave out layers that were not asked for; order by layer, node and definition."""
        up_to = self.session.settings.up_to
        above = [item for item in items if (layer_of(item) or up_to) > up_to]
        if above:
            config.hook.pytest_deselected(items=above)
        asked = [item for item in items if (layer_of(item) or up_to) <= up_to]
        rungs = [(rung, item) for item in asked if (rung := rung_of(item))]
        place = {name: index for index, name in enumerate(self.session.names)}
        rungs.sort(key=lambda pair: (pair[0].layer, place[pair[0].node], pair[1].stash[ORDER_KEY]))
        items[:] = [item for _, item in rungs] + [item for item in asked if not rung_of(item)]
        for rung, item in rungs:
            _label(item, rung)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note what was selected: a test without a result must not go unnoticed."""
        planned: dict[str, Counter[str]] = {}
        rungs = [(rung, item) for item in session.items if (rung := rung_of(item))]
        for rung, _ in rungs:
            planned.setdefault(rung.node, Counter())[str(rung.layer)] += 1
        self.session.ledger.plan({"tests": planned, "deselected": self._deselected})
        shipped = (rung for rung, item in rungs if is_shipped(item.path))
        self.below = self.session.below = Below(self.session, whole_layers(shipped))
        # The tests of a large fleet stay until the end: there is no garbage to look for in them.
        gc.freeze()

    def pytest_sessionfinish(self) -> None:
        """Let the garbage collector see everything again."""
        gc.unfreeze()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Give the test a list for latent findings; note which test a worker is about to run."""
        rung = rung_of(item)
        if rung is not None and self.worker is not None:
            test = {"nodeid": item.nodeid, **blank(rung, "error")}
            self.session.ledger.begin(self.worker, test)
        token = LATENT.set([])
        try:
            return (yield)
        finally:
            LATENT.reset(token)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Skip what was not asked or is blocked; start the objects that a layer's tests check."""
        # Another plugin may run a test again: what it found before does not count.
        LATENT.get().clear()
        rung = rung_of(item)
        if rung is None:
            return
        if is_shipped(item.path) and (why := self.session.why_not_asked(rung)):
            pytest.skip(visible(f"{NOT_ASKED}{why}"))
        if (failed := self.session.blocked_by(rung.layer, rung.node)) is not None:
            item.stash[BLOCKED_KEY] = str(failed)
            why = self._silent_cause(rung, failed)
            pytest.skip(f"blocked: {failed} failed on {rung.node}{why}")
        self.session.ensure_outcomes(rung.layer, rung.node)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Note on the report how the test ended, while its exception is known."""
        rung = rung_of(item)
        if rung is None or (call.when != "call" and call.excinfo is None):
            return (yield)
        missing = self._missing(item, rung, call)
        node = self.session.node(rung.node)
        if call.excinfo is not None and isinstance(call.excinfo.value, GpuError):
            make_visible(call.excinfo.value)
        ours = skip_if_unproven(call) or BLOCKED_KEY in item.stash
        own = self.session.own_causes
        tell_in_full(call, rung, node, own, [*self._latent.get(rung.node, {}).values()])
        report = yield
        if ours:
            point_at_test(item, report)
        gpu = judge(item, rung, node, call, report, latent=LATENT.get(), own=own)
        if gpu is not None:
            gpu["missing"] = missing
            if gpu["latent"]:
                self._latent.setdefault(rung.node, {})[rung.test] = gpu
            attach(report, gpu)
        return report

    def _missing(self, item: pytest.Item, rung: Rung, call: pytest.CallInfo[None]) -> list[str]:
        """Return the evidence that a shipped test needs and that was not collected."""
        first = call.excinfo.value if call.excinfo is not None else None
        if not isinstance(first, NotInEvidence):
            return []
        if call.when != "call" or not is_shipped(item.path):
            return [first.what]
        return self.missing.of(asked_again(item), self.session.node(rung.node), first)

    def _silent_cause(self, rung: Rung, failed: Layer) -> str:
        """Return why a lower layer failed that no test of this run shows, else an empty text."""
        cause, title = self.below.cause_of(rung.node, failed)
        why = f" (not asked for, but judged first): {cause}: {title}" if cause else ""
        return visible(why)

    def pytest_report_teststatus(
        self, report: pytest.CollectReport | pytest.TestReport
    ) -> Status | None:
        """Give blocked and unproven tests their own letters and counts."""
        return status_of(report)


def _label(item: pytest.Item, rung: Rung) -> None:
    """Give JUnit its properties and Allure its suites, also for tests that never end."""
    item.user_properties += [("gpu_node", rung.node), ("gpu_layer", str(rung.layer))]
    # A mark of Allure's own is enough; without the plugin it would be an unknown mark.
    if item.config.getoption("allure_report_dir", None):
        item.add_marker(_suite(rung.node, "parentSuite"))
        item.add_marker(_suite(str(rung.layer), "suite"))


@cache
def _suite(name: str, kind: str) -> pytest.MarkDecorator:
    """Return the mark for a suite of Allure's: one for all tests of a node or a layer."""
    return pytest.mark.allure_label(name, label_type=kind)
