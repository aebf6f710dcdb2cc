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
from pytest_gpu.stack.operands.found import named


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
        """The event as evidence; an old one with its age."""
        minutes = int(self.age.total_seconds() // 60)
        ago = "" if self.fresh else f", {minutes} min ago"
        return Evidence(source=f"event of {self.about}{ago}", text=self.text)


def events_of(cluster: ClusterEvidence, thing: KubeObject) -> tuple[Event, ...]:
    """Return the warnings about an object, newest first."""
    where = namespace_of(thing), name_of(thing)
    found = (e for e in _by_object(cluster).get(where, ()) if _is_same(_about(e), thing))
    return tuple(_event(cluster, each, named(thing)) for each in found)


def _is_same(about: Mapping[str, object], thing: KubeObject) -> bool:
    """Say whether an event's reference can mean this object, not another one of its name."""
    pairs = (
        (about.get("uid"), metadata(thing).get("uid")),
        (about.get("kind"), thing.get("kind")),
    )
    return all(not one or not other or one == other for one, other in pairs)


def _event(cluster: ClusterEvidence, event: KubeObject, about: str) -> Event:
    return Event(
        about=about,
        reason=str(event.get("reason") or ""),
        text=plain(event_text(event)),
        age=cluster.taken - event_time(event, cluster.taken),
    )


@cluster_fact
def _by_object(cluster: ClusterEvidence) -> Mapping[tuple[str, str], Sequence[KubeObject]]:
    found: dict[tuple[str, str], list[KubeObject]] = {}
    for event in sorted(
        optional(cluster, "events"),
        key=lambda each: event_time(each, cluster.taken),
        reverse=True,
    ):
        if event.get("type") == "Warning":
            about = _about(event)
            where = str(about.get("namespace") or "default"), str(about.get("name"))
            found.setdefault(where, []).append(event)
    return found


def _about(event: KubeObject) -> Mapping[str, object]:
    found: Mapping[str, object] = event.get("involvedObject") or event.get("regarding") or {}
    return found
