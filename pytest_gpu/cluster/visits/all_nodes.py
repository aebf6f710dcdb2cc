"""All nodes of a cluster visited at once, each through one pod, or over ssh."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass, field

from pytest_gpu.cluster.api import pod_trouble
from pytest_gpu.cluster.api.answers import ApiError
from pytest_gpu.cluster.api.checked import checked_items
from pytest_gpu.cluster.api.run_objects import RunObjects, wait_for_pods
from pytest_gpu.cluster.api.slow_waits import Progress, summed_up
from pytest_gpu.cluster.daemon_pool import DaemonPool
from pytest_gpu.cluster.recording.recorder import Recorder
from pytest_gpu.cluster.visits.pod_line import open_line
from pytest_gpu.cluster.visits.seen import SeenNode
from pytest_gpu.cluster.visits.visit import Stream, drive
from pytest_gpu.cluster.visits.visit_pod import visit_pod, visit_pod_name
from pytest_gpu.errors import GpuError
from pytest_gpu.evidence import ClusterEvidence, Door, KubeObject
from pytest_gpu.stack.kube.nodes import readiness
from pytest_gpu.stack.kube.objects import name_of
from pytest_gpu.stack.pods.pod_fate import is_given_up

NO_IMAGE_TIME = 20.0
"""Seconds from the first failed pull: the kubelet tries a second time in between."""

NO_SANDBOX_TIME = 30.0
"""Seconds after which the suite gives up on a pod whose sandbox fails again and again."""

EVENTS_TIME = 10.0
"""Seconds between two checks of the events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How nodes are visited: ``image`` for the pods, ``timeout`` seconds for each wait."""

    image: str
    timeout: float
    parallel: int


@dataclass(kw_only=True, eq=False)
class Visits:
    """One round of visits to many nodes; the evidence goes to ``recorder``, node by node."""

    objects: RunObjects
    cluster: ClusterEvidence
    recorder: Recorder
    plan: Plan
    write: Callable[[str], None]
    states: dict[str, str] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    _streams: set[Stream] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def by_pod(self, nodes: Sequence[KubeObject]) -> None:
        """Visit nodes through pods; every node gets a door, or none with a reason.

        Raises:
            ApiError: the cluster can no longer be reached.
        """
        try:
            with DaemonPool(self.plan.parallel, "gpu-visit") as pool:
                _PodVisits(self, pool, nodes).run()
        except ApiError as error:
            if error.status == 0:
                raise
            for name in [name for name, state in self.states.items() if state != "done"]:
                self.no_door(name, str(error))
        finally:
            self.hang_up()

    def hang_up(self) -> None:
        """Close the lines of visits that go on: after Ctrl-C the run does not wait for nodes."""
        for stream in tuple(self._streams):
            with suppress(OSError):
                stream.close()

    def no_door(self, name: str, reason: str) -> None:
        """Note that a node could not be visited, and why."""
        SeenNode(name, Door(kind="none", reason=reason)).save(self.recorder.node(name))
        self.states[name] = "done"
        self.lost.append(name)

    def look(self, name: str, kind: str, connect: Callable[[], Stream]) -> None:
        """Visit one node over a line; the answers go to the recorder.

        Raises:
            GpuError: there is no line.
        """
        self.states[name] = "looking"
        stream = connect()
        with self._lock:
            self._streams.add(stream)
        try:
            node = SeenNode(name, Door(kind=kind))
            drive(stream, node, self.cluster, self.plan.timeout)
            node.save(self.recorder.node(name))
            self.states[name] = "done"
        finally:
            with self._lock:
                self._streams.discard(stream)
            stream.close()


class _PodVisits:
    """The pods of one round, from their creation to the end of each visit."""

    def __init__(self, visits: Visits, pool: DaemonPool, nodes: Sequence[KubeObject]) -> None:
        self.visits = visits
        self.objects = visits.objects
        self.pool = pool
        self.nodes = {name_of(node): node for node in nodes}
        run = self.objects.run.id
        self.node_of = {visit_pod_name(name, run): name for name in self.nodes}
        self.jobs: dict[str, Future[None]] = {}
        self.began = time.monotonic()
        self.no_image: dict[str, float] = {}
        self.told_image = False
        self.asked, self.events = self.began, tuple[KubeObject, ...]()
        count = "1 node" if len(nodes) == 1 else f"{len(nodes)} nodes"
        self.told = Progress(visits.write, f"visiting {count}")

    def run(self) -> None:
        """Create, wait, visit."""
        self.visits.states |= dict.fromkeys(self.nodes, "creating a pod")
        created = [self.pool.submit(self._create, name) for name in self.nodes]
        self._join(created)
        waiting = [pod for pod, name in self.node_of.items() if not self._is_done(name)]
        if waiting:
            last = wait_for_pods(
                self.objects, waiting, self._is_decided, self.visits.plan.timeout, self._tell
            )
            self._give_up(waiting, last)
        self._join(list(self.jobs.values()))
        self.told.end(summed_up(self.visits.states))

    def _create(self, name: str) -> None:
        try:
            body = visit_pod(name, self.objects.run.id, self.visits.plan.image)
            self.objects.create_pod(body)
        except ApiError as error:
            if error.status == 0:
                raise
            self.visits.no_door(name, f"the API server refused the pod: {error}")

    def _join(self, jobs: Sequence[Future[None]]) -> None:
        left = set(jobs)
        while left:
            done, left = wait(left, timeout=1.0)
            for job in done:
                job.result()
            self.told.now(summed_up(self.visits.states))

    def _tell(self, seen: Mapping[str, KubeObject]) -> None:
        """Start the visit of each pod that runs now; report the progress of the others."""
        self._tell_image(seen)
        for pod, thing in seen.items():
            name = self.node_of[pod]
            if pod_trouble.is_up(thing) and name not in self.jobs:
                self.jobs[name] = self.pool.submit(self._visit, name, pod)
            elif name not in self.jobs and not self._is_done(name):
                self.visits.states[name] = pod_trouble.doing(thing)
        self.told.now(summed_up(self.visits.states))

    def _is_done(self, name: str) -> bool:
        return self.visits.states[name] == "done"

    def _is_decided(self, pod: KubeObject) -> bool:
        """Return whether a pod runs, or need not be waited for any longer."""
        if pod_trouble.is_up(pod) or pod_trouble.is_over(pod):
            return True
        reason, waited = pod_trouble.waits_for(pod), time.monotonic() - self.began
        node = self.nodes[self.node_of[name_of(pod)]]
        if reason in pod_trouble.HOPELESS:
            return True
        if reason in pod_trouble.NO_IMAGE:
            first = self.no_image.setdefault(name_of(pod), time.monotonic())
            return time.monotonic() - first > NO_IMAGE_TIME
        if is_given_up(pod, waited, ready=readiness(node).ready):
            return True
        return waited > NO_SANDBOX_TIME and self._has_no_sandbox(pod)

    def _has_no_sandbox(self, pod: KubeObject) -> bool:
        """Return whether the newest event of a pod is that its sandbox cannot be created."""
        if time.monotonic() - self.asked > EVENTS_TIME:
            self.asked, self.events = time.monotonic(), self._events()
        about = [
            e for e in self.events if (e.get("involvedObject") or {}).get("name") == name_of(pod)
        ]
        return bool(about) and about[-1].get("reason") in pod_trouble.NO_SANDBOX

    def _give_up(self, waiting: Sequence[str], last: Mapping[str, KubeObject]) -> None:
        """Note why pods do not run."""
        lost = [pod for pod in waiting if self.node_of[pod] not in self.jobs]
        events = self._events() if lost else ()
        waited = time.monotonic() - self.began
        for pod in lost:
            image = self.visits.plan.image
            why = pod_trouble.why_late(last.get(pod), events, image, waited)
            self.visits.no_door(self.node_of[pod], why)

    def _tell_image(self, seen: Mapping[str, KubeObject]) -> None:
        """Tell of the first node without the image at once: the kubelet tries again for a while."""
        lacks = next((pod for pod in seen.values() if pod_trouble.lacks_image(pod)), None)
        if lacks is not None and not self.told_image:
            self.told_image = True
            name = self.node_of[name_of(lacks)]
            why = pod_trouble.no_image(lacks, (), self.visits.plan.image)
            self.visits.write(f"gpu: {name}: {why}")

    def _events(self) -> tuple[KubeObject, ...]:
        try:
            listed = self.objects.client.get(self.objects.path("events"))
            events = checked_items("events", listed)
        except ApiError:
            return ()  # events only explain; without them the status must do
        return tuple(sorted(events, key=lambda event: str(event.get("lastTimestamp") or "")))

    def _visit(self, name: str, pod: str) -> None:
        try:
            self.visits.look(name, "pod", lambda: open_line(self.objects, pod))
        except GpuError as error:
            self.visits.no_door(name, f"the pod runs, but the probe in it does not answer: {error}")
