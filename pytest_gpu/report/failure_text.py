"""A failed test as text, for JUnit and Allure: a short message and all that is in its finding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pytest_gpu.report.findings import nameless
from pytest_gpu.report.text import cut, wrap
from pytest_gpu.text.plain_text import evidence_lines, fix_lines

_TITLE = 300
_WIDTH = 100


def has_cause(gpu: Mapping[str, Any]) -> bool:
    """Return whether a test failed with a known cause, not with a bare assertion."""
    finding = gpu["finding"]
    return finding is not None and not finding["cause"].endswith("/unexplained")


def message_of(gpu: Mapping[str, Any]) -> str:
    """Return what is wrong and where, in two lines."""
    finding = gpu["finding"]
    return f"{_title(finding)}\n{finding['cause']} on {gpu['node']} (layer {gpu['layer']})"


def defect_of(gpu: Mapping[str, Any]) -> str:
    """Return what is wrong in one line, the same on every node as far as the cause says it so."""
    finding = gpu["finding"]
    return f"{finding['cause']}: {nameless(_title(finding), gpu['node'])}"


def body_of(gpu: Mapping[str, Any], place: str | None = None) -> str:
    """Return the finding of a failed test; ``place`` is file and line of the test."""
    return "\n".join(_lines(gpu, place))


def _title(finding: Mapping[str, Any]) -> str:
    return cut(" ".join(finding["title"].split()), _TITLE)


def _lines(gpu: Mapping[str, Any], place: str | None) -> Iterator[str]:
    finding = gpu["finding"]
    yield _title(finding)
    yield f"cause: {finding['cause']} (layer {gpu['layer']})"
    if link := gpu.get("caused_by"):
        yield link
    yield f"node: {gpu['node']}"
    yield "evidence:"
    for item in finding["evidence"]:
        yield from evidence_lines(item["source"], item["line"], item["text"])
    if finding["why"]:
        yield from ("why:", *wrap(" ".join(finding["why"].split()), _WIDTH, "  "))
    yield from ("fix:", *fix_lines(finding["fix"]))
    yield f"more: pytest --gpu-explain={finding['cause']}"
    if place:
        yield f"test: {place}"
