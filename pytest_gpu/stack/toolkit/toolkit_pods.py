"""Pods of the toolkit and the operator's validator: they explain a finding, but prove none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pytest_gpu.causes import Evidence
from pytest_gpu.evidence import KubeObject
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.kube.objects import (
    containers_of,
    labels_of,
    name_of,
    namespace_of,
    optional,
    spec_of,
    status_of,
)
from pytest_gpu.stack.kubelet.file_times import clock


@dataclass(frozen=True, slots=True, kw_only=True)
class PodState:
    """A pod on the node: ``state`` is what kubectl's STATUS column shows.

    ``started`` is when its first running container started, in seconds since the epoch.
    """

    namespace: str
    name: str
    state: str
    ready: bool
    started: float | None = None


def toolkit_pod(node: Node) -> PodState | None:
    """Return the container toolkit's pod on this node."""
    return next(_pods(node, "container-toolkit"), None)


def toolkit_pod_evidence(node: Node) -> Iterator[Evidence]:
    """Yield the state of the toolkit's pod if it is not healthy."""
    pod = toolkit_pod(node)
    if pod and not pod.ready:
        yield Evidence(source=f"Pod {pod.namespace}/{pod.name}", text=f"is {pod.state}")


def toolkit_start(node: Node) -> Iterator[Evidence]:
    """Yield when the toolkit's pod wrote containerd's configuration, which it does at its start."""
    pod = toolkit_pod(node)
    if pod and pod.ready and pod.started is not None:
        text = f"wrote at its start, {clock(pod.started)}, and not since then"
        yield Evidence(source=f"Pod {pod.namespace}/{pod.name}", text=text)


def stale_validators(node: Node) -> Iterator[Evidence]:
    """Yield the operator's validators that still look healthy.

    They validate once, in init containers; their state shows how things were when they started.
    """
    for pod in _pods(node, "operator-validator", "cuda-validator"):
        if pod.state in {"Running", "Completed"}:
            text = f"still {pod.state}: stale, it validated at its start and never looks again"
            yield Evidence(source=f"Pod {pod.namespace}/{pod.name}", text=text)


def _pods(node: Node, *words: str) -> Iterator[PodState]:
    """Yield the node's pods that have one of the words in their app label or an image."""
    for pod in optional(node.cluster, "pods"):
        spec = spec_of(pod)
        said = [str(container.get("image", "")) for container in containers_of(spec)]
        # Newer operators run their validators from the operator's own image.
        said.append(str(labels_of(pod).get("app", "")))
        if spec.get("nodeName") == node.name and any(w in text for w in words for text in said):
            yield _state(pod)


def _state(pod: KubeObject) -> PodState:
    status = status_of(pod)
    statuses = status.get("containerStatuses") or []
    return PodState(
        namespace=namespace_of(pod),
        name=name_of(pod),
        state=_reason(statuses) or _phase(status),
        ready=bool(statuses) and all(each.get("ready") for each in statuses),
        started=_started(statuses),
    )


def _started(statuses: list[Mapping[str, Any]]) -> float | None:
    """Return when the first running container started; times in another format are ignored."""
    running = ((each.get("state") or {}).get("running") or {} for each in statuses)
    told = [str(state["startedAt"]) for state in running if state.get("startedAt")]
    try:
        return min((datetime.fromisoformat(each).timestamp() for each in told), default=None)
    except ValueError:
        return None


def _phase(status: Mapping[str, Any]) -> str:
    phase = str(status.get("phase", "Unknown"))
    return {"Succeeded": "Completed", "Failed": "Error"}.get(phase, phase)


def _reason(statuses: list[Mapping[str, Any]]) -> str:
    for each in statuses:
        state = each.get("state") or {}
        for kind in ("waiting", "terminated"):
            if reason := (state.get(kind) or {}).get("reason"):
                return str(reason)
    return ""
