"""The state of one container of a pod, and of a workload's conditions, as Kubernetes reports it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_gpu.evidence import KubeObject
from pytest_gpu.stack.kube.objects import spec_of, status_of

STARTING = frozenset({"", "ContainerCreating", "PodInitializing"})
"""Reasons of a container that waits for others, not because of itself."""


_BAD = frozenset({"ReplicaFailure", "Failed", "FailureTarget", "Error", "Stalled", "Degraded"})
_GOOD = frozenset({"PodScheduled", "Available", "Progressing", "Ready"})
"""Types of conditions of pods, workloads, ClusterPolicy and NVIDIADriver that tell a failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How one run of a container ended.

    Attributes:
        exit: its exit code, ``None`` if it is not known.
        reason: such as ``Error``, ``OOMKilled``, ``Completed``.
        message: its termination message.
    """

    exit: int | None
    reason: str
    message: str

    @property
    def failed(self) -> bool:
        """Whether it ended with an error."""
        return self.exit not in {0, None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container of a pod.

    Attributes:
        name: its name in the pod.
        init: whether it is an init container.
        state: waiting, running, terminated, or empty if the kubelet reported none.
        reason: why it waits, or how it ended.
        message: what the kubelet or the container says about it.
        exit: the exit code of a container that has ended.
        restarts: the number of times it was started again.
        ready: whether it is ready; an init container: whether it is done.
        last: how the run before this one ended, ``None`` for the first run.
    """

    name: str
    init: bool
    state: str
    reason: str
    message: str
    exit: int | None
    restarts: int
    ready: bool
    last: Ended | None

    @property
    def failed(self) -> bool:
        """Whether it cannot start, or has ended with an error: now, whatever was before."""
        if self.state == "waiting":
            return self.reason not in STARTING
        return self.state == "terminated" and self.exit not in {0, None}

    @property
    def end(self) -> Ended | None:
        """How the latest run that has ended did so."""
        if self.state == "terminated":
            return Ended(exit=self.exit, reason=self.reason, message=self.message)
        return self.last


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A condition in the status of an object.

    Attributes:
        kind: its type, such as ``Ready``.
        status: ``True``, ``False`` or ``Unknown``.
        reason: one word about the last change.
        message: what its controller says.
    """

    kind: str
    status: str
    reason: str
    message: str

    @property
    def failed(self) -> bool:
        """Whether it tells that something is wrong, by what its type means."""
        return (self.kind in _BAD and self.status == "True") or (
            self.kind in _GOOD and self.status == "False"
        )


def containers_in(pod: KubeObject) -> tuple[Container, ...]:
    """Return a pod's init containers and containers, in the order they start.

    One without a status, because the pod was refused or is not started yet, has no state.
    """
    status = status_of(pod)
    return (
        *_those(pod, "initContainers", status.get("initContainerStatuses"), init=True),
        *_those(pod, "containers", status.get("containerStatuses"), init=False),
    )


def _those(pod: KubeObject, key: str, statuses: Any, *, init: bool) -> Iterator[Container]:
    reported = {str(each.get("name")): each for each in statuses or ()}
    specified = (str(each.get("name")) for each in spec_of(pod).get(key) or ())
    for name in dict.fromkeys((*specified, *reported)):
        yield _container(name, reported.get(name) or {}, init=init)


def _container(name: str, status: Mapping[str, Any], *, init: bool) -> Container:
    states = status.get("state") or {}
    kind = next((k for k in ("waiting", "running", "terminated") if k in states), "")
    state = states.get(kind) or {}
    return Container(
        name=name,
        init=init,
        state=kind,
        reason=_text(state, "reason"),
        message=_text(state, "message"),
        exit=_exit(state),
        restarts=int(status.get("restartCount") or 0),
        ready=bool(status.get("ready")),
        last=_ended((status.get("lastState") or {}).get("terminated")),
    )


def _ended(state: Mapping[str, Any] | None) -> Ended | None:
    if not state:
        return None
    return Ended(exit=_exit(state), reason=_text(state, "reason"), message=_text(state, "message"))


def _exit(state: Mapping[str, Any]) -> int | None:
    code = state.get("exitCode")
    return None if code is None else int(code)


def _text(thing: Mapping[str, Any], key: str) -> str:
    return str(thing.get(key) or "")


def conditions_in(thing: KubeObject) -> tuple[Condition, ...]:
    """Return the conditions in an object's status."""
    return tuple(
        Condition(
            kind=_text(each, "type"),
            status=_text(each, "status"),
            reason=_text(each, "reason"),
            message=_text(each, "message"),
        )
        for each in status_of(thing).get("conditions") or ()
    )
