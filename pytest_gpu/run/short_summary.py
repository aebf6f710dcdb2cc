"""Blocked and unproven tests, and those not asked, in pytest's short test summary (``-r``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from pytest_gpu.report.findings import nameless
from pytest_gpu.report.names import fold
from pytest_gpu.report.terminal import print_lines
from pytest_gpu.run.outcome import gpu_of
from pytest_gpu.run.page import page_of
from pytest_gpu.text.visible import visible

_OURS = {"blocked": "b", "unproven": "u", "not asked": "n"}
"""The letter that lists a category alone; ``s`` lists all of them, since they are skips."""

_PYTESTS = {
    "x": "xfailed",
    "X": "xpassed",
    "f": "failed",
    "s": "skipped",
    "p": "passed",
    "E": "error",
}
"""The categories for which pytest itself writes a summary."""


def write(reporter: pytest.TerminalReporter) -> None:
    """Write our lines below those of pytest, with its heading if it had nothing to write."""
    lines = list(_lines(reporter))
    asked = (kind for char, kind in _PYTESTS.items() if char in reporter.reportchars)
    begun = any(reporter.stats.get(kind) for kind in asked)
    if lines and not begun:
        reporter.write_sep("=", "short test summary info", cyan=True, bold=True)
    page = page_of(reporter.config)
    for text in lines:
        print_lines([*page.prose(visible(text), hanging="  ")], reporter)


def _lines(reporter: pytest.TerminalReporter) -> Iterator[str]:
    folds = reporter.config.getoption("fold_skipped", True)
    for category, letter in _OURS.items():
        if not {"s", letter} & set(reporter.reportchars):
            continue
        word = category.upper()
        reports = reporter.stats.get(category, [])
        yield from _folded(word, reports) if folds else _each(word, reports)


def _each(word: str, reports: list[pytest.TestReport]) -> Iterator[str]:
    for report in reports:
        yield f"{word} {report.nodeid} - {_reason(report)}"


def _folded(word: str, reports: list[pytest.TestReport]) -> Iterator[str]:
    """Yield a line per test and reason, however many nodes they are about."""
    groups: dict[tuple[str, str], list[pytest.TestReport]] = {}
    for report in reports:
        key = (_place(report), nameless(_reason(report), _node(report)))
        groups.setdefault(key, []).append(report)
    for (place, _), members in groups.items():
        names = list(dict.fromkeys(map(_node, members)))
        yield f"{word} [{len(members)}] {place}: {_on_all(_reason(members[0]), names)}"


def _on_all(reason: str, names: Sequence[str]) -> str:
    """Return the reason on the first node as that on all of them."""
    if len(names) == 1:
        return reason
    folded = ", ".join(fold(names))
    told = nameless(reason, names[0], folded)
    return f"{reason}: {folded}" if told == reason else told


def _place(report: pytest.TestReport) -> str:
    """Return where the test is defined, with the path that its ID has."""
    path, line = report.nodeid.partition("::")[0], report.location[1]
    return path if line is None else f"{path}:{line + 1}"


def _node(report: pytest.TestReport) -> str:
    return str((gpu_of(report) or {})["node"])


def _reason(report: pytest.TestReport) -> str:
    return " ".join(str((gpu_of(report) or {})["reason"]).split())
