"""Removes what earlier runs left behind, if it is certain that nobody needs it any more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from pytest_gpu.cluster.api.answers import ApiError
from pytest_gpu.cluster.api.checked import checked_items
from pytest_gpu.cluster.api.namespace import NAMESPACES
from pytest_gpu.cluster.api.pod_trouble import is_over
from pytest_gpu.cluster.api.run_marks import (
    DEADLINE,
    MANAGED_BY,
    OWNER,
    RUN,
    SUITE,
    is_named_for,
    removal,
)
from pytest_gpu.cluster.api.run_objects import RunObjects
from pytest_gpu.cluster.recording.owner import is_dead
from pytest_gpu.evidence import KubeObject
from pytest_gpu.stack.kube.objects import annotations_of, labels_of, name_of, namespace_of, time_of


def sweep(objects: RunObjects, pods: Sequence[KubeObject] | None) -> Iterator[str]:
    """Remove what earlier runs left behind; yield a line for each of these runs.

    ``pods`` are all pods of the cluster, ``None`` if they were not read: if none is an earlier
    run's, nothing is asked for.

    A run is over when its deadline has passed, when the process that was responsible for it is
    gone, or when it has pods and all of them have ended. Objects of other runs are not touched.

    Raises:
        ApiError: the cluster cannot be reached.
    """
    if _is_clean(objects, pods):
        return
    for run, things in _earlier(objects).items():
        own = next((name_of(thing) for kind, thing in things if kind == "namespaces"), "")
        count = f"{len(things)} object{'s' * (len(things) > 1)} of an earlier run ({run})"
        command = removal(own or objects.run.namespace, run, own=bool(own))
        if not _is_over(things):
            yield f"not removed: {count}, which may still be running; if it is not: {command}"
            continue
        try:
            _remove(objects, run, own)
        except ApiError as error:
            if error.status == 0:
                raise
            yield f"could not remove: {count}: {error}; remove it with: {command}"
        else:
            yield f"removed: {count}"


def _is_clean(objects: RunObjects, pods: Sequence[KubeObject] | None) -> bool:
    """Return whether no earlier run left a pod; of namespaces, pods tell nothing."""
    return not (objects.run.own or pods is None or any(_is_others(objects, pod) for pod in pods))


def _is_others(objects: RunObjects, pod: KubeObject) -> bool:
    labels = labels_of(pod)
    ours = labels.get(MANAGED_BY) == SUITE and namespace_of(pod) == objects.run.namespace
    return ours and labels.get(RUN, objects.run.id) != objects.run.id


def _earlier(objects: RunObjects) -> Mapping[str, list[tuple[str, KubeObject]]]:
    """Return the objects of other runs with their kind, by run."""
    found: dict[str, list[tuple[str, KubeObject]]] = {}
    paths = {"pods": objects.path("pods")}
    if objects.run.own:  # a user who may create namespaces may see those of earlier runs
        paths = {"namespaces": NAMESPACES}
    for kind, path in paths.items():
        selector = f"{MANAGED_BY}={SUITE},{RUN},{RUN}!={objects.run.id}"
        try:
            listed = objects.client.get(path, labelSelector=selector)
        except ApiError as error:
            if error.status == 403:  # reported once, with the other rights
                continue
            raise
        for thing in checked_items(kind, listed):
            run = labels_of(thing).get(RUN, "")
            if kind == "pods" or is_named_for(name_of(thing), run):
                found.setdefault(run, []).append((kind, thing))
    return found


def _is_over(things: list[tuple[str, KubeObject]]) -> bool:
    notes = [annotations_of(thing) for _, thing in things]
    if any(is_dead(note.get(OWNER, "")) for note in notes):
        return True
    ends = [time_of(note.get(DEADLINE)) for note in notes]
    if all(end is None or end < datetime.now(UTC) for end in ends):
        return True
    pods = [thing for kind, thing in things if kind == "pods"]
    return bool(pods) and all(map(is_over, pods))


def _remove(objects: RunObjects, run: str, own: str) -> None:
    """Request the removal, without waiting for it."""
    if own:
        objects.client.delete(f"{NAMESPACES}/{own}")
        return
    selector = f"{MANAGED_BY}={SUITE},{RUN}={run}"
    objects.client.delete(objects.path("pods"), labelSelector=selector, gracePeriodSeconds=0)
