"""The operands' pods and what makes them, found once in the objects of a cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pytest_gpu.evidence import ClusterEvidence, KubeObject
from pytest_gpu.gpu_node import cluster_fact
from pytest_gpu.stack.kube.objects import (
    labels_of,
    metadata,
    name_of,
    namespace_of,
    optional,
    path_of,
    spec_of,
)
from pytest_gpu.stack.kube.operator import cluster_policy, helm_release
from pytest_gpu.stack.kube.pod_state import ended
from pytest_gpu.stack.kube.pods import node_of
from pytest_gpu.stack.operands.roles import role_of

Key = tuple[str, str, str]
"""Kind, namespace and name of an object."""

CONTROLLERS = {
    "daemonsets": "DaemonSet",
    "deployments": "Deployment",
    "statefulsets": "StatefulSet",
    "replicasets": "ReplicaSet",
    "jobs": "Job",
}
"""Resources that make pods, and their kinds."""

OWNERS = {
    **CONTROLLERS,
    "clusterpolicies": "ClusterPolicy",
    "nvidiadrivers": "NVIDIADriver",
}


_WITHOUT_NAMESPACE = frozenset({"ClusterPolicy", "NVIDIADriver", "Node"})

MADE_BY_OPERATOR = frozenset(
    {
        "nvidia-driver-daemonset",
        "nvidia-container-toolkit-daemonset",
        "nvidia-device-plugin-daemonset",
        "nvidia-device-plugin-mps-control-daemon",
        "gpu-feature-discovery",
        "nvidia-dcgm",
        "nvidia-dcgm-exporter",
        "nvidia-mig-manager",
        "nvidia-operator-validator",
        "nvidia-cuda-validator",
    }
)
"""Values of the label ``app`` of what the GPU operator makes from its ClusterPolicy."""


@cluster_fact
def pods_by_node(cluster: ClusterEvidence) -> Mapping[str, Sequence[tuple[str, KubeObject]]]:
    """Return the operands' pods of each node with their roles; those of no node under ``""``.

    A pod that has ended is left out if its controller has another one there.

    Raises:
        NotInEvidence: the pods were not read.
    """
    found: dict[str, list[tuple[str, KubeObject]]] = {}
    for pod in sorted(cluster.objects("pods"), key=lambda each: (ended(each), path_of(each))):
        if role := role_of(pod):
            there = found.setdefault(node_of(pod) or "", [])
            if not (ended(pod) and _has_newer(pod, there)):
                there.append((role, pod))
    return found


def _has_newer(pod: KubeObject, others: Sequence[tuple[str, KubeObject]]) -> bool:
    mine = controller_key(pod)
    return mine is not None and any(controller_key(other) == mine for _, other in others)


def controller_key(thing: KubeObject) -> Key | None:
    """Return what made an object, ``None`` if nothing did."""
    owners = metadata(thing).get("ownerReferences") or ()
    owner = next((each for each in owners if each.get("controller")), next(iter(owners), None))
    if owner is None:
        return None
    return str(owner.get("kind")), namespace_of(thing), str(owner.get("name"))


@cluster_fact
def objects_by_key(cluster: ClusterEvidence) -> Mapping[Key, KubeObject]:
    """Return all that makes pods, and what makes these, by kind, namespace and name."""
    return {
        (kind, namespace_of(each), name_of(each)): each
        for resource, kind in OWNERS.items()
        for each in optional(cluster, resource)
    }


def maker_of(cluster: ClusterEvidence, thing: KubeObject) -> KubeObject | None:
    """Return the object that made this one, of a pod its workload, ``None`` if it is not known.

    The pods of a Deployment belong to it, not to its ReplicaSet.
    """
    key = controller_key(thing)
    if key is None:
        return _selecting(cluster, thing) or _policy_of(cluster, thing)
    known = objects_by_key(cluster)
    # ClusterPolicy and NVIDIADriver have no namespace.
    found = known.get(key) or known.get((key[0], "default", key[2]))
    if key[0] != "ReplicaSet":
        return found
    above = maker_of(cluster, found) if found else None
    return above or known.get(("Deployment", key[1], _without_hash(thing, key[2]))) or found


def _selecting(cluster: ClusterEvidence, pod: KubeObject) -> KubeObject | None:
    """Return the DaemonSet that selects a pod which does not say what made it."""
    if is_maker(pod):
        return None
    return next((each for each in optional(cluster, "daemonsets") if _selects(each, pod)), None)


def _selects(daemonset: KubeObject, pod: KubeObject) -> bool:
    wanted = (spec_of(daemonset).get("selector") or {}).get("matchLabels") or {}
    same = bool(wanted) and namespace_of(daemonset) == namespace_of(pod)
    return same and wanted.items() <= labels_of(pod).items()


def is_maker(thing: KubeObject) -> bool:
    """Say whether an object makes pods."""
    return "template" in spec_of(thing)


def _policy_of(cluster: ClusterEvidence, thing: KubeObject) -> KubeObject | None:
    """Return the ClusterPolicy if an object that nothing else made has the operator's label."""
    made = labels_of(thing).get("app", "") in MADE_BY_OPERATOR and not helm_release(thing)
    return cluster_policy(cluster) if made else None


def _without_hash(pod: KubeObject, name: str) -> str:
    """Return a Deployment's name from that of its ReplicaSet."""
    given = labels_of(pod).get("pod-template-hash") or name.rpartition("-")[2]
    return name.removesuffix(f"-{given}")


def named(thing: KubeObject) -> str:
    """Return the name of an object with its kind, such as ``daemonset gpu-operator/x``."""
    kind = str(thing.get("kind") or "object")
    return f"{kind.lower()} {name_of(thing) if kind in _WITHOUT_NAMESPACE else path_of(thing)}"
