"""How GPU pods request a GPU on a node of this cluster: the resource and the RuntimeClass."""

from __future__ import annotations

import hashlib

from pytest_gpu.errors import NotInEvidence, Unproven
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.injection.injected import injects, needs_no_handler
from pytest_gpu.stack.kube import runtimeclass
from pytest_gpu.stack.kube.objects import object_of
from pytest_gpu.stack.kubelet.runtime import runtime_of
from pytest_gpu.stack.pods.pod_fate import UNTAKEN
from pytest_gpu.stack.pods.pod_object import PodPlan, advertised

USUAL = "nvidia"
"""The RuntimeClass that NVIDIA's operator, RKE2 and k3s create and users usually name."""


def plan(node: Node, run: str, image: str, program: str, priority_class: str) -> PodPlan:
    """Return the plan of the suite's pod on a node.

    Raises:
        Unproven: no resource of the device plugin is allocatable on the node, or its kubelet did
            not even take the visit's pod.
    """
    if UNTAKEN in node.evidence.door.reason:
        raise Unproven(f"no GPU pod after the visit's: {node.evidence.door.reason}")
    resource = advertised(object_of(node))
    if resource is None:
        raise Unproven("the node has no allocatable nvidia.com/gpu or similar resource")
    return PodPlan(
        name=pod_name(run, node.name),
        node=node.name,
        image=image,
        program=program,
        resource=resource,
        runtime_class=runtime_class(node) or "",
        priority_class=priority_class,
    )


def pod_name(run: str, node: str) -> str:
    """Return the name of the pod on a node; it is short, whatever the node's name is."""
    return f"gpu-{run}-{hashlib.sha256(node.encode()).hexdigest()[:10]}"


def runtime_class(node: Node) -> str | None:
    """Return the RuntimeClass that GPU pods must name here, ``None`` if they need none.

    If a handler injects but no RuntimeClass has it, no pod can be right: return the name that users
    would write, so that the API server or the kubelet says what is missing.
    """
    by_class = _classes(node)
    try:
        another_way = known(lambda: needs_no_handler(node))
        if another_way or injects(node, ""):
            return None
        fitting = runtimeclass.class_for_gpus(by_class, lambda handler: injects(node, handler))
        handlers = runtime_of(node).gpu_handlers
    except NotInEvidence:
        return USUAL if USUAL in by_class else None
    return fitting or (USUAL if USUAL in by_class or handlers else None)


def _classes(node: Node) -> dict[str, str]:
    try:
        return dict(runtimeclass.handlers(node.cluster))
    except NotInEvidence:
        return {}
