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
from pytest_gpu.stack.kube.pods import gpu_requests
from pytest_gpu.stack.operands.state import STARTING, Container, containers_in

NO_SANDBOX = "FailedCreatePodSandBox"
_GOT_FURTHER = frozenset({"Pulling", "Pulled", "Created", "Started", "BackOff"})
_NOT_RUN = frozenset(
    {"CreateContainerError", "RunContainerError", "StartError", "ContainerCannotRun"}
)
_PROGRAM = re.compile(r'exec: "(?P<program>[^"\n]++)": ')
_OF_IMAGE = re.compile(r"exec format error|no command specified|exec /[^\s:]++: ")


def refused_sandbox(pod: KubeObject, newest_first: Iterable[KubeObject]) -> Evidence | None:
    """Return the words with which the node refuses a pod's sandbox, ``None`` once it made one.

    ``newest_first`` are the events about the pod. What happened before a sandbox was made is over.
    """
    if any(map(_begun, containers_in(pod))):
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
    if not any(ran(each) for each in containers_in(pod) if each.name not in asking):
        return None
    found = (said for said in refused_containers(pod) if said[0] in asking)
    return next((said for _, said in found if not is_of_image(said.text)), None)


def refused_containers(pod: KubeObject) -> Iterator[tuple[str, Evidence]]:
    """Yield name and words for each container that could not be created or started."""
    for each in containers_in(pod):
        if each.reason in _NOT_RUN:
            text = " ".join(f"{each.reason}: {each.message}".split())
            source = f"pod {path_of(pod)}, container {each.name}"
            yield each.name, Evidence(source=source, text=text)


def is_of_image(text: str) -> bool:
    """Say whether words tell that an image does not hold what it should run.

    The runtime also executes programs of its own: NVIDIA's hooks, the parser of AppArmor.
    """
    if match := _PROGRAM.search(text):
        return "nvidia" not in match["program"] and match["program"] != "apparmor_parser"
    return bool(_OF_IMAGE.search(text))


def _asks(container: Mapping[str, Any]) -> bool:
    return bool(gpu_requests({"containers": [container]}))


def _begun(container: Container) -> bool:
    return container.state == "running" or container.reason not in STARTING


def ran(container: Container) -> bool:
    """Say whether a container runs or ran: one that was refused has ended, too."""
    ended = container.state == "terminated" and container.reason not in _NOT_RUN
    return container.state == "running" or ended
