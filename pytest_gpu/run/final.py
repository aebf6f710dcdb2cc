"""What pytest finally makes of a test: the last word on its entry, the ledger, its properties."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Any

import pytest

from pytest_gpu.layers import Layer
from pytest_gpu.run.items import Rung, rung_of
from pytest_gpu.run.ladder import Ladder
from pytest_gpu.run.outcome import Gpu, as_reported, gpu_of, properties_of
from pytest_gpu.run.session import GpuSession
from pytest_gpu.run.suite import is_shipped
from pytest_gpu.text.visible import encodable

_COUNTED_AS = {"passed": "passed", "failed": "failed", "error": "failed"}
"""What pytest calls a state of ours; all others are skips."""

_WORST_FIRST = {"failed": 0, "error": 1, "unproven": 2}
"""States that no later report of the same test can improve."""


class Final:
    """Settles every report in the process that ran the test, before anybody reads it.

    Until a report is logged, hooks of users and of other plugins may still change what it says:
    turn a pass into a failure, or announce a rerun.
    """

    def __init__(self, session: GpuSession, ladder: Ladder) -> None:
        self.session = session
        self.ladder = ladder
        self._item: pytest.Item | None = None
        self._entry: Gpu | None = None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Note which test the next reports are about."""
        self._item, self._entry = item, None
        return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Settle a report; only a failure that is counted as one enters the ledger."""
        item = self._item
        rung = rung_of(item) if item is not None and item.nodeid == report.nodeid else None
        if item is None or rung is None:
            return
        entry = settled(report, rung, self.session)
        if entry is not None:
            if entry["state"] == "failed":
                self.session.ledger.record(rung.node, rung.layer)
            entry = self._entry = worse(self._entry, entry) | self._below(item, rung, entry)
        vars(report)["gpu"] = entry
        if self._entry is not None:
            report.user_properties[:] = _with_ours(report.user_properties, self._entry)

    def _below(self, item: pytest.Item, rung: Rung, entry: Gpu) -> Gpu:
        """Return what was found below a test and was not asked for, to add to its entry."""
        below = self.ladder.below
        if entry["state"] == "failed":
            shipped = rung.test.partition("[")[0] if is_shipped(item.path) else None
            below.judge_before(rung.node, rung.layer, shipped)
        found: Gpu = {"below": encodable(below.take(rung.node))}
        if entry["blocked_by"]:
            blocked_by = Layer.parse(entry["blocked_by"])
            found["blocked_cause"], _ = below.cause_of(rung.node, blocked_by)
        return found


def _with_ours(properties: Iterable[tuple[str, object]], entry: Gpu) -> list[tuple[str, object]]:
    """Return a report's properties with those of the entry in place of earlier ones."""
    ours = properties_of(entry)
    return [(name, value) for name, value in properties if name not in ours] + [*ours.items()]


def settled(report: pytest.TestReport, rung: Rung, session: GpuSession) -> Gpu | None:
    """Return a report's entry as pytest counts the report, ``None`` if it decides nothing."""
    noted = gpu_of(report)
    if report.outcome not in {"passed", "failed", "skipped"}:
        # An attempt that another plugin runs again, with an outcome of its own ("rerun").
        return None
    if noted is not None and _COUNTED_AS.get(noted["state"], "skipped") == report.outcome:
        return noted
    if report.passed and report.when != "call":
        return None
    found = as_reported(rung, session.node(rung.node), report)
    kept = {key: noted[key] for key in ("latent", "missing")} if noted is not None else {}
    return found | kept


def worse(earlier: Gpu | None, later: Gpu) -> Gpu:
    """Return the entry that counts of two of one test, with the latent findings of both.

    Subtests and the phases of a test report one by one: the last one counts, but it does not
    hide a failure, an error or something undecided.
    """
    if earlier is None:
        return later
    places = [_WORST_FIRST.get(entry["state"], len(_WORST_FIRST)) for entry in (earlier, later)]
    stays = earlier["state"] in _WORST_FIRST and places[0] <= places[1]
    return (earlier if stays else later) | {
        "latent": later["latent"] or earlier["latent"],
        "missing": list(dict.fromkeys([*earlier["missing"], *later["missing"]])),
    }
