"""How a conformance test ended: from pytest's report to the state it has on the ladder."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import pytest

from pytest_gpu.cause_entry import Cause
from pytest_gpu.causes import Evidence, Finding, GpuFailure
from pytest_gpu.errors import GpuError, Unproven
from pytest_gpu.finding_json import as_json
from pytest_gpu.gpu_node import Node
from pytest_gpu.report.roots import link_of
from pytest_gpu.run.items import Rung
from pytest_gpu.run.placeholders import filled
from pytest_gpu.text.visible import encodable, visible

Gpu = dict[str, Any]
"""``report.gpu``: plain JSON types, since xdist carries it from worker to controller."""

NOT_ASKED = "not asked: "
NO_REASON = "the test gives no reason"

_REASONS = {"unproven": "unproven:", "not-asked": "not asked:"}
"""How a skip's reason begins, by state; pytest cuts off the blank if nothing follows."""

OUT_OF_TIME = "from pytest-timeout."
"""How the message ends with which pytest-timeout stops a test: that it is slow proves nothing."""

BLOCKED_KEY = pytest.StashKey[str]()
"""The layer that blocks a test, set where the test is skipped."""


def gpu_of(report: object) -> Gpu | None:
    """Return a report's entry for the ladder, ``None`` if it decides nothing."""
    found: Gpu | None = getattr(report, "gpu", None)
    return found


def blank(rung: Rung, state: str, reason: str | None = None) -> Gpu:
    """Return the entry of a test in this state."""
    return {
        "node": rung.node,
        "layer": str(rung.layer),
        "test": rung.test,
        "requirement": rung.requirement,
        "state": state,
        "finding": None,
        "latent": [],
        "reason": reason,
        "blocked_by": None,
        "missing": [],
    }


def skip_if_unproven(call: pytest.CallInfo[None]) -> bool:
    """Turn an :class:`Unproven` that escaped from a test or fixture into a skip, and say so.

    In place, before a report is made of it: JUnit, Allure and pytest itself then agree.
    """
    if call.excinfo is None or not isinstance(call.excinfo.value, Unproven):
        return False
    reason = f"unproven: {str(call.excinfo.value).strip() or NO_REASON}"
    call.excinfo = pytest.CallInfo.from_call(lambda: pytest.skip(reason), call.when).excinfo
    return True


def tell_in_full(
    call: pytest.CallInfo[None],
    rung: Rung,
    node: Node,
    own: Mapping[str, Cause],
    before: Sequence[Gpu],
) -> None:
    """Complete a failure's message with the values that every cause may use.

    ``before`` are the node's results with latent findings: if one of them is the cause of this
    failure, as the verdict says, the message names it. In place, like :func:`skip_if_unproven`.
    If the cause or a value is missing, the message says so, and the test ends as an error.
    """
    failure = call.excinfo.value if call.excinfo is not None else None
    if isinstance(failure, GpuFailure):
        try:
            failure.tell(filled(failure.finding, node, own))
            told = as_json(failure.finding)
            failure.tell(failure.finding, link_of(told, blank(rung, "failed"), before))
        except GpuError as error:
            failure.args = (visible(str(error)),)


def judge(  # noqa: PLR0913 - all that is known of the end of one phase
    item: pytest.Item,
    rung: Rung,
    node: Node,
    call: pytest.CallInfo[None],
    report: pytest.TestReport,
    *,
    latent: Sequence[Finding],
    own: Mapping[str, Cause],
) -> Gpu | None:
    """Return what a phase of a test decides, ``None`` if a later phase will.

    A failed verdict needs a finding, or an assertion or ``pytest.fail()`` in the test itself;
    every other exception, and every one in a fixture, is an error of the suite.
    """
    if report.when != "call" and report.passed:
        return None
    try:
        gpu = _skipped(item, rung, report) or _failed(rung, node, call, report)
        gpu["latent"] = [as_json(filled(finding, node, own)) for finding in latent]
    except GpuError as error:
        return blank(rung, "error", error_line(error))
    return gpu


def as_reported(rung: Rung, node: Node, report: pytest.TestReport) -> Gpu:
    """Return the entry of a report that a hook changed: all that is known is what it says."""
    if report.passed:
        return blank(rung, "passed")
    if report.skipped:
        return blank(rung, "skipped", _skip_reason(report))
    text = _said(report)
    if report.when == "call":
        return blank(rung, "failed") | {"finding": as_json(_unexplained(rung, node, text, report))}
    return blank(rung, "error", text)


def _skipped(item: pytest.Item, rung: Rung, report: pytest.TestReport) -> Gpu | None:
    if not report.skipped:
        return None
    reason = _skip_reason(report)
    if BLOCKED_KEY in item.stash:
        gpu = blank(rung, "blocked", reason.removeprefix("blocked: "))
        gpu["blocked_by"] = item.stash[BLOCKED_KEY]
        return gpu
    for state, prefix in _REASONS.items():
        if reason.startswith(prefix):
            return blank(rung, state, reason.removeprefix(prefix).strip() or NO_REASON)
    return blank(rung, "skipped", reason)


def _skip_reason(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    return str(getattr(report, "wasxfail", "") or "expected to fail")


def _failed(rung: Rung, node: Node, call: pytest.CallInfo[None], report: pytest.TestReport) -> Gpu:
    if report.passed:
        return blank(rung, "passed")
    error = call.excinfo.value if call.excinfo is not None else None
    if isinstance(error, GpuFailure):
        found = {"finding": as_json(error.finding), "caused_by": error.link}
        return blank(rung, "failed") | found
    if error is None:
        return as_reported(rung, node, report)
    decides = isinstance(error, AssertionError | pytest.fail.Exception) and report.when == "call"
    if decides and not str(error).endswith(OUT_OF_TIME) and not _refused_by_pytest(call):
        text = str(error).partition("\n")[0]
        return blank(rung, "failed") | {"finding": as_json(_unexplained(rung, node, text, report))}
    return blank(rung, "error", error_line(error))


def _refused_by_pytest(call: pytest.CallInfo[None]) -> bool:
    """Return whether pytest itself could not run the test, such as an ``async`` one.

    pytest's hook then calls a function of its own file, where it otherwise calls the test.
    """
    entries = call.excinfo.traceback if call.excinfo is not None else ()
    own = inspect.getfile(pytest.Function)
    return any(own == str(one.path) == str(two.path) for one, two in pairwise(entries))


def _said(report: pytest.TestReport) -> str:
    """Return the message of a report in one line."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = report.longreprtext if crash is None else str(crash.message)
    return text.strip().partition("\n")[0]


def _unexplained(rung: Rung, node: Node, text: str, report: pytest.TestReport) -> Finding:
    """Return the finding of a bare ``assert``: no cause is known, only where it failed."""
    evidence = Evidence(source=report.nodeid, text=text or "assertion failed")
    return filled(Finding.of(f"{rung.layer}/unexplained", evidence), node)


def error_line(error: BaseException) -> str:
    """Return an exception as one line."""
    return f"{type(error).__name__}: {error}".partition("\n")[0]


def attach(report: pytest.TestReport, gpu: Gpu) -> None:
    """Attach a decision to the report; it is settled when the report is logged."""
    gpu = encodable(gpu)
    if gpu["state"] == "error" and report.passed:
        # The test passed, but its latent finding is unusable: pytest must not count a pass.
        report.outcome, report.longrepr = "failed", gpu["reason"]
    vars(report)["gpu"] = gpu


def properties_of(gpu: Gpu) -> dict[str, str]:
    """Return the properties that JUnit, Allure and other plugins see."""
    finding = gpu["finding"] or {}
    found = {
        "gpu_node": gpu["node"],
        "gpu_layer": gpu["layer"],
        "gpu_cause": finding.get("cause") or gpu.get("blocked_cause"),
        "gpu_verdict": gpu["state"],
        "gpu_blocked_by": gpu["blocked_by"],
        "gpu_latent": ", ".join(entry["cause"] for entry in gpu["latent"]),
    }
    return {name: value for name, value in found.items() if value}


def point_at_test(item: pytest.Item, report: pytest.TestReport) -> None:
    """Make a skip of ours point at the test's own line, as pytest does for a skip mark."""
    if report.skipped and isinstance(report.longrepr, tuple):
        path, line, _ = item.reportinfo()
        report.longrepr = (str(path), (line or 0) + 1, report.longrepr[2])


Status = tuple[str, str, str | tuple[str, dict[str, bool]]]

_STATUS: dict[str, Status] = {
    "blocked": ("blocked", "b", ("BLOCKED", {"yellow": True})),
    "not-asked": ("not asked", "n", ("NOT ASKED", {"yellow": True})),
    "unproven": ("unproven", "u", ("UNPROVEN", {"yellow": True})),
    "error": ("error", "E", ("ERROR", {"red": True})),
}


def status_of(report: pytest.TestReport | pytest.CollectReport) -> Status | None:
    """Return category, letter and word for the states that pytest has no name for.

    A latent finding is counted in addition to the pass, by the otherwise silent report of the
    test's teardown.
    """
    gpu = gpu_of(report)
    if gpu is not None:
        return _STATUS.get(gpu["state"])
    properties = dict(getattr(report, "user_properties", ()))
    silent = report.passed and getattr(report, "when", None) == "teardown"
    return ("latent", "", "") if silent and "gpu_latent" in properties else None
