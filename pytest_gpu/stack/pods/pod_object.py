"""The suite's own GPU pod as an object: ordinary, but for its place and its two containers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_gpu.evidence import KubeObject
from pytest_gpu.stack.kube.nodes import quantity
from pytest_gpu.stack.kube.objects import name_of, status_of

ROLE = "pytest-gpu/role"
CHECK = "gpu-pod"
FOLDER = "/pytest-gpu"
PACKAGE = "gpu_probe"
MESSAGE = "/dev/termination-log"

GPU_RESOURCE = re.compile(r"nvidia\.com/(gpu(\.shared)?|mig-[\w.]+)")

# Where Google's and older driver installers mount libraries; CUDA's own images look there, too.
LIBRARIES = "/usr/local/nvidia/lib64:/usr/local/nvidia/lib"


@dataclass(frozen=True, slots=True, kw_only=True)
class PodPlan:
    """What differs between GPU pods.

    ``resource`` is what one unit is asked of; ``runtime_class`` and ``priority_class`` are named
    unless empty; ``config_map`` holds the program.
    """

    name: str
    node: str
    image: str
    config_map: str
    resource: str
    runtime_class: str = ""
    priority_class: str = ""


def advertised(node: KubeObject) -> str | None:
    """Return the GPU resource that a node gives away, ``None`` if none: whole GPUs come first."""
    allocatable = status_of(node).get("allocatable") or {}
    found = [
        key for key, n in allocatable.items() if GPU_RESOURCE.fullmatch(key) and quantity(n) > 0
    ]
    return min(found, key=lambda key: (key != "nvidia.com/gpu", "mig" in key, key), default=None)


def config_map(name: str, sources: Mapping[str, str]) -> dict[str, Any]:
    """Return the ConfigMap with the program that the pods run; ``sources`` is text by file name."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {ROLE: CHECK}},
        "data": dict(sources),
    }


def gpu_pod(plan: PodPlan) -> dict[str, Any]:
    """Return the pod: ``gpu`` asks for one GPU, ``none`` for none and must see none.

    It goes through the scheduler as users' pods do, held to its node by the node's name, and
    tolerates everything: a cordoned node is tested, too.
    """
    spec: dict[str, Any] = {
        "affinity": {"nodeAffinity": _only_on(plan.node)},
        "tolerations": [{"operator": "Exists"}],
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "containers": [_container(plan, "gpu"), _container(plan, "none")],
        "volumes": [{"name": "program", "configMap": {"name": plan.config_map}}],
    }
    if plan.runtime_class:
        spec["runtimeClassName"] = plan.runtime_class
    if plan.priority_class:
        spec["priorityClassName"] = plan.priority_class
    # A mesh's sidecar would run on when our containers have ended.
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
    program = ["python3", "-B", "-m", f"{PACKAGE}.gpu_check", "--message", MESSAGE]
    limits = {"limits": {plan.resource: "1"}} if name == "gpu" else {}
    return {
        "name": name,
        "image": plan.image,
        "imagePullPolicy": "IfNotPresent",
        "command": [*program, "--compute"] if name == "gpu" else program,
        "env": [
            {"name": "PYTHONPATH", "value": FOLDER},
            {"name": "LD_LIBRARY_PATH", "value": LIBRARIES},
        ],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, **limits},
        "terminationMessagePath": MESSAGE,
        "volumeMounts": [{"name": "program", "mountPath": f"{FOLDER}/{PACKAGE}", "readOnly": True}],
    }


def without_noise(pod: KubeObject) -> dict[str, Any]:
    """Return a pod without what only the API server's bookkeeping needs."""
    head = {key: value for key, value in pod["metadata"].items() if key != "managedFields"}
    return {"apiVersion": "v1", "kind": "Pod", **pod, "metadata": head}


def is_about(event: KubeObject, pod: KubeObject) -> bool:
    """Say whether an event is about a pod, by its unique ID where both tell it."""
    about = event.get("involvedObject") or {}
    uid = (pod.get("metadata") or {}).get("uid")
    if uid and about.get("uid"):
        return bool(about["uid"] == uid)
    return about.get("kind") == "Pod" and about.get("name") == name_of(pod)
