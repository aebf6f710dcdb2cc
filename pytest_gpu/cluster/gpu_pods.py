"""The suite's GPU pods on a live cluster: many nodes at the same time."""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from pytest_gpu.cluster.api.answers import ApiError
from pytest_gpu.cluster.api.checked import checked_items
from pytest_gpu.cluster.api.run_objects import RunObjects, delete, wait_for_pods
from pytest_gpu.cluster.daemon_pool import DaemonPool
from pytest_gpu.errors import GpuError, Unproven
from pytest_gpu.evidence import KubeObject
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.kube.nodes import readiness
from pytest_gpu.stack.kube.objects import name_of, object_of, status_of
from pytest_gpu.stack.pods.plan import plan
from pytest_gpu.stack.pods.pod_fate import is_clear, is_over
from pytest_gpu.stack.pods.pod_object import (
    PodPlan,
    gpu_pod,
    is_about,
    packed,
    without_noise,
    without_program,
)
from pytest_gpu.stack.pods.suite_pod import is_report

MODULES = ("cuda", "gpu_check")
"""What runs in the containers; each module needs only those before it."""

PART = "pytest-gpu/part"
"""Label of what one process of a run created: processes clean up after themselves only."""

PRIORITY_CLASS = "pytest-gpu"
"""A low class that preempts nobody, if an administrator created it; otherwise the default."""

EVENTS_EVERY = 5.0
"""Seconds between two checks of the events, while a pod does not start."""

MAX_LOG = 1 << 16
"""Last characters of a container's log that are kept; its report has a few hundred."""

NOT_STARTED = ("StartError", "ContainerCannotRun", "ContainerStatusUnknown")
"""Reasons of containers that ended without ever having run."""

LOST = "somebody removed the suite's pod before it ended"
_NO_CLASS = "no PriorityClass with name"

Outcome = dict[str, Any]


@dataclass(kw_only=True)
class Flight:
    """Pods in flight: their nodes by pod name, which nodes are NotReady, what is known so far."""

    objects: RunObjects
    timeout: float
    part: str = field(default_factory=lambda: secrets.token_hex(4))
    nodes: dict[str, str] = field(default_factory=dict)
    not_ready: set[str] = field(default_factory=set)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    events: Sequence[KubeObject] = ()
    began: float = field(default_factory=time.monotonic)
    looked: float = 0.0
    created: bool = False

    @property
    def selector(self) -> str:
        """The label selector of what this flight created."""
        return f"{self.objects.run.selector},{PART}={self.part}"

    def about(self, pod: KubeObject) -> list[KubeObject]:
        """Return the known events about a pod."""
        return [event for event in self.events if is_about(event, pod)]

    def is_done(self, pod: KubeObject) -> bool:
        """Return whether a pod need not be watched any more."""
        ready = self.nodes.get(name_of(pod)) not in self.not_ready
        return is_clear(pod, self.about(pod), time.monotonic() - self.began, ready=ready)


def try_pods(
    nodes: Sequence[Node],
    objects: RunObjects,
    image: str,
    timeout: float,
) -> Mapping[str, Outcome]:
    """Run a GPU pod on each node; return the outcomes by node, as a recording holds them.

    All start at once; pods that are done wait for the others, at most ``timeout`` seconds. All are
    deleted then; ``left`` says why that was refused.
    """
    flight = Flight(objects=objects, timeout=timeout)
    try:
        _start(flight, nodes, image)
        _watch(flight)
    except GpuError as error:
        for node in nodes:
            flight.outcomes.setdefault(node.name, {"skipped": str(error)})
    finally:
        left = _remove(flight)
    if left:
        flight.outcomes.update(
            {name: {**each, "left": left} for name, each in flight.outcomes.items()}
        )
    return flight.outcomes


def _start(flight: Flight, nodes: Sequence[Node], image: str) -> None:
    run = flight.objects.run.id
    flight.not_ready = {each.name for each in nodes if not readiness(object_of(each)).ready}
    packed_program, plans = program(), []
    for node in nodes:
        try:
            plans.append(plan(node, run, image, packed_program, PRIORITY_CLASS))
        except Unproven as error:
            flight.outcomes[node.name] = {"skipped": str(error)}
    if not plans:
        return
    flight.created = True
    flight.began = time.monotonic()
    first, *others = plans
    without = _create(flight, first)
    with DaemonPool(16, "gpu-pods") as pool:
        pool.map(lambda each: _create(flight, each, without_class=without), others)


def _create(flight: Flight, wanted: PodPlan, *, without_class: bool = False) -> bool:
    """Create a pod; return whether it had to be created without a priority class."""
    body = _marked(flight, gpu_pod(wanted))
    if without_class:
        body["spec"].pop("priorityClassName", None)
    body["spec"]["activeDeadlineSeconds"] = int(flight.timeout) + 60
    try:
        flight.objects.create_pod(body)
        flight.nodes[wanted.name] = wanted.node
    except ApiError as error:
        if _NO_CLASS in str(error) and not without_class:
            return _create(flight, wanted, without_class=True)
        told = {"skipped": str(error)} if error.status == 0 else {"rejected": str(error)}
        flight.outcomes[wanted.node] = (
            told if "skipped" in told else {"pod": without_program(body), **told}
        )
    return without_class


def _marked(flight: Flight, body: dict[str, Any]) -> dict[str, Any]:
    labels = {**body["metadata"]["labels"], PART: flight.part}
    return {**body, "metadata": {**body["metadata"], "labels": labels}}


def program() -> str:
    """Return what the containers run, as one word of their commands."""
    folder = files("pytest_gpu.probe")
    return packed({name: (folder / f"{name}.py").read_text("utf-8") for name in MODULES})


def _watch(flight: Flight) -> None:
    """Wait for all pods, then note what became of each."""
    if not flight.nodes:
        return
    seen = wait_for_pods(
        flight.objects,
        tuple(flight.nodes),
        flight.is_done,
        flight.timeout,
        lambda known: _look_at_events(flight, known.values()),
    )
    if not all(map(is_over, seen.values())):
        flight.events = _events(flight)
    for name, node in flight.nodes.items():
        flight.outcomes[node] = _outcome(flight, seen[name]) if name in seen else {"skipped": LOST}


def _look_at_events(flight: Flight, pods: Collection[KubeObject]) -> None:
    """Read the events now and then while there are pods that do not start."""
    now = time.monotonic()
    since = now - max(flight.looked, flight.began)
    if since < EVENTS_EVERY or all(map(flight.is_done, pods)):
        return
    flight.looked = now
    flight.events = _events(flight)


def _events(flight: Flight) -> Sequence[KubeObject]:
    try:
        listed = flight.objects.client.get(
            flight.objects.path("events"), fieldSelector="involvedObject.kind=Pod"
        )
    except ApiError as error:
        if error.status != 403:
            raise
        return ()
    events = checked_items("events", listed)
    return [{"apiVersion": "v1", "kind": "Event", **event} for event in events]


def _outcome(flight: Flight, pod: KubeObject) -> Outcome:
    statuses = status_of(pod).get("containerStatuses") or ()
    told = {
        str(status["name"]): _told(flight, pod, status) for status in statuses if "name" in status
    }
    return {
        "pod": without_program(without_noise(pod)),
        "events": [without_noise(event) for event in flight.about(pod)],
        "containers": {name: report for name, report in told.items() if report is not None},
    }


def _told(flight: Flight, pod: KubeObject, status: Mapping[str, Any]) -> Outcome | None:
    """Return how a container ended and what it reported, ``None`` if it never ran.

    Its report is also in its status; its log is read only if that is truncated or the container
    still hangs.
    """
    state = status.get("state") or {}
    ended = state.get("terminated")
    if ended is None and "running" not in state:
        return None
    if ended is not None and ended.get("reason") in NOT_STARTED:
        return None
    message = str((ended or {}).get("message") or "")[-MAX_LOG:]
    output = message if is_report(message) else _log(flight, pod, str(status["name"]))
    return {"exit": int((ended or {}).get("exitCode") or 0), "output": output}


def _log(flight: Flight, pod: KubeObject, container: str) -> str:
    path = f"{flight.objects.path('pods')}/{name_of(pod)}/log"
    try:
        return flight.objects.client.text(path, container=container, tailLines=20)[-MAX_LOG:]
    except ApiError as error:
        return f"the log cannot be read: {error}"


def _remove(flight: Flight) -> list[str]:
    """Delete what this flight created, without waiting; return why that was refused."""
    run = flight.objects.run
    try:
        if flight.created:
            delete(flight.objects.client, run.namespace, flight.selector)
    except ApiError as error:
        return [f"objects of the suite's GPU pods: {error}; remove them with: {run.removal}"]
    return []
