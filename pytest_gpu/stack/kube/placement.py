"""Which pods a node gets: the DaemonSets that select it, and what its pods ask for.

Source: the Kubernetes documentation of nodeSelector and nodeAffinity ("Assigning Pods to Nodes").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_gpu.errors import NotInEvidence
from pytest_gpu.evidence import ClusterEvidence, KubeObject
from pytest_gpu.gpu_node import cluster_fact
from pytest_gpu.stack.kube.objects import (
    labels_of,
    metadata,
    name_of,
    node_object,
    optional,
    spec_of,
    template_of,
)
from pytest_gpu.stack.kube.pods import pods_on


def unmet(pod_spec: Mapping[str, Any], node: KubeObject) -> Mapping[str, str]:
    """Return the labels that a pod's nodeSelector requires and the node does not have."""
    labels = labels_of(node)
    wanted: Mapping[str, str] = pod_spec.get("nodeSelector") or {}
    return {key: value for key, value in wanted.items() if labels.get(key) != value}


def fits(daemonset: KubeObject, node: KubeObject) -> bool:
    """Say whether a DaemonSet selects a node; taints are not checked."""
    return takes(node, template_of(daemonset))


def takes(node: KubeObject, pod_spec: Mapping[str, Any]) -> bool:
    """Say whether a node has what a pod's nodeSelector and affinity require."""
    affinity = (pod_spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    terms = required.get("nodeSelectorTerms") or ()
    return not unmet(pod_spec, node) and (not terms or any(_term(each, node) for each in terms))


def _term(term: Mapping[str, Any], node: KubeObject) -> bool:
    fields = {"metadata.name": name_of(node)}
    return all(_meets(each, labels_of(node)) for each in term.get("matchExpressions") or ()) and (
        all(_meets(each, fields) for each in term.get("matchFields") or ())
    )


def _meets(wanted: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Say whether labels meet an expression; Gt and Lt always count as met."""
    value, values = labels.get(str(wanted.get("key"))), wanted.get("values") or ()
    answers = {
        "In": value in values,
        "NotIn": value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }
    return answers.get(str(wanted.get("operator")), True)


@cluster_fact
def fitting(cluster: ClusterEvidence, name: str) -> tuple[KubeObject, ...]:
    """Return the DaemonSets that select a node, all if its labels are unknown: for hints."""
    daemonsets = optional(cluster, "daemonsets")
    try:
        node = node_object(cluster, name)
    except NotInEvidence:
        return tuple(daemonsets)
    return tuple(each for each in daemonsets if fits(each, node))


@cluster_fact
def specs_on(cluster: ClusterEvidence, name: str) -> Sequence[Mapping[str, Any]]:
    """Return the pod specs of a node: of DaemonSets and of pods that are not being deleted."""
    try:
        pods = pods_on(cluster, name)
    except NotInEvidence:
        pods = ()
    lasting = [pod for pod in pods if not metadata(pod).get("deletionTimestamp")]
    return [*map(template_of, fitting(cluster, name)), *map(spec_of, lasting)]
