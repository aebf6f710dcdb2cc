"""Whether the toolkit's service that makes CDI specs at every boot failed."""

from __future__ import annotations

from pytest_gpu.causes import Finding
from pytest_gpu.checks import check
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.cdi.refresh import RefreshFailure, refresh_failure
from pytest_gpu.stack.units.advice import advice
from pytest_gpu.stack.units.companions import CDI_REFRESH


@check("cdi/refresh-fails")
def refresh_fails(node: Node) -> Finding | None:
    """Return that the service failed: what it made before is used until the next boot or update."""
    failure = refresh_failure(node)
    if failure is None:
        return None
    return Finding.of(
        "runtime/cdi-refresh-failed",
        *failure.end.evidence,
        unit=CDI_REFRESH,
        path=failure.path,
        there=_there(node, failure),
        advice=advice(CDI_REFRESH, failure.end.said),
    )


def _there(node: Node, failure: RefreshFailure) -> str:
    found = known(lambda: node.evidence.entry(failure.path) is not None)
    if found is None:
        return "so nobody keeps that spec up to date"
    return "and no spec is there" if not found else "so the spec that is there may be out of date"
