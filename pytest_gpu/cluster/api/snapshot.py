"""Kubernetes objects, listed once: a constant number of requests for a cluster of any size.

A resource that this cluster does not have is proven to have no objects; one that may not be read
is left out, and what depends on it stays unproven.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from pytest_gpu.asked import Asked
from pytest_gpu.cluster.api.answers import FORBIDDEN, ApiError, items_of, part
from pytest_gpu.cluster.api.checked import checked, checked_items
from pytest_gpu.cluster.api.client import KubeClient, Query
from pytest_gpu.cluster.api.foreign_values import without_values
from pytest_gpu.cluster.api.kept import Kept
from pytest_gpu.cluster.daemon_pool import DaemonPool
from pytest_gpu.cluster.recording.recorder import Recorder
from pytest_gpu.errors import NotInEvidence
from pytest_gpu.evidence import ClusterEvidence, KubeObject, NodeEvidence
from pytest_gpu.memory import Memory
from pytest_gpu.stack.kube.device_plugin import is_plugin
from pytest_gpu.stack.kube.objects import (
    metadata,
    namespace_of,
    optional,
    spec_of,
    template_of,
)
from pytest_gpu.stack.kube.operator import policy_section

MAX_EVENTS = 2000
"""Most warnings that are read; they only explain and prove nothing, so old ones may be missing."""

_CORE = ("nodes", "pods")
_GROUPS = {
    "daemonsets": "apps",
    "deployments": "apps",
    "replicasets": "apps",
    "statefulsets": "apps",
    "jobs": "batch",
    "runtimeclasses": "node.k8s.io",
    "clusterpolicies": "nvidia.com",
    "nvidiadrivers": "nvidia.com",
    "resourceslices": "resource.k8s.io",
    "resourceclaims": "resource.k8s.io",
}
_VERSIONS = {"nvidiadrivers": "nvidia.com/v1alpha1"}
"""Resources that the preferred version of their group does not have."""

_WITH_PODS = ("pods", "daemonsets", "deployments", "replicasets", "statefulsets", "jobs")
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """Objects by resource, and by resource why one is missing.

    ``forbidden`` are those of the missing ones that this user may not list.
    """

    objects: Mapping[str, Sequence[KubeObject]]
    refused: Mapping[str, str] = field(default_factory=dict)
    forbidden: frozenset[str] = frozenset()

    def write(self, recorder: Recorder) -> None:
        """Write everything that was listed."""
        for resource, objects in self.objects.items():
            recorder.add_objects(resource, objects)


class NoNodesError(ApiError):
    """The nodes cannot be listed, so nothing can be tested."""


def list_objects(client: KubeClient) -> Listed:
    """List everything that the layers need; Secrets are never read.

    Raises:
        NoNodesError: the nodes cannot be listed.
        ApiError: the API server cannot be reached, or does not tell what it serves.
    """
    served = _served(client)
    refused: dict[str, ApiError] = {}
    found: dict[str, Sequence[KubeObject]] = {}
    with DaemonPool(4, "gpu-list") as pool:
        jobs = {name: pool.submit(_all, client, name, path) for name, path in _paths(served)}
        jobs["events"] = pool.submit(_warnings, client)
        for name, job in jobs.items():
            try:
                found[name] = job.result()
            except ApiError as error:
                if name == "nodes":
                    raise NoNodesError(error.status, error.reason, str(error)) from error
                if error.status == 0:
                    raise
                refused[name] = error
    missing = {name for name, group in _GROUPS.items() if group not in served}
    listed = Listed(
        objects=found | dict.fromkeys(sorted(missing), ()),
        refused={name: str(error) for name, error in refused.items()},
        forbidden=frozenset(name for name, error in refused.items() if error.status == FORBIDDEN),
    )
    return _with_config_maps(client, listed)


def _paths(served: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str]]:
    """Yield the resources of this cluster, and where each is listed."""
    yield from ((name, f"/api/v1/{name}") for name in _CORE)
    for name, group in _GROUPS.items():
        if versions := served.get(group):
            wanted = _VERSIONS.get(name)
            yield name, f"/apis/{wanted if wanted in versions else versions[0]}/{name}"


def list_nodes(client: KubeClient) -> Sequence[KubeObject]:
    """List only the nodes.

    Raises:
        ApiError: they cannot be listed.
    """
    return _all(client, "nodes", "/api/v1/nodes")


def _served(client: KubeClient) -> Mapping[str, Sequence[str]]:
    """Return the versions, as ``group/version``, of each API group, the preferred one first."""
    groups = items_of(client.get("/apis"), "groups")
    return {str(group.get("name")): _versions_of(group) for group in groups}


def _versions_of(group: Mapping[str, Any]) -> Sequence[str]:
    told = (part(group, "preferredVersion"), *items_of(group, "versions"))
    return [str(each.get("groupVersion")) for each in told]


def _all(client: KubeClient, resource: str, path: str) -> Sequence[KubeObject]:
    kept = Kept(resource)
    try:
        for page in client.pages(path):
            for each in _items(resource, page):
                kept.add(without_values(each) if resource in _WITH_PODS else each)
    except ApiError as error:
        if error.status == 404 and resource not in _CORE:
            return ()  # the group is served, this resource is not
        raise
    return list(kept.objects.values())


def _warnings(client: KubeClient) -> Sequence[KubeObject]:
    query: Query = {"fieldSelector": "type=Warning", "limit": MAX_EVENTS}
    return list(_items("events", client.call("GET", "/api/v1/events", query)))


def _items(resource: str, page: Mapping[str, Any]) -> Iterator[KubeObject]:
    """Yield a list's objects, each with the kind that the API writes only once."""
    kind = str(page.get("kind", "")).removesuffix("List")
    shared = {"apiVersion": page.get("apiVersion", ""), "kind": kind}
    for item in checked_items(resource, page):
        yield {**shared, **item, "metadata": _slim(item["metadata"])}


def _slim(head: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return metadata without the parts that repeat the object and are not used."""
    slim = {key: value for key, value in head.items() if key not in ("managedFields", "selfLink")}
    if notes := slim.get("annotations"):
        slim["annotations"] = {k: v for k, v in notes.items() if k != _LAST_APPLIED}
    return slim


def _with_config_maps(client: KubeClient, listed: Listed) -> Listed:
    """Add the ConfigMaps that the device plugin or the ClusterPolicy names, and no others."""
    found = []
    for namespace, name in _named(_Objects(listed.objects)):
        path = f"/api/v1/namespaces/{namespace}/configmaps/{name}"
        try:
            thing = client.find(path)
            if thing is not None:
                found.append({**checked("configmaps", thing), "metadata": _slim(metadata(thing))})
        except ApiError as error:
            # One that could not be read must not look like one that does not exist.
            return replace(listed, refused={**listed.refused, "configmaps": str(error)})
    return replace(listed, objects={**listed.objects, "configmaps": found})


def _named(cluster: ClusterEvidence) -> Sequence[tuple[str, str]]:
    """Return (namespace, name) of the ConfigMaps that configure device plugins."""
    policy = str((policy_section(cluster, "devicePlugin").get("config") or {}).get("name") or "")
    names: dict[tuple[str, str], None] = {}
    for namespace, pod_spec in _plugins(cluster):
        volumes = (v.get("configMap") or {} for v in pod_spec.get("volumes") or ())
        for name in (*(str(v.get("name") or "") for v in volumes), policy):
            if name:
                names[namespace, name] = None
    return list(names)


def _plugins(cluster: ClusterEvidence) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for each in optional(cluster, "daemonsets"):
        if is_plugin(template_of(each)):
            yield namespace_of(each), template_of(each)
    for pod in optional(cluster, "pods"):
        if is_plugin(spec_of(pod)):
            yield namespace_of(pod), spec_of(pod)


class _Objects:
    """Objects in memory, for look-ups that need only objects."""

    def __init__(self, objects: Mapping[str, Sequence[KubeObject]]) -> None:
        self.title = ""
        self.taken = datetime.now(UTC)
        self.memory = Memory()
        self.suite = ""
        self.asked: Asked = None
        self._objects = objects

    def node(self, name: str) -> NodeEvidence:
        """Return nothing: no node was visited yet."""
        raise NotInEvidence(name, "anything")

    def objects(self, resource: str) -> Sequence[KubeObject]:
        """Return all objects of a resource."""
        if resource not in self._objects:
            raise NotInEvidence("the cluster", f"the list of {resource}")
        return self._objects[resource]
