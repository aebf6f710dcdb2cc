"""A node under pressure: it lacks disk space, memory or process IDs, so its kubelet evicts pods.

Source: kubernetes ``pkg/kubelet/eviction`` (``Admit``: under pressure on disk or process IDs every
pod is refused that is not critical; under pressure on memory only those without requests).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pytest_gpu.causes import Evidence
from pytest_gpu.evidence import ClusterEvidence, KubeObject
from pytest_gpu.stack.kube.events import FRESH, event_text, event_time, subject
from pytest_gpu.stack.kube.objects import (
    condition_of,
    name_of,
    optional,
    path_of,
    spec_of,
    status_of,
)

EVICTED = "Evicted"

KINDS = ("DiskPressure", "PIDPressure", "MemoryPressure")
"""The conditions, those under which every pod is refused first."""

_REFUSES_ALL = KINDS[:2]
_CONDITION = re.compile(r"The node had condition: \[(?P<kinds>[\w ]+)\]")
_LOW_ON = re.compile(r"The node was low on resource: (?P<resource>[\w-]+)")
_OF_RESOURCE = {
    "ephemeral-storage": "DiskPressure",
    "inodes": "DiskPressure",
    "pids": "PIDPressure",
    "memory": "MemoryPressure",
}
_EVENTS = {
    "DiskPressure": r"ephemeral-storage|inodes|FreeDiskSpaceFailed|ImageGCFailed",
    "PIDPressure": r"pids",
    "MemoryPressure": r"memory|SystemOOM",
}
_SHOWN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressure:
    """One pressure on a node: its condition, and what the kubelet says of it."""

    kind: str
    evidence: tuple[Evidence, ...]


def refusing(cluster: ClusterEvidence, node: KubeObject) -> Pressure | None:
    """Return the pressure under which a node refuses every pod, ``None`` if there is none."""
    kind = next((each for each in _REFUSES_ALL if _is_true(node, each)), None)
    return _of_kind(cluster, node, kind) if kind else None


def evicting(cluster: ClusterEvidence, node: KubeObject, said: Evidence) -> Pressure | None:
    """Return the pressure for which a pod was evicted, ``None`` if its text names none.

    Args:
        cluster: all objects.
        node: the node of the pod.
        said: the text of its eviction, with ``Evicted`` in it.
    """
    kind = _named(said.text) if EVICTED in said.text else None
    if kind is None:
        return None
    found = _of_kind(cluster, node, kind)
    return Pressure(kind=kind, evidence=(said, *found.evidence))


def evicted(pod: KubeObject) -> Evidence | None:
    """Return the kubelet's words about a pod that it evicted, ``None`` for any other pod."""
    status = status_of(pod)
    if status.get("reason") != EVICTED:
        return None
    text = " ".join(f"{EVICTED}: {status.get('message') or ''}".split())
    return Evidence(source=f"pod {path_of(pod)}", text=text)


def _named(text: str) -> str | None:
    if match := _CONDITION.search(text):
        return next((kind for kind in KINDS if kind in match["kinds"].split()), None)
    match = _LOW_ON.search(text)
    return _OF_RESOURCE.get(match["resource"]) if match else None


def _is_true(node: KubeObject, kind: str) -> bool:
    return (condition_of(node, kind) or {}).get("status") == "True"


def _of_kind(cluster: ClusterEvidence, node: KubeObject, kind: str) -> Pressure:
    told = (*_condition(node, kind), *_events(cluster, node, kind), *_pods(cluster, node, kind))
    return Pressure(kind=kind, evidence=told)


def _condition(node: KubeObject, kind: str) -> Iterator[Evidence]:
    if _is_true(node, kind):
        found = condition_of(node, kind) or {}
        since = f" since {found['lastTransitionTime']}" if found.get("lastTransitionTime") else ""
        said = f"{found.get('reason') or ''}: {found.get('message') or ''}".strip(": ")
        yield Evidence(source=f"node {name_of(node)}", text=f"{kind}=True{since}, {said}")


def _events(cluster: ClusterEvidence, node: KubeObject, kind: str) -> Iterator[Evidence]:
    """Yield the newest warnings of the kubelet about the node that fit the pressure."""
    wanted = re.compile(_EVENTS[kind])
    found = [e for e in optional(cluster, "events") if _is_about(e, node)]
    fresh = [e for e in found if cluster.taken - event_time(e, cluster.taken) <= FRESH]
    fresh.sort(key=lambda each: event_time(each, cluster.taken), reverse=True)
    texts = (event_text(each) for each in fresh)
    for text in list(dict.fromkeys(each for each in texts if wanted.search(each)))[:_SHOWN]:
        yield Evidence(source=f"event of node {name_of(node)}", text=text)


def _is_about(event: KubeObject, node: KubeObject) -> bool:
    # The kubelet gives the node's name as its unique ID.
    about = subject(event)
    return about.get("kind") == "Node" and about.get("name") == name_of(node)


def _pods(cluster: ClusterEvidence, node: KubeObject, kind: str) -> Iterator[Evidence]:
    """Yield the kubelet's words about pods that it evicted for want of the same."""
    here = [p for p in optional(cluster, "pods") if spec_of(p).get("nodeName") == name_of(node)]
    texts = [said for pod in here if (said := evicted(pod)) and _named(said.text) == kind]
    yield from sorted(texts, key=lambda each: "low on resource" not in each.text)[:_SHOWN]
