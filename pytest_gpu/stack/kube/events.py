"""Events about an object. Old events are not evidence, because their reason may be fixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from pytest_gpu.evidence import ClusterEvidence, KubeObject
from pytest_gpu.gpu_node import cluster_fact
from pytest_gpu.stack.kube.objects import metadata, name_of, namespace_of, optional, time_of
from pytest_gpu.stack.kube.pod_state import messages

FRESH = timedelta(minutes=15)
"""The greatest age of an event that can explain the current state.

The kubelet keeps retrying a failing start; its event recorder passes each series at least every
five minutes. An event older than three such intervals is outdated.
"""


def fresh_events(cluster: ClusterEvidence, thing: KubeObject) -> tuple[KubeObject, ...]:
    """Return the recent events about an object, newest first.

    Old events are not evidence: their reason may be fixed.
    """
    found = events_about(cluster, thing)
    return tuple(e for e in found if cluster.taken - event_time(e, cluster.taken) <= FRESH)


def events_about(cluster: ClusterEvidence, thing: KubeObject) -> tuple[KubeObject, ...]:
    """Return the events about an object, whatever their age, newest first."""
    where = namespace_of(thing), name_of(thing)
    found = _by_object(cluster).get(where, ())
    return tuple(each for each in found if _is_same(subject(each), thing))


def _is_same(about: Mapping[str, object], thing: KubeObject) -> bool:
    """Say whether an event's reference can mean this object, not another one of its name."""
    pairs = (
        (about.get("uid"), metadata(thing).get("uid")),
        (about.get("kind"), thing.get("kind")),
    )
    return all(not one or not other or one == other for one, other in pairs)


@cluster_fact
def _by_object(cluster: ClusterEvidence) -> Mapping[tuple[str, str], Sequence[KubeObject]]:
    """Return all events, newest first, by namespace and name of what they are about."""
    found: dict[tuple[str, str], list[KubeObject]] = {}
    events = optional(cluster, "events")
    for event in sorted(events, key=lambda e: event_time(e, cluster.taken), reverse=True):
        about = subject(event)
        where = str(about.get("namespace") or "default"), str(about.get("name"))
        found.setdefault(where, []).append(event)
    return found


def subject(event: KubeObject) -> Mapping[str, object]:
    """Return the reference to what an event is about."""
    found: Mapping[str, object] = event.get("involvedObject") or event.get("regarding") or {}
    return found


def event_time(event: KubeObject, taken: datetime) -> datetime:
    """Return when an event was last seen; an event without a time counts as old."""
    series = event.get("series") or {}
    candidates = (
        series.get("lastObservedTime"),
        event.get("lastTimestamp"),
        event.get("deprecatedLastTimestamp"),
        event.get("eventTime"),
        event.get("firstTimestamp"),
    )
    times = (time_of(value) for value in candidates)
    return next((time for time in times if time), taken - 2 * FRESH)


def event_text(event: KubeObject) -> str:
    """Return an event's reason and message."""
    text = event.get("message") or event.get("note") or ""
    return f"{event.get('reason', '')}: {' '.join(str(text).split())}"


def why(cluster: ClusterEvidence, pod: KubeObject) -> str:
    """Return the best single line about why a pod is not running, ``""`` if there is none."""
    warnings = (e for e in fresh_events(cluster, pod) if e.get("type") == "Warning")
    if event := next(warnings, None):
        return event_text(event)
    return next((" ".join(text.split()) for _, text in messages(pod)), "")
