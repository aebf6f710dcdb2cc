"""RuntimeClasses: the names that pods use, and their handlers (node.k8s.io/v1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pytest_gpu.evidence import ClusterEvidence
from pytest_gpu.gpu_node import cluster_fact
from pytest_gpu.stack.kube.objects import name_of


@cluster_fact
def handlers(cluster: ClusterEvidence) -> Mapping[str, str]:
    """Return the handler of every RuntimeClass by the class's name.

    Raises:
        NotInEvidence: the RuntimeClasses were not read.
    """
    return {
        name_of(each): str(each.get("handler") or "") for each in cluster.objects("runtimeclasses")
    }


def class_of(pod_spec: Mapping[str, Any]) -> str:
    """Return the RuntimeClass that a pod spec names, ``""`` if it names none."""
    return str(pod_spec.get("runtimeClassName") or "")


def handler_of(pod_spec: Mapping[str, Any], by_class: Mapping[str, str]) -> str | None:
    """Return a pod's handler: ``""`` is the default one, ``None`` means its class is missing."""
    name = class_of(pod_spec)
    return by_class.get(name) if name else ""


def class_for_gpus(by_class: Mapping[str, str], injects: Callable[[str], bool]) -> str | None:
    """Return the RuntimeClass that GPU pods should name: one with a handler that injects GPUs."""
    fitting = [name for name, handler in by_class.items() if injects(handler)]
    return min(fitting, key=lambda name: (name != "nvidia", name), default=None)
