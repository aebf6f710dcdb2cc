"""Accessors for Kubernetes objects that the other modules of this package need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pytest_gpu.errors import NotInEvidence
from pytest_gpu.evidence import ClusterEvidence, KubeObject
from pytest_gpu.gpu_node import Node, cluster_fact, fact


def node_object(cluster: ClusterEvidence, name: str) -> KubeObject:
    """Return the Node object called ``name``.

    Raises:
        NotInEvidence: the cluster has no such node.
    """
    try:
        return _nodes(cluster)[name]
    except KeyError:
        raise NotInEvidence(name, "the Node object") from None


@cluster_fact
def _nodes(cluster: ClusterEvidence) -> Mapping[str, KubeObject]:
    return {node["metadata"]["name"]: node for node in reversed(cluster.objects("nodes"))}


def optional(cluster: ClusterEvidence, resource: str) -> Sequence[KubeObject]:
    """Return a resource's objects, none if it was not recorded: for hints, never for verdicts."""
    try:
        return cluster.objects(resource)
    except NotInEvidence:
        return ()


def metadata(thing: KubeObject) -> Mapping[str, Any]:
    """Return an object's metadata."""
    found: Mapping[str, Any] = thing.get("metadata") or {}
    return found


def name_of(thing: KubeObject) -> str:
    """Return an object's name."""
    return str(metadata(thing).get("name", ""))


def namespace_of(thing: KubeObject) -> str:
    """Return an object's namespace, ``default`` if it has none."""
    return str(metadata(thing).get("namespace") or "default")


def path_of(thing: KubeObject) -> str:
    """Return ``namespace/name``, the usual way to name a pod."""
    return f"{namespace_of(thing)}/{name_of(thing)}"


def labels_of(thing: KubeObject) -> Mapping[str, str]:
    """Return an object's labels."""
    return metadata(thing).get("labels") or {}


def annotations_of(thing: KubeObject) -> Mapping[str, str]:
    """Return an object's annotations."""
    return metadata(thing).get("annotations") or {}


def spec_of(thing: KubeObject) -> Mapping[str, Any]:
    """Return an object's spec."""
    return thing.get("spec") or {}


def status_of(thing: KubeObject) -> Mapping[str, Any]:
    """Return an object's status."""
    return thing.get("status") or {}


def node_info(node: KubeObject) -> Mapping[str, Any]:
    """Return what a node's kubelet reported about its system (status.nodeInfo)."""
    return status_of(node).get("nodeInfo") or {}


def template_of(workload: KubeObject) -> Mapping[str, Any]:
    """Return the pod spec that a DaemonSet or Deployment creates pods from."""
    template: Mapping[str, Any] = spec_of(workload).get("template") or {}
    return template.get("spec") or {}


def containers_of(pod_spec: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the containers of a pod spec, without the init containers."""
    return pod_spec.get("containers") or ()


def all_containers_of(pod_spec: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return init containers and containers of a pod spec, in the order they start."""
    return [*(pod_spec.get("initContainers") or ()), *containers_of(pod_spec)]


def env_of(container: Mapping[str, Any]) -> Mapping[str, str]:
    """Return a container's environment: only variables with a literal value."""
    entries = container.get("env") or ()
    return {str(e["name"]): str(e["value"]) for e in entries if e.get("value") is not None}


def time_of(value: object) -> datetime | None:
    """Return a Kubernetes time (RFC 3339 text or a YAML timestamp) with its time zone."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def condition_of(thing: KubeObject, kind: str) -> Mapping[str, Any] | None:
    """Return the condition of a type such as ``Ready``, ``None`` if the status has none."""
    for condition in status_of(thing).get("conditions") or ():
        if condition.get("type") == kind:
            found: Mapping[str, Any] = condition
            return found
    return None


@fact
def object_of(node: Node) -> KubeObject:
    """Return the Node object.

    Raises:
        NotInEvidence: the cluster has no such node.
    """
    return node_object(node.cluster, node.name)


@fact
def judged_alone(node: Node) -> bool:
    """Say whether this is a machine without a cluster (``local``): its Node object is only a name.

    The checks that need Kubernetes are then not asked, which does not count as passed: the verdict
    says up to which layer the machine conforms.
    """
    return node.evidence.door.kind == "local" and not object_of(node).get("status")
