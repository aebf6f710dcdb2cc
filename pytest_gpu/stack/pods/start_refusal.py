"""The words with which a node refuses to start a pod's sandbox or one of its containers.

Source: pkg/kubelet/kuberuntime and pkg/kubelet/images (reasons of containers that wait or ended
without having run, reasons of events) of Kubernetes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pytest_gpu.causes import Evidence
from pytest_gpu.evidence import KubeObject
from pytest_gpu.stack.kube.events import event_text
from pytest_gpu.stack.kube.objects import containers_of, path_of, spec_of
from pytest_gpu.stack.kube.pod_state import container_statuses
from pytest_gpu.stack.kube.pods import gpu_requests
from pytest_gpu.stack.operands.container_log import plain
from pytest_gpu.stack.operands.state import Container

NO_SANDBOX = "FailedCreatePodSandBox"
_GOT_FURTHER = frozenset({"Pulling", "Pulled", "Created", "Started", "BackOff"})
_NOT_RUN = frozenset(
    {"CreateContainerError", "RunContainerError", "StartError", "ContainerCannotRun"}
)
_NOT_YET = frozenset({"", "ContainerCreating", "PodInitializing"})
_PROGRAM = re.compile(r'exec: "(?P<program>[^"\n]++)": ')
_OF_IMAGE = re.compile(r"exec format error|no command specified|exec /[^\s:]++: ")


def refused_sandbox(pod: KubeObject, newest_first: Iterable[KubeObject]) -> Evidence | None:
    """Return the words with which the node refuses a pod's sandbox, ``None`` once it made one.

    ``newest_first`` are the events about the pod. What happened before a sandbox was made is over.
    """
    if any(_state(status)[0] not in _NOT_YET for status in container_statuses(pod)):
        return None
    for event in newest_first:
        if event.get("reason") in _GOT_FURTHER:
            return None
        if event.get("reason") == NO_SANDBOX:
            return Evidence(source=f"event of pod {path_of(pod)}", text=event_text(event))
    return None


def refused_gpu_container(pod: KubeObject) -> Evidence | None:
    """Return the words with which a container that asks for a GPU is refused, if another runs.

    The other one shows that sandbox, image store and runtime work. Words about what the image
    holds, and a pod without another container, prove nothing about the node.
    """
    asking = {each.get("name") for each in containers_of(spec_of(pod)) if _asks(each)}
    others = [status for status in container_statuses(pod) if status.get("name") not in asking]
    if not any(ran(status) for status in others):
        return None
    found = (said for said in refused_containers(pod) if said[0] in asking)
    return next((said for _, said in found if not is_of_image(said.text)), None)


def refused_containers(pod: KubeObject) -> Iterator[tuple[str, Evidence]]:
    """Yield name and words for each container that could not be created or started."""
    for status in container_statuses(pod):
        reason, message = _state(status)
        if reason in _NOT_RUN:
            name = str(status.get("name") or "")
            text = " ".join(f"{reason}: {message}".split())
            yield name, Evidence(source=f"pod {path_of(pod)}, container {name}", text=text)


def refused_start(container: Container) -> str:
    """Return the words with which a container was refused, empty if it ran the last time.

    They also count while the kubelet waits before it tries again.
    """
    waits = container.reason == "CrashLoopBackOff" and container.last
    told = waits or container
    return plain(f"{told.reason}: {told.message}") if told.reason in _NOT_RUN else ""


def is_of_image(text: str) -> bool:
    """Say whether words tell that an image does not hold what it should run.

    The runtime also executes programs of its own: NVIDIA's hooks, the parser of AppArmor.
    """
    if match := _PROGRAM.search(text):
        return "nvidia" not in match["program"] and match["program"] != "apparmor_parser"
    return bool(_OF_IMAGE.search(text))


def _asks(container: Mapping[str, Any]) -> bool:
    return bool(gpu_requests({"containers": [container]}))


def _state(status: Mapping[str, Any]) -> tuple[str, str]:
    """Return reason and message of a container that waits or has ended, or that it runs."""
    state = status.get("state") or {}
    if "running" in state:
        return "Running", ""
    told = state.get("waiting") or state.get("terminated") or {}
    return str(told.get("reason") or ""), str(told.get("message") or "")


def ran(status: Mapping[str, Any]) -> bool:
    """Say whether a container runs or ran: one that was refused has ended, too."""
    state = status.get("state") or {}
    if "running" in state:
        return True
    return "terminated" in state and state["terminated"].get("reason") not in _NOT_RUN
