"""Why a pod of ours did not start, in one line, and whether waiting any longer makes sense."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_gpu.evidence import KubeObject
from pytest_gpu.stack.kube.objects import name_of, status_of
from pytest_gpu.stack.pods.pod_fate import UNTAKEN, is_taken

HOPELESS = frozenset(
    {
        "CreateContainerConfigError",
        "ErrImageNeverPull",
        "InvalidImageName",
        "RunContainerError",
        "StartError",
    }
)
"""Reasons of a waiting container that do not go away with time."""

NO_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff", "ImageInspectError"})

ABSENT_IMAGE = NO_IMAGE | {"ErrImageNeverPull", "InvalidImageName"}

OTHER_IMAGE = "--gpu-image=IMAGE names another"
"""What helps if a node cannot have the suite's image."""

NO_SANDBOX = frozenset({"FailedCreatePodSandBox", "FailedMount", "FailedKillPod"})
"""Reasons of events that say why a container does not even reach the waiting state."""


def phase(pod: KubeObject) -> str:
    """Return a pod's phase."""
    return str(status_of(pod).get("phase") or "Pending")


def is_up(pod: KubeObject) -> bool:
    """Return whether a pod's only container runs."""
    return phase(pod) == "Running" and any("running" in s for s in _container_states(pod))


def is_over(pod: KubeObject) -> bool:
    """Return whether a pod will not run any more."""
    return phase(pod) in ("Succeeded", "Failed")


def waits_for(pod: KubeObject) -> str:
    """Return the reason of the waiting container such as ImagePullBackOff, empty if none."""
    return next((str(s["waiting"].get("reason") or "") for s in _waiting(pod)), "")


def lacks_image(pod: KubeObject) -> bool:
    """Return whether a pod waits for an image that its node does not have and cannot pull."""
    return waits_for(pod) in ABSENT_IMAGE


def is_pulling(pod: KubeObject, events: Sequence[KubeObject]) -> bool:
    """Return whether the newest event of a pod is that its image is being pulled."""
    about = [each for each in events if _is_about(each, pod)]
    return bool(about) and about[-1].get("reason") == "Pulling"


def doing(pod: KubeObject | None) -> str:
    """Return what a starting pod is doing, for a progress message."""
    if pod is None:
        return "creating a pod"
    reason = waits_for(pod)
    if reason in NO_IMAGE:
        return f"pulling image ({reason})"
    if reason in ("", "ContainerCreating"):
        return "waiting for the kubelet" if not _container_states(pod) else "starting a pod"
    return reason


def explain(pod: KubeObject, events: Sequence[KubeObject]) -> str:
    """Return why a pod does not run, as exactly as its status and its events show."""
    found = [*_from_status(pod), *_from_events(pod, events)]
    # "Back-off pulling image" says less than the pull that failed.
    pulls = [text for text in found if "Failed to pull image" in text]
    said = next(iter((*pulls, *found)), "")
    if not is_taken(pod) and not _container_states(pod) and not is_over(pod):
        return f"{UNTAKEN} ({said})" if said else UNTAKEN
    return said or f"the pod is still {phase(pod)}"


def why_late(
    pod: KubeObject | None, events: Sequence[KubeObject], image: str, waited: float
) -> str:
    """Return why a pod does not run after so many seconds; a missing image comes first."""
    late = f"within {waited:.0f} s"
    if pod is None:
        return f"the pod did not start {late}: it was deleted"
    if lacks_image(pod):
        return no_image(pod, events, image)
    if is_pulling(pod, events):
        return f"the image {image} was not pulled {late}; {OTHER_IMAGE}"
    return f"the pod did not start {late}: {explain(pod, events)}"


def no_image(pod: KubeObject, events: Sequence[KubeObject], image: str) -> str:
    """Return that a node does not have the suite's image, what helps, and the kubelet's words."""
    return f"there is no image {image} on this node; {OTHER_IMAGE}: {explain(pod, events)}"


def _from_status(pod: KubeObject) -> Iterator[str]:
    status = status_of(pod)
    if is_over(pod) and status.get("reason"):
        yield _line(status["reason"], status.get("message"))
    for state in _container_states(pod):
        for kind in ("waiting", "terminated"):
            found = state.get(kind) or {}
            if found.get("reason") and found["reason"] not in ("ContainerCreating", "Completed"):
                code = f"exit code {found['exitCode']}" if found.get("exitCode") else ""
                yield _line(found["reason"], found.get("message") or code)


def _from_events(pod: KubeObject, events: Sequence[KubeObject]) -> Iterator[str]:
    for event in reversed(events):
        if _is_about(event, pod) and event.get("type") == "Warning":
            yield _line(event.get("reason"), event.get("message"))


def _is_about(event: KubeObject, pod: KubeObject) -> bool:
    return (event.get("involvedObject") or {}).get("name") == name_of(pod)


def _line(reason: object, message: object) -> str:
    return " ".join(f"{reason}: {message or ''}".rstrip(": ").split())


def _waiting(pod: KubeObject) -> Iterator[Mapping[str, Any]]:
    yield from (state for state in _container_states(pod) if "waiting" in state)


def _container_states(pod: KubeObject) -> Sequence[Mapping[str, Any]]:
    statuses = status_of(pod).get("containerStatuses") or ()
    return [status.get("state") or {} for status in statuses]
