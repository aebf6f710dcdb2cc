"""Whether services of the host failed that GPUs need, while the driver itself works."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_gpu.causes import Finding
from pytest_gpu.checks import check
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.units.advice import advice
from pytest_gpu.stack.units.companions import FailedCompanion, failed_companions


@check("units/companions-fail")
def companions_fail(node: Node) -> Iterator[Finding]:
    """Yield each service beside the driver that failed: GPUs work now, and lack what it does."""
    for each in failed_companions(node):
        yield _finding(each)


def _finding(failed: FailedCompanion) -> Finding:
    return Finding.of(
        "driver/companion-failed",
        *failed.end.evidence,
        unit=failed.unit,
        component=failed.companion.component,
        lost=failed.companion.lost,
        advice=advice(failed.unit, failed.end.said),
    )
