"""Warnings about an object, whatever their age: they explain, and prove nothing by themselves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from pytest_gpu.causes import Evidence
from pytest_gpu.evidence import ClusterEvidence, KubeObject
from pytest_gpu.stack.kube.events import FRESH, event_text, event_time, events_about
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
    warnings = (e for e in events_about(cluster, thing) if e.get("type") == "Warning")
    return tuple(_event(cluster, each, named(thing)) for each in warnings)


def _event(cluster: ClusterEvidence, event: KubeObject, about: str) -> Event:
    return Event(
        about=about,
        reason=str(event.get("reason") or ""),
        text=plain(event_text(event)),
        age=cluster.taken - event_time(event, cluster.taken),
    )
