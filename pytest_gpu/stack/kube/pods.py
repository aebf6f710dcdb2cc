"""Pods: which of them use GPUs, on which node, and which wait without running."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pytest_gpu.evidence import ClusterEvidence, KubeObject
from pytest_gpu.gpu_node import cluster_fact
from pytest_gpu.stack.kube.events import why
from pytest_gpu.stack.kube.nodes import RESOURCE_PREFIX, quantity, readiness
from pytest_gpu.stack.kube.objects import (
    all_containers_of,
    annotations_of,
    containers_of,
    labels_of,
    metadata,
    name_of,
    namespace_of,
    node_object,
    optional,
    path_of,
    spec_of,
    status_of,
    time_of,
)
from pytest_gpu.stack.kube.pod_state import ended, kubectl_state

OPERANDS = (
    "nvidia-operator-validator",
    "nvidia-cuda-validator",
    "gpu-feature-discovery",
    "nvidia-dcgm-exporter",
    "nvidia-dcgm",
)
"""Values of the label ``app`` of the GPU operator's operands that need a GPU injected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingPod:
    """A pod that should run and does not; ``state`` is kubectl's STATUS, ``reason`` says why."""

    namespace: str
    name: str
    state: str
    age: timedelta
    node: str | None
    reason: str


def node_of(pod: KubeObject) -> str | None:
    """Return the node that a pod is bound to or that its DaemonSet chose, ``None`` if neither."""
    if bound := spec_of(pod).get("nodeName"):
        return str(bound)
    affinity = (spec_of(pod).get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    for term in required.get("nodeSelectorTerms") or ():
        for field in term.get("matchFields") or ():
            if field.get("key") == "metadata.name" and field.get("values"):
                return str(field["values"][0])
    return None


def pods_on(cluster: ClusterEvidence, node: str) -> tuple[KubeObject, ...]:
    """Return the pods of a node that have not ended, sorted by namespace and name.

    Raises:
        NotInEvidence: the pods were not read.
    """
    return tuple(_pods_by_node(cluster).get(node, ()))


@cluster_fact
def _pods_by_node(cluster: ClusterEvidence) -> Mapping[str, Sequence[KubeObject]]:
    found: dict[str, list[KubeObject]] = {}
    for pod in sorted(cluster.objects("pods"), key=path_of):
        name = node_of(pod)
        if name is not None and not ended(pod):
            found.setdefault(name, []).append(pod)
    return found


def gpu_requests(pod_spec: Mapping[str, Any]) -> Mapping[str, int]:
    """Return the NVIDIA resources that a pod asks for, such as {nvidia.com/gpu: 1}.

    Init containers run one after the other, before the rest, and give back what they had; a sidecar
    among them goes on (Kubernetes: "Init Containers", "Resource sharing within containers").
    """
    beside: dict[str, int] = {}
    most: dict[str, int] = {}
    for init in pod_spec.get("initContainers") or ():
        now = dict(beside)
        _add(now, init)
        most.update({key: max(n, most.get(key, 0)) for key, n in now.items()})
        if init.get("restartPolicy") == "Always":
            beside = now
    for container in containers_of(pod_spec):
        _add(beside, container)
    return {key: max(n, most.get(key, 0)) for key, n in {**most, **beside}.items()}


def _add(found: dict[str, int], container: Mapping[str, Any]) -> None:
    """Add what a container asks for."""
    resources = container.get("resources") or {}
    both = {**(resources.get("requests") or {}), **(resources.get("limits") or {})}
    for key, amount in both.items():
        if key.startswith(RESOURCE_PREFIX) and quantity(amount):
            found[key] = found.get(key, 0) + quantity(amount)


def is_operand(pod: KubeObject) -> bool:
    """Say whether a pod is an operand of the GPU operator that needs a GPU injected."""
    return labels_of(pod).get("app") in OPERANDS


def uses_gpu(pod: KubeObject) -> bool:
    """Say whether a pod needs a GPU: it asks for one, or it is an operand."""
    return bool(gpu_requests(spec_of(pod))) or is_operand(pod)


def asks_for_cdi(pod: KubeObject) -> bool:
    """Say whether a pod gets its devices by a CDI or NRI annotation, without a handler."""
    keys = annotations_of(pod)
    return any(key.startswith(("cdi.k8s.io/", "nvidia.cdi.k8s.io/")) for key in keys)


def waiting_pods(cluster: ClusterEvidence, node_names: Collection[str]) -> tuple[WaitingPod, ...]:
    """Return the GPU pods that cannot run on these nodes now: the users' first, then operands.

    An unscheduled pod counts if one of these nodes does not offer what the pod asks for. A healthy
    GPU node that is fully used also keeps pods waiting; those do not count.
    """
    pods = [
        p for p in optional(cluster, "pods") if _waits(p) and _waits_for(cluster, p, node_names)
    ]
    pods.sort(key=lambda pod: (not gpu_requests(spec_of(pod)), path_of(pod)))
    return tuple(_waiting(cluster, pod) for pod in pods)


def _waits(pod: KubeObject) -> bool:
    return not ended(pod) and kubectl_state(pod) not in {"Running", "Completed", "Terminating"}


def _waits_for(cluster: ClusterEvidence, pod: KubeObject, names: Collection[str]) -> bool:
    where = node_of(pod)
    if where is not None:
        return where in names and (uses_gpu(pod) or is_nvidia(pod))
    requests = gpu_requests(spec_of(pod))
    return bool(requests) and any(not _offers(cluster, name, requests) for name in names)


def is_nvidia(pod: KubeObject) -> bool:
    """Say whether a pod runs NVIDIA's own software, by the names of its images."""
    images = [str(c.get("image", "")) for c in all_containers_of(spec_of(pod))]
    return any("nvidia" in image for image in images)


def _offers(cluster: ClusterEvidence, name: str, requests: Mapping[str, int]) -> bool:
    node = node_object(cluster, name)
    allocatable = status_of(node).get("allocatable") or {}
    enough = all(quantity(allocatable.get(key, 0)) >= n for key, n in requests.items())
    return enough and readiness(node).ready


def _waiting(cluster: ClusterEvidence, pod: KubeObject) -> WaitingPod:
    created = time_of(metadata(pod).get("creationTimestamp")) or cluster.taken
    return WaitingPod(
        namespace=namespace_of(pod),
        name=name_of(pod),
        state=kubectl_state(pod),
        age=cluster.taken - created,
        node=node_of(pod),
        reason=why(cluster, pod),
    )
