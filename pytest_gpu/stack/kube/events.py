"""Recent events. Old events are not evidence, because their reason may be fixed."""

from __future__ import annotations

from datetime import datetime, timedelta

from pytest_gpu.evidence import ClusterEvidence, KubeObject
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
    found = [e for e in optional(cluster, "events") if _is_about(e, thing)]
    fresh = [e for e in found if cluster.taken - event_time(e, cluster.taken) <= FRESH]
    return tuple(sorted(fresh, key=lambda e: event_time(e, cluster.taken), reverse=True))


def _is_about(event: KubeObject, thing: KubeObject) -> bool:
    about = event.get("involvedObject") or event.get("regarding") or {}
    uid = metadata(thing).get("uid")
    if uid and about.get("uid") and about["uid"] != uid:
        return False
    same = about.get("name") == name_of(thing)
    return same and (about.get("namespace") or "default") == namespace_of(thing)


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
