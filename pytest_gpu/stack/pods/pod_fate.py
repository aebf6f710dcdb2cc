"""The fate of a pod that was just created: whether waiting longer can change the result."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_gpu.evidence import KubeObject
from pytest_gpu.stack.kube.objects import condition_of, status_of
from pytest_gpu.stack.kube.pod_state import container_statuses

BUSY_TIME = 15.0
"""Seconds to wait for an unschedulable pod: a GPU may be released soon."""

NOT_READY_TIME = 30.0
"""Seconds that a pod has to start on a NotReady node; most of these nodes never start one."""

UNTAKEN_TIME = 60.0
"""Seconds within which a live kubelet handles a new pod; a dead one stays Ready for a while."""

UNTAKEN = "the node's kubelet did not start to handle the pod"

REPEATED = 2
"""Failed starts after which a pod's fate is clear: containerd's restart may explain the first."""

_NO_IMAGE = frozenset({"ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_FAILURES = frozenset({"FailedCreatePodSandBox", "Failed", "UnexpectedAdmissionError"})


def is_over(pod: KubeObject) -> bool:
    """Say whether a pod or all of its containers have ended."""
    phase = status_of(pod).get("phase")
    statuses = status_of(pod).get("containerStatuses") or ()
    ended = [status for status in statuses if "terminated" in (status.get("state") or {})]
    wanted = len((pod.get("spec") or {}).get("containers") or ())
    return phase in ("Succeeded", "Failed") or bool(wanted and len(ended) == wanted)


def lacks_image(pod: KubeObject) -> bool:
    """Say whether a container's image cannot be pulled."""
    states = (status.get("state") or {} for status in container_statuses(pod))
    return any((state.get("waiting") or {}).get("reason") in _NO_IMAGE for state in states)


def is_clear(
    pod: KubeObject, events: Iterable[KubeObject], age: float, *, ready: bool = True
) -> bool:
    """Say whether a pod's fate is clear.

    Args:
        pod: the pod in its current state.
        events: the events about it.
        age: seconds since it was created.
        ready: whether its node is Ready.
    """
    if is_over(pod) or lacks_image(pod):
        return True
    if is_unschedulable(pod):
        return age >= BUSY_TIME
    return failures(events) >= REPEATED or is_given_up(pod, age, ready=ready)


def is_given_up(pod: KubeObject, age: float, *, ready: bool) -> bool:
    """Say whether a pod has waited for its kubelet as long as one on such a node should."""
    if status_of(pod).get("phase") not in {None, "Pending"}:
        return False
    if not ready:
        return age > NOT_READY_TIME
    return not is_taken(pod) and age > UNTAKEN_TIME


def is_taken(pod: KubeObject) -> bool:
    """Say whether a kubelet has started to handle a pod."""
    return bool(status_of(pod).get("startTime"))


def is_unschedulable(pod: KubeObject) -> bool:
    """Say whether the scheduler finds no node for a pod."""
    scheduled = condition_of(pod, "PodScheduled") or {}
    return scheduled.get("status") == "False"


def failures(events: Iterable[KubeObject]) -> int:
    """Return the number of failed starts in the events about a pod."""
    return sum(
        int((event.get("series") or {}).get("count") or event.get("count") or 1)
        for event in events
        if event.get("type") == "Warning" and event.get("reason") in _FAILURES
    )
