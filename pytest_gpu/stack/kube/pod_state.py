"""A pod's current state, from its status, and what ``kubectl get pods`` shows for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pytest_gpu.evidence import KubeObject
from pytest_gpu.stack.kube.objects import metadata, spec_of, status_of


def ended(pod: KubeObject) -> bool:
    """Say whether a pod has ended: it holds no GPU and waits for nothing."""
    return status_of(pod).get("phase") in {"Succeeded", "Failed"}


def is_running(pod: KubeObject) -> bool:
    """Say whether a pod is running, by its phase, with no container that waits or has ended."""
    statuses = status_of(pod).get("containerStatuses") or ()
    alive = all("running" in (status.get("state") or {"running": {}}) for status in statuses)
    return status_of(pod).get("phase") == "Running" and alive


def has_started(pod: KubeObject) -> bool:
    """Say whether any container of a pod ever ran, which rules out a start-up problem."""
    if is_running(pod):
        return True
    return any(_ran(status) for status in container_statuses(pod))


def _ran(status: Mapping[str, Any]) -> bool:
    state = status.get("state") or {}
    return bool(
        status.get("restartCount")
        or status.get("lastState")
        or "running" in state
        or "terminated" in state
    )


def container_statuses(pod: KubeObject) -> tuple[Mapping[str, Any], ...]:
    """Return the statuses of init containers and containers, in the order they start."""
    status = status_of(pod)
    inits = status.get("initContainerStatuses") or ()
    return (*inits, *(status.get("containerStatuses") or ()))


def kubectl_state(pod: KubeObject) -> str:
    """Return the STATUS column of ``kubectl get pods`` (by the rules of kubectl's printPod)."""
    status = status_of(pod)
    if metadata(pod).get("deletionTimestamp"):
        return "Unknown" if status.get("reason") == "NodeLost" else "Terminating"
    shown = str(status.get("reason") or status.get("phase") or "Unknown")
    initializing = _init_state(pod)
    return initializing or _container_state(pod, shown)


def _init_state(pod: KubeObject) -> str | None:
    inits = status_of(pod).get("initContainerStatuses") or ()
    sidecars = _sidecars(pod)
    for position, status in enumerate(inits):
        state = status.get("state") or {}
        terminated = state.get("terminated")
        done = terminated is not None and terminated.get("exitCode") == 0
        if done or (status.get("name") in sidecars and status.get("started")):
            continue
        if terminated is not None:
            return f"Init:{_end(terminated)}"
        reason = (state.get("waiting") or {}).get("reason")
        if reason and reason != "PodInitializing":
            return f"Init:{reason}"
        return f"Init:{position}/{len(spec_of(pod).get('initContainers') or inits)}"
    return None


def _sidecars(pod: KubeObject) -> frozenset[str]:
    inits = spec_of(pod).get("initContainers") or ()
    return frozenset(c["name"] for c in inits if c.get("restartPolicy") == "Always")


def _container_state(pod: KubeObject, shown: str) -> str:
    running = False
    for status in reversed(status_of(pod).get("containerStatuses") or ()):
        state = status.get("state") or {}
        if reason := (state.get("waiting") or {}).get("reason"):
            shown = reason
        elif "terminated" in state:
            shown = _end(state["terminated"])
        elif "running" in state and status.get("ready"):
            running = True
    return "Running" if shown == "Completed" and running else shown


def _end(terminated: Mapping[str, Any]) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def messages(pod: KubeObject) -> Iterator[tuple[str, str]]:
    """Yield (where, text) for each message in a pod's status about a failing start."""
    for status in container_statuses(pod):
        state = status.get("state") or {}
        waiting = state.get("waiting") or {}
        ends = (state.get("terminated"), (status.get("lastState") or {}).get("terminated"))
        for detail in (waiting, *(end for end in ends if waiting or end is ends[0])):
            if detail and detail.get("message"):
                yield f"container {status.get('name', '')}", str(detail["message"])
    for condition in status_of(pod).get("conditions") or ():
        if condition.get("status") == "False" and condition.get("message"):
            yield f"condition {condition.get('type', '')}", str(condition["message"])
