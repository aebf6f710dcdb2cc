"""The suite's own GPU pod as an object: an ordinary pod with a fixed node and two containers."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_gpu.evidence import KubeObject
from pytest_gpu.stack.kube.nodes import quantity
from pytest_gpu.stack.kube.objects import name_of, status_of

ROLE = "pytest-gpu/role"
CHECK = "gpu-pod"
PACKAGE = "gpu_probe"
MESSAGE = "/dev/termination-log"

LOADER = f"""\
import base64, json, sys, types, zlib
sys.modules["{PACKAGE}"] = types.ModuleType("{PACKAGE}")
sys.modules["{PACKAGE}"].__path__ = []
for name, text in json.loads(zlib.decompress(base64.b64decode(sys.argv.pop(1))).decode()):
    module = sys.modules["{PACKAGE}." + name] = types.ModuleType("{PACKAGE}." + name)
    module.__package__ = "{PACKAGE}"
    exec(text, module.__dict__)
module.main(sys.argv[1:])"""
"""Runs what :func:`packed` packed, without a file: the last module has ``main``."""

GPU_RESOURCE = re.compile(r"nvidia\.com/(gpu(\.shared)?|mig-[\w.]+)")

# Google's and older driver installers mount libraries here; CUDA's own images search here, too.
LIBRARIES = "/usr/local/nvidia/lib64:/usr/local/nvidia/lib"


@dataclass(frozen=True, slots=True, kw_only=True)
class PodPlan:
    """The values that differ between GPU pods.

    The pod asks for one unit of ``resource``; ``runtime_class`` and ``priority_class`` are set
    unless empty; ``program`` is what the containers run, as :func:`packed` returns it.
    """

    name: str
    node: str
    image: str
    program: str
    resource: str
    runtime_class: str = ""
    priority_class: str = ""


def advertised(node: KubeObject) -> str | None:
    """Return an allocatable GPU resource of a node, whole GPUs first, ``None`` if it has none."""
    allocatable = status_of(node).get("allocatable") or {}
    found = [
        key for key, n in allocatable.items() if GPU_RESOURCE.fullmatch(key) and quantity(n) > 0
    ]
    return min(found, key=lambda key: (key != "nvidia.com/gpu", "mig" in key, key), default=None)


def packed(sources: Mapping[str, str]) -> str:
    """Return the program that the containers run as one word; ``sources`` is text by module.

    It is an argument of the container: nobody can change it once the pod exists, unlike the data
    of a ConfigMap.
    """
    text = json.dumps(list(sources.items()))
    return base64.b64encode(zlib.compress(text.encode("ascii"), 9)).decode("ascii")


def gpu_pod(plan: PodPlan) -> dict[str, Any]:
    """Return the pod: ``gpu`` asks for one GPU, ``none`` for none and must see none.

    The scheduler places it like users' pods. An affinity for the node's name keeps it on its node,
    and it tolerates every taint, so that cordoned nodes are tested, too.
    """
    spec: dict[str, Any] = {
        "affinity": {"nodeAffinity": _only_on(plan.node)},
        "tolerations": [{"operator": "Exists"}],
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "containers": [_container(plan, "gpu"), _container(plan, "none")],
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
    }
    if plan.runtime_class:
        spec["runtimeClassName"] = plan.runtime_class
    if plan.priority_class:
        spec["priorityClassName"] = plan.priority_class
    # A service mesh's sidecar would keep running after our containers have ended.
    labels = {ROLE: CHECK, "sidecar.istio.io/inject": "false"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": plan.name, "labels": labels},
        "spec": spec,
    }


def _only_on(node: str) -> dict[str, Any]:
    here = {"key": "metadata.name", "operator": "In", "values": [node]}
    terms = {"nodeSelectorTerms": [{"matchFields": [here]}]}
    return {"requiredDuringSchedulingIgnoredDuringExecution": terms}


def _container(plan: PodPlan, name: str) -> dict[str, Any]:
    program = ["python3", "-B", "-c", LOADER, plan.program, "--message", MESSAGE]
    limits = {"limits": {plan.resource: "1"}} if name == "gpu" else {}
    return {
        "name": name,
        "image": plan.image,
        "imagePullPolicy": "IfNotPresent",
        "command": [*program, "--compute"] if name == "gpu" else program,
        "env": [{"name": "LD_LIBRARY_PATH", "value": LIBRARIES}],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, **limits},
        "terminationMessagePath": MESSAGE,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
    }


def without_noise(pod: KubeObject) -> dict[str, Any]:
    """Return a pod without the fields that only the API server needs."""
    head = {key: value for key, value in pod["metadata"].items() if key != "managedFields"}
    return {"apiVersion": "v1", "kind": "Pod", **pod, "metadata": head}


def without_program(pod: KubeObject) -> dict[str, Any]:
    """Return the suite's pod without the program in its commands: it is long and known."""
    containers = [_without_program(each) for each in pod["spec"]["containers"]]
    return {**pod, "spec": {**pod["spec"], "containers": containers}}


def _without_program(container: Mapping[str, Any]) -> dict[str, Any]:
    """Return a container without the program; a webhook may have added one that has none."""
    command = list(container.get("command") or ())
    if LOADER not in command:
        return dict(container)
    command[command.index(LOADER) + 1] = "PROGRAM"
    return {**container, "command": command}


def is_about(event: KubeObject, pod: KubeObject) -> bool:
    """Say whether an event is about a pod, by the unique ID if both have one."""
    about = event.get("involvedObject") or {}
    uid = (pod.get("metadata") or {}).get("uid")
    if uid and about.get("uid"):
        return bool(about["uid"] == uid)
    return about.get("kind") == "Pod" and about.get("name") == name_of(pod)
