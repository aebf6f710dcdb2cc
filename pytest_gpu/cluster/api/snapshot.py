"""Kubernetes objects, listed once: a constant number of requests for a cluster of any size.

A resource that this cluster does not have is proven to have no objects; one that may not be read
is left out, and what depends on it stays unproven.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pytest_gpu.asked import Asked
from pytest_gpu.cluster.api.answers import ApiError, items_of, part
from pytest_gpu.cluster.api.client import KubeClient, Query
from pytest_gpu.cluster.api.env_values import without_values
from pytest_gpu.cluster.recording import kube_shapes
from pytest_gpu.cluster.recording.recorder import Recorder
from pytest_gpu.errors import NotInEvidence, RecordingError
from pytest_gpu.evidence import ClusterEvidence, KubeObject, NodeEvidence
from pytest_gpu.memory import Memory
from pytest_gpu.stack.kube.device_plugin import is_plugin
from pytest_gpu.stack.kube.objects import metadata, namespace_of, optional, spec_of, template_of
from pytest_gpu.stack.kube.operator import policy_section

MAX_EVENTS = 2000
"""Most warnings that are read; they only explain and prove nothing, so old ones may be missing."""

MANY_PODS = 2000
"""Up to this many pods all are kept; of more, only those that may concern GPUs."""

_CORE = ("nodes", "pods")
_GROUPS = {
    "daemonsets": "apps",
    "deployments": "apps",
    "runtimeclasses": "node.k8s.io",
    "clusterpolicies": "nvidia.com",
    "resourceslices": "resource.k8s.io",
}
_WITH_PODS = ("pods", "daemonsets", "deployments")
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """Objects by resource, and by resource why one is missing."""

    objects: Mapping[str, Sequence[KubeObject]]
    refused: Mapping[str, str] = field(default_factory=dict)

    def write(self, recorder: Recorder) -> None:
        """Write everything that was listed."""
        for resource, objects in self.objects.items():
            recorder.add_objects(resource, objects)


def list_objects(client: KubeClient) -> Listed:
    """List everything that the layers need; Secrets are never read.

    Raises:
        ApiError: the nodes cannot be listed.
    """
    served = _served(client)
    asked = {name: f"/api/v1/{name}" for name in _CORE}
    for name, group in _GROUPS.items():
        if group in served:
            asked[name] = f"/apis/{served[group]}/{name}"
    refused: dict[str, str] = {}
    with ThreadPoolExecutor(max_workers=4, thread_name_prefix="gpu-list") as pool:
        jobs = {name: pool.submit(_all, client, name, path) for name, path in asked.items()}
        jobs["events"] = pool.submit(_warnings, client)
        found: dict[str, Sequence[KubeObject]] = {}
        for name, job in jobs.items():
            try:
                found[name] = job.result()
            except RecordingError as error:
                if name == "nodes":
                    raise
                refused[name] = str(error)
            except ApiError as error:
                if name == "nodes" or error.status == 0:
                    raise
                refused[name] = str(error)
    if len(found.get("pods", ())) > MANY_PODS:
        found["pods"] = [pod for pod in found["pods"] if _may_concern_gpus(pod)]
    missing = {name for name, group in _GROUPS.items() if group not in served}
    found |= dict.fromkeys(sorted(missing), ())
    return _with_config_maps(client, Listed(objects=found, refused=refused))


def list_nodes(client: KubeClient) -> Sequence[KubeObject]:
    """List only the nodes.

    Raises:
        ApiError: they cannot be listed.
    """
    return _all(client, "nodes", "/api/v1/nodes")


def _served(client: KubeClient) -> Mapping[str, str]:
    """Return the preferred version, as ``group/version``, of each API group."""
    groups = items_of(client.get("/apis"), "groups")
    return {
        str(group.get("name")): str(part(group, "preferredVersion").get("groupVersion"))
        for group in groups
    }


def _all(client: KubeClient, resource: str, path: str) -> Sequence[KubeObject]:
    try:
        return [_kept(resource, each) for page in client.pages(path) for each in _items(page)]
    except ApiError as error:
        if error.status == 404:  # the group is served, this resource is not
            return ()
        raise


def _warnings(client: KubeClient) -> Sequence[KubeObject]:
    query: Query = {"fieldSelector": "type=Warning", "limit": MAX_EVENTS}
    return [_kept("events", each) for each in _items(client.call("GET", "/api/v1/events", query))]


def _kept(resource: str, thing: KubeObject) -> KubeObject:
    """Return what is kept of an object: nothing of it that other people's containers are told.

    Raises:
        RecordingError: a part has not the shape that the API documents.
    """
    kube_shapes.check(resource, thing, f"the API server's list of {resource}")
    return without_values(thing) if resource in _WITH_PODS else thing


def _items(page: Mapping[str, Any]) -> Iterator[KubeObject]:
    """Yield a list's objects, each with the kind that the API writes only once."""
    kind = str(page.get("kind", "")).removesuffix("List")
    shared = {"apiVersion": page.get("apiVersion", ""), "kind": kind}
    for item in items_of(page):
        yield {**shared, **item, "metadata": _slim(item.get("metadata") or {})}


def _slim(head: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return metadata without the parts that repeat the object and are not used."""
    slim = {key: value for key, value in head.items() if key not in ("managedFields", "selfLink")}
    if notes := slim.get("annotations"):
        slim["annotations"] = {k: v for k, v in notes.items() if k != _LAST_APPLIED}
    return slim


def _may_concern_gpus(pod: KubeObject) -> bool:
    """Return whether anything in a pod refers to GPUs: a request, an image, a class, a label."""
    text = json.dumps(pod).lower()
    return "nvidia" in text or "gpu" in text


def _with_config_maps(client: KubeClient, listed: Listed) -> Listed:
    """Add the ConfigMaps that the device plugin or the ClusterPolicy names, and no others."""
    found = []
    for namespace, name in _named(_Objects(listed.objects)):
        path = f"/api/v1/namespaces/{namespace}/configmaps/{name}"
        try:
            thing = client.find(path)
        except ApiError as error:
            # One that could not be read must not look like one that does not exist.
            return Listed(
                objects=listed.objects, refused={**listed.refused, "configmaps": str(error)}
            )
        if thing is not None:
            found.append({**thing, "metadata": _slim(metadata(thing))})
    return Listed(objects={**listed.objects, "configmaps": found}, refused=listed.refused)


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
