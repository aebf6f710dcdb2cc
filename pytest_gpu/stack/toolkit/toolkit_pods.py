"""Pods of the toolkit and the operator's validator: they explain a finding, but prove none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from pytest_gpu.causes import Evidence
from pytest_gpu.errors import NotInEvidence
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.kube.objects import status_of
from pytest_gpu.stack.kubelet.file_times import clock
from pytest_gpu.stack.operands.operands import Operand, operands_of
from pytest_gpu.stack.operands.roles import TOOLKIT, VALIDATOR


def toolkit_pod(node: Node) -> Operand | None:
    """Return the container toolkit's pod on this node."""
    return next(_pods(node, TOOLKIT), None)


def toolkit_pod_evidence(node: Node) -> Iterator[Evidence]:
    """Yield the state of the toolkit's pod if it is not healthy."""
    pod = toolkit_pod(node)
    if pod and not pod.ready:
        yield Evidence(source=_source(pod), text=f"is {pod.state}")


def toolkit_start(node: Node) -> Iterator[Evidence]:
    """Yield when the toolkit's pod wrote containerd's configuration, which it does at its start."""
    pod = toolkit_pod(node)
    if pod and pod.ready and (started := started_at(pod)) is not None:
        text = f"wrote at its start, {clock(started)}, and not since then"
        yield Evidence(source=_source(pod), text=text)


def stale_validators(node: Node) -> Iterator[Evidence]:
    """Yield the operator's validators that still look healthy.

    They validate once, in init containers; their state shows how things were when they started.
    """
    pods = list(_pods(node, VALIDATOR))
    for state in ("Running", "Completed"):
        for pod in (each for each in pods if each.state == state):
            text = f"still {state}: stale, it validated at its start and never looks again"
            yield Evidence(source=_source(pod), text=text)


def started_at(operand: Operand) -> float | None:
    """Return when the first running container of a pod started, in seconds since the epoch.

    Times in another format are ignored.
    """
    statuses: list[Mapping[str, Any]] = status_of(operand.pod or {}).get("containerStatuses") or []
    running = ((each.get("state") or {}).get("running") or {} for each in statuses)
    told = [str(state["startedAt"]) for state in running if state.get("startedAt")]
    try:
        return min((datetime.fromisoformat(each).timestamp() for each in told), default=None)
    except ValueError:
        return None


def _pods(node: Node, role: str) -> Iterator[Operand]:
    """Yield the node's pods of this role; none if the pods were not read."""
    try:
        operands = operands_of(node)
    except NotInEvidence:
        return
    yield from (each for each in operands if each.role == role and each.pod is not None)


def _source(operand: Operand) -> str:
    return f"Pod {operand.namespace}/{operand.object_name}"
