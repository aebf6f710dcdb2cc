"""Small pieces of the verdict document that are made from single test results."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from pytest_gpu.consequences import consequences
from pytest_gpu.layers import Layer

Result = Mapping[str, Any]
"""The ``report.gpu`` of one test: node, layer, test, requirement, state, finding, latent, …"""


def layer_of(result: Result) -> Layer:
    """Return the layer of a result."""
    return Layer.parse(result["layer"])


def finding_of(result: Result) -> Mapping[str, Any]:
    """Return the finding of a failed test; a bare assertion becomes the layer's unexplained."""
    return result["finding"] or {
        "cause": f"{result['layer']}/unexplained",
        "title": f"Not met: {result['requirement']}",
        "why": "",
        "check": [],
        "fix": [],
        "fix_kinds": [],
        "explains": [],
        "evidence": [
            {"source": result["test"], "line": None, "text": result["reason"] or "it failed"}
        ],
    }


def as_seen(result: Result, finding: Mapping[str, Any]) -> dict[str, Any]:
    """Return a finding with the test that reported it: an entry of also_seen or latent."""
    return {
        "cause": finding["cause"],
        "title": finding["title"],
        "layer": result["layer"],
        "test": result["test"],
        "why": finding["why"],
        "evidence": [dict(item) for item in finding["evidence"]],
        "check": list(finding["check"]),
        "fix": list(finding["fix"]),
        "fix_kinds": list(finding["fix_kinds"]),
    }


def as_open(result: Result) -> dict[str, Any]:
    """Return a test that proved nothing: an entry of unproven, errors or implied."""
    return {
        "layer": result["layer"],
        "test": result["test"],
        "requirement": result["requirement"],
        "reason": result["reason"] or "no reason was given",
    }


def below(results: Sequence[Result]) -> tuple[list[Result], list[dict[str, Any]]]:
    """Return the results that count, and what could not be judged below them.

    Lower layers that were not asked for are judged silently. They count where they fail.
    """
    silent = [result for result in results if result.get("silent")]
    failing = {result["layer"] for result in silent if result["state"] == "failed"}
    counted = [r for r in results if not r.get("silent") or r["layer"] in failing]
    return counted, [as_open(result) for result in silent if result["layer"] not in failing]


def covered(finding: Mapping[str, Any], other: str) -> bool:
    """Return whether the other cause is only a consequence of the first finding."""
    known = consequences().get(finding["cause"])
    if known is not None and other in consequences():
        return other in known
    return any(fnmatchcase(other, pattern) for pattern in finding["explains"])


def same_repair(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two findings of one node are the same: equal in cause and fix."""
    return (one["cause"], one["fix"]) == (other["cause"], other["fix"])


def distinct(seen: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the findings with one entry per cause and fix, which has all their evidence."""
    found: list[dict[str, Any]] = []
    for entry in seen:
        known = next((one for one in found if same_repair(one, entry)), None)
        if known is None:
            found.append(entry)
        else:
            known["evidence"] += [e for e in entry["evidence"] if e not in known["evidence"]]
    return found


_NODE = "the node"


def nameless(text: str, node: str, instead: str = _NODE) -> str:
    """Return a text with other words for the node's own name, so that it suits other nodes."""

    def words(match: re.Match[str]) -> str:
        before = text[: match.start()].rstrip()
        starts = instead == _NODE and (not before or before.endswith("."))
        return instead.capitalize() if starts else instead

    return re.sub(rf"(?<![\w.-]){re.escape(node)}(?![\w-]|\.\w)", words, text)
