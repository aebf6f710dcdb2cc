"""One cell of the table nodes x layers: the results of one node on one layer, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from pytest_gpu.layers import Layer
from pytest_gpu.report.findings import Result
from pytest_gpu.report.run_info import RunInfo

GOOD = frozenset({"passed", "latent", "implied"})
"""States of a layer that let its node conform."""

Cell = dict[str, Any]


def fold(name: str, results: Sequence[Result], run: RunInfo) -> dict[str, Cell]:
    """Return the cell of every layer of one node, lowest first.

    Keys: state, total (tests, without skipped ones), passed, failed, blocked, unproven, error,
    implied, skipped, not_asked, missing (selected tests without a result), latent (findings),
    blocked_by.
    """
    cells = {str(layer): _cell(name, str(layer), results, run) for layer in Layer}
    _imply(cells)
    for cell in cells.values():
        cell["state"] = _state(cell)
    return cells


def is_implied(result: Result, cell: Cell) -> bool:
    """Return whether a pod of the same node proves the requirement of an untried test."""
    untried = {"unproven"} if cell["skipped"] else {"unproven", "skipped"}
    return result["state"] in untried and bool(cell["implied"])


def _cell(name: str, layer: str, results: Sequence[Result], run: RunInfo) -> Cell:
    mine = [result for result in results if result["layer"] == layer]
    count = Counter(str(result["state"]) for result in mine)
    asked = sum(not result.get("silent") for result in mine)
    missing = max(0, _planned(name, layer, run) - asked)
    return {
        "total": len(mine) - count["skipped"] + missing,
        "passed": count["passed"],
        "failed": count["failed"],
        "blocked": count["blocked"],
        "unproven": count["unproven"],
        "error": count["error"],
        "implied": 0,
        "skipped": count["skipped"],
        "not_asked": count["not-asked"],
        "missing": missing,
        "latent": sum(len(result["latent"]) for result in mine),
        "blocked_by": next((r["blocked_by"] for r in mine if r["state"] == "blocked"), None),
    }


def _planned(name: str, layer: str, run: RunInfo) -> int:
    """Return how many results to expect; at least one where the layer was asked."""
    if run.planned:
        return run.planned.get(name, {}).get(layer, 0)
    return int(layer in run.layers_asked)


def _imply(cells: dict[str, Cell]) -> None:
    """Count sandboxes that could not be tried as implied if a pod passed the same handler."""
    pod, sandbox = cells[str(Layer.RUNTIMECLASS_POD)], cells[str(Layer.SANDBOX)]
    if pod["passed"] and pod["passed"] == pod["total"]:
        sandbox["implied"], sandbox["unproven"] = sandbox["unproven"], 0
        if not sandbox["total"]:
            sandbox["implied"] = sandbox["total"] = sandbox["skipped"]
            sandbox["skipped"] = 0


def _state(cell: Cell) -> str:
    for state in ("failed", "error", "blocked", "unproven"):
        if cell[state]:
            return state
    if cell["missing"]:
        return "not-run"
    if not cell["total"]:
        return "skipped" if cell["skipped"] else "not-asked"
    if cell["not_asked"]:
        return "not-asked"
    if cell["implied"]:
        return "implied"
    return "latent" if cell["latent"] else "passed"
