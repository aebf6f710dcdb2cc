"""The verdict on one node, from the results of its tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_gpu.layers import Layer
from pytest_gpu.report import findings, layer_cells
from pytest_gpu.report.findings import Result
from pytest_gpu.report.roots import Finding, root_of
from pytest_gpu.report.run_info import RunInfo

Entry = dict[str, Any]


def judge(name: str, results: Sequence[Result], run: RunInfo) -> Entry:
    """Return the document's entry of one node.

    ``results`` are this node's, in definition order. The verdict is the worst of: fails, error,
    unproven, conforms. The first failed test of the first failing layer names the cause.
    """
    results, not_judged = findings.below(results)
    first = _first_failed(results)
    root = None if first is None else root_of(findings.finding_of(first), first, results)
    results = [_told(result, first, root) for result in _without_effects(results)]
    cells = layer_cells.fold(name, results, run)
    unproven = _unproven(results, cells, run)
    errors = [findings.as_open(result) for result in results if result["state"] == "error"]
    return {
        "name": name,
        "verdict": _verdict(first, errors, unproven),
        **_cause(first, root),
        "silent": first is not None and bool(first.get("silent")),
        "not_judged": [*not_judged, *_wholly_unproven(first, unproven, cells)],
        "conforms_up_to": _conforms_up_to(cells),
        **_seen(root, results),
        "unproven": unproven,
        "missing": _missing(results, cells),
        "implied": [
            findings.as_open(result)
            for result in results
            if layer_cells.is_implied(result, cells[result["layer"]])
        ],
        "not_asked": [findings.as_open(r) for r in results if r["state"] == "not-asked"],
        "errors": errors,
        "layers": cells,
    }


def _first_failed(results: Sequence[Result]) -> Result | None:
    failed = [result for result in results if result["state"] == "failed"]
    return min(failed, key=findings.layer_of, default=None)


def _verdict(first: Result | None, errors: list[Entry], unproven: list[Entry]) -> str:
    if first is not None:
        return "fails"
    if errors:
        return "error"
    return "unproven" if unproven else "conforms"


def _wholly_unproven(
    first: Result | None, unproven: list[Entry], cells: Mapping[str, Entry]
) -> list[Entry]:
    """Return what is unproven in the layers below the failed one of which nothing passed."""
    if first is None:
        return []
    below = {str(layer) for layer in Layer if layer < findings.layer_of(first)}
    unknown = {layer for layer in below if not cells[layer]["passed"]}
    return [entry for entry in unproven if entry["layer"] in unknown]


def _cause(first: Result | None, root: Finding | None) -> Entry:
    if first is None or root is None:
        return dict.fromkeys(("layer", "cause", "title", "why")) | {
            "evidence": [],
            "check": [],
            "fix": [],
            "fix_kinds": [],
        }
    entry = findings.as_seen(first, root)
    del entry["test"]
    return entry


def _seen(root: Finding | None, results: Sequence[Result]) -> Entry:
    """Return also_seen, consequences and latent: all findings except the cause itself."""
    cause = root or {"cause": None, "fix": [], "explains": []}
    failed = [
        findings.as_seen(result, findings.finding_of(result))
        for result in results
        if result["state"] == "failed"
    ]
    latent = [findings.as_seen(result, found) for result in results for found in result["latent"]]
    others = [e for e in findings.distinct(failed) if not findings.same_repair(e, cause)]
    explained = [entry for entry in others if findings.covered(cause, entry["cause"])]
    return {
        "also_seen": [entry for entry in others if entry not in explained],
        "consequences": [
            {key: entry[key] for key in ("cause", "title", "layer", "test")} for entry in explained
        ],
        "latent": findings.distinct(latent),
    }


def _without_effects(results: Sequence[Result]) -> list[Result]:
    """Return results without latent findings that another latent one is the cause of."""
    noted = [found for result in results for found in result["latent"]]
    return [
        {**result, "latent": [e for e in result["latent"] if not _is_effect(e, noted)]}
        for result in results
    ]


def _is_effect(finding: Finding, noted: Sequence[Finding]) -> bool:
    return any(_explains(other, finding) for other in noted)


def _explains(one: Finding, other: Finding) -> bool:
    """Say whether a latent finding is the cause of another one: both quote one line."""
    lines = [each for each in other["evidence"] if each["line"] is not None]
    shared = any(line in one["evidence"] for line in lines)
    return one["cause"] != other["cause"] and shared and findings.covered(one, other["cause"])


def _told(result: Result, first: Result | None, root: Finding | None) -> Result:
    """Return a result without latent findings that are the cause itself or its consequences.

    None in a layer below the failed one is a consequence.
    """
    if first is None or root is None:
        return result
    below = findings.layer_of(result) < findings.layer_of(first)
    told = [
        each
        for each in result["latent"]
        if not findings.same_repair(each, root)
        and (below or not findings.covered(root, each["cause"]))
    ]
    return {**result, "latent": told}


def _missing(results: Sequence[Result], cells: Mapping[str, Entry]) -> list[str]:
    """Return the evidence that undecided tests need; an implied test needs none."""
    needy = (each for each in results if not layer_cells.is_implied(each, cells[each["layer"]]))
    return list(dict.fromkeys(what for each in needy for what in each.get("missing", ())))


def _unproven(results: Sequence[Result], cells: Mapping[str, Entry], run: RunInfo) -> list[Entry]:
    told = [
        findings.as_open(result)
        for result in results
        if result["state"] == "unproven"
        and not layer_cells.is_implied(result, cells[result["layer"]])
    ]
    not_run = [_not_run(layer, run) for layer, cell in cells.items() if cell["missing"]]
    skipped = [_all_skipped(layer) for layer, cell in cells.items() if cell["state"] == "skipped"]
    found = sorted(told + not_run + skipped, key=lambda entry: Layer.parse(entry["layer"]))
    if not found and all(result["state"] == "not-asked" for result in results):
        reason = "nothing was asked about this node" if results else "no test of this node was run"
        return [_open(None, reason)]
    return found


def _not_run(layer: str, run: RunInfo) -> Entry:
    why = f" ({run.ended})" if run.ended else ", or a worker crashed"
    return _open(layer, f"not run: the run ended early{why}")


def _all_skipped(layer: str) -> Entry:
    return _open(layer, "every test of this layer was skipped: that proves nothing")


def _open(layer: str | None, reason: str) -> Entry:
    return {"layer": layer, "test": None, "requirement": None, "reason": reason}


def _conforms_up_to(cells: Mapping[str, Entry]) -> str | None:
    """Return the highest layer that conforms together with all layers below it."""
    reached = None
    for layer, cell in cells.items():
        if cell["state"] not in layer_cells.GOOD:
            break
        reached = layer
    return reached
