"""Warnings about an object, whatever their age: they explain, and prove nothing by themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from pytest_gpu.causes import Evidence
from pytest_gpu.evidence import ClusterEvidence, KubeObject
from pytest_gpu.gpu_node import cluster_fact
from pytest_gpu.stack.kube.events import FRESH, event_text, event_time
from pytest_gpu.stack.kube.objects import metadata, name_of, namespace_of, optional
from pytest_gpu.stack.operands.container_log import plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A warning about an object.

    Attributes:
        about: the object, such as ``pod gpu-operator/x``.
        reason: one word, such as ``FailedCreate``.
        text: the reason and the message.
        age: how long before the evidence was taken it was last seen.
    """

    about: str
    reason: str
    text: str
    age: timedelta

    @property
    def fresh(self) -> bool:
        """Whether it is young enough to explain the state now."""
        return self.age <= FRESH

    @property
    def evidence(self) -> Evidence:
        """The event as evidence."""
        return Evidence(source=f"event of {self.about}", text=self.text)


def events_of(cluster: ClusterEvidence, thing: KubeObject) -> tuple[Event, ...]:
    """Return the warnings about an object, newest first."""
    kind, uid = str(thing.get("kind") or "Pod"), metadata(thing).get("uid")
    key = kind, namespace_of(thing), name_of(thing)
    return tuple(
        _event(cluster, each, f"{kind.lower()} {key[1]}/{key[2]}")
        for each in _by_object(cluster).get(key, ())
        if not uid or _about(each).get("uid") in {None, "", uid}
    )


def _event(cluster: ClusterEvidence, event: KubeObject, about: str) -> Event:
    return Event(
        about=about,
        reason=str(event.get("reason") or ""),
        text=plain(event_text(event)),
        age=cluster.taken - event_time(event, cluster.taken),
    )


@cluster_fact
def _by_object(cluster: ClusterEvidence) -> Mapping[tuple[str, str, str], Sequence[KubeObject]]:
    found: dict[tuple[str, str, str], list[KubeObject]] = {}
    newest = sorted(
        optional(cluster, "events"),
        key=lambda event: event_time(event, cluster.taken),
        reverse=True,
    )
    for event in newest:
        if event.get("type") == "Warning":
            about = _about(event)
            kind, name = str(about.get("kind") or "Pod"), str(about.get("name"))
            where = str(about.get("namespace") or "default")
            found.setdefault((kind, where, name), []).append(event)
    return found


def _about(event: KubeObject) -> Mapping[str, object]:
    found: Mapping[str, object] = event.get("involvedObject") or event.get("regarding") or {}
    return found
