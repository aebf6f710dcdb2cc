"""What the verdict document says about the cluster, beside what the tests found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from pytest_gpu.errors import NotInEvidence, Unproven
from pytest_gpu.evidence import ClusterEvidence
from pytest_gpu.gpu_node import Node
from pytest_gpu.report.run_info import RunInfo
from pytest_gpu.stack.distributions.detect import distribution_of
from pytest_gpu.stack.distributions.distribution import UNKNOWN
from pytest_gpu.stack.kube.objects import labels_of, name_of, node_info, optional
from pytest_gpu.stack.kube.pods import WaitingPod
from pytest_gpu.stack.kubelet.runtimes import runtimes_of


def run_facts(run: RunInfo, cluster: ClusterEvidence) -> dict[str, Any]:
    """Return the document's ``run``, without its exit code."""
    return {
        "suite_version": run.suite_version,
        "cluster": run.cluster,
        "taken": timestamp(cluster.taken),
        "taken_by": cluster.suite or None,
        "started": timestamp(run.started),
        "duration": round(run.duration, 3),
        "layers_asked": list(run.layers_asked),
        "all_layers": run.all_layers,
        "allow_unproven": run.allow_unproven,
        "deselected": run.deselected,
    }


def cluster_facts(cluster: ClusterEvidence, versions: Mapping[str, str]) -> dict[str, Any]:
    """Return the document's ``cluster``; several Kubernetes versions are joined by commas."""
    return {
        "title": cluster.title,
        "kubernetes_version": ", ".join(sorted(set(versions.values()))) or None,
    }


def kubelet_versions(cluster: ClusterEvidence) -> dict[str, str]:
    """Return ``nodeInfo.kubeletVersion`` by node; no object has the API server's version."""
    return {
        node["metadata"]["name"]: version
        for node in optional(cluster, "nodes")
        if (version := node_info(node).get("kubeletVersion"))
    }


def node_labels(cluster: ClusterEvidence) -> dict[str, Mapping[str, str]]:
    """Return the labels of every node of the cluster, by its name."""
    return {name_of(node): labels_of(node) for node in optional(cluster, "nodes")}


def node_facts(node: Node) -> dict[str, Any]:
    """Return what else is known of a node: its distribution, and its container runtimes."""
    return {"distribution": _distribution(node), "runtimes": _runtimes(node)}


def _distribution(node: Node) -> str | None:
    """Return the Kubernetes distribution, ``None`` if the evidence does not show it."""
    try:
        found = distribution_of(node)
    except Unproven:
        return None
    return None if found == UNKNOWN else found.name


def _runtimes(node: Node) -> list[dict[str, Any]] | None:
    """Return every runtime that runs on a node, ``None`` if the evidence does not show them."""
    try:
        found = runtimes_of(node)
    except Unproven:
        return None
    return [
        {
            "kind": each.kind,
            "version": each.version or None,
            "pid": each.process.pid,
            "started": _since_epoch(each.process.started),
            "socket": each.socket or None,
            "config": each.config or None,
            "serves": each.serves or None,
        }
        for each in found
    ]


def _since_epoch(seconds: float | None) -> str | None:
    return None if seconds is None else timestamp(datetime.fromtimestamp(seconds, UTC))


def waiting_as_json(pods: Callable[[], Iterable[WaitingPod]]) -> list[dict[str, Any]] | None:
    """Return waiting pods in the order given; ``None`` if the pods were not collected."""
    try:
        return [_waiting_pod(pod) for pod in pods()]
    except NotInEvidence:
        return None


def _waiting_pod(pod: WaitingPod) -> dict[str, Any]:
    return {
        "namespace": pod.namespace,
        "name": pod.name,
        "state": pod.state,
        "age_seconds": max(0, int(pod.age.total_seconds())),
        "node": pod.node,
        "reason": pod.reason,
    }


def timestamp(moment: datetime) -> str:
    """Return a moment as RFC 3339 in UTC, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
