"""Everything that a run creates in a cluster: labelled, with a deadline, removed by collection.

Pods of one namespace, and nothing else; each carries the run's ID.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from pytest_gpu.cluster.api import namespace
from pytest_gpu.cluster.api.answers import ApiError
from pytest_gpu.cluster.api.checked import checked_items
from pytest_gpu.cluster.api.client import KubeClient
from pytest_gpu.cluster.api.run_marks import Run, collection
from pytest_gpu.cluster.api.watching import states
from pytest_gpu.cluster.gate import Gate
from pytest_gpu.evidence import KubeObject
from pytest_gpu.stack.kube.objects import metadata, name_of

REMOVAL_TIME = 60.0
"""Seconds within which what was created must be gone."""


class RunObjects:
    """Creates the objects of a run and removes them; may be used from many threads.

    ``creating`` are the requests in progress that create a pod.
    """

    def __init__(self, client: KubeClient, run: Run) -> None:
        self.client = client
        self.run = run
        self.creating = Gate()

    def prepare(self) -> None:
        """Create the namespace, if the run has one of its own.

        Raises:
            ApiError: the API server refused it.
        """
        if self.run.own:
            namespace.make(self.client, self.run.namespace, self.run.marks({}))

    def create_pod(self, body: Mapping[str, Any]) -> KubeObject:
        """Create a pod; it ends by itself when the run's time is over.

        Raises:
            ApiError: the API server refused it: a right, an admission policy, a quota.
            GpuError: the run is ending.
        """
        marked = self.run.marked(body)
        added: dict[str, Any] = {"activeDeadlineSeconds": self.run.seconds_left}
        if self.run.priority:
            added["priorityClassName"] = self.run.priority
        marked["spec"] = {**added, **marked["spec"]}
        with self.creating.inside():
            created: KubeObject = self.client.create(self.path("pods"), marked)
        return created

    def path(self, kind: str) -> str:
        """Return the API path of a collection in the run's namespace."""
        return collection(self.run.namespace, kind)

    def remove_all(
        self, within: float = REMOVAL_TIME, tell: Callable[[str], None] = lambda text: None
    ) -> tuple[str, ...]:
        """Remove everything of this run and wait until it is gone; no more can be created.

        Args:
            within: seconds.
            tell: called with what is left, now and then.

        Returns:
            What is still there, as ``pods/NAME``; empty when all is gone.

        Raises:
            ApiError: the API server refused it, or cannot be reached.
        """
        deadline = time.monotonic() + within
        is_quiet = self.creating.shut()
        left = self._remove_pods(deadline, tell)
        if not is_quiet:  # a request in flight at Ctrl-C, whose pod may not have been there yet
            self.creating.shut(deadline - time.monotonic())
            left = self._remove_pods(deadline, tell)
        if self.run.own and not namespace.remove(self.client, self.run.namespace, within):
            return (*left, f"namespaces/{self.run.namespace}")
        return left

    def _remove_pods(self, deadline: float, tell: Callable[[str], None]) -> tuple[str, ...]:
        within = deadline - time.monotonic()
        return remove(self.client, self.run.namespace, self.run.selector, within, tell)


def remove(
    client: KubeClient,
    where: str,
    selector: str,
    within: float,
    tell: Callable[[str], None] = lambda text: None,
) -> tuple[str, ...]:
    """Remove pods by a label selector, and wait until they are gone.

    Returns:
        What is still there after ``within`` seconds, as ``pods/NAME``.

    Raises:
        ApiError: the API server refused it, or cannot be reached.
    """
    deadline = time.monotonic() + within
    delete(client, where, selector)
    return tuple(f"pods/{name}" for name in _remaining(client, where, selector, deadline, tell))


def delete(client: KubeClient, where: str, selector: str) -> None:
    """Delete pods by a label selector, or one by one if only that is allowed; wait for nothing.

    Raises:
        ApiError: the API server refused it, or cannot be reached.
    """
    path = collection(where, "pods")
    try:
        client.delete(path, labelSelector=selector, gracePeriodSeconds=0)
    except ApiError as error:
        if error.status != 403:
            raise
        for thing in checked_items("pods", client.get(path, labelSelector=selector)):
            try:
                client.delete(f"{path}/{name_of(thing)}", gracePeriodSeconds=0)
            except ApiError:
                raise error from None  # the missing right is the one for the collection


def _remaining(
    client: KubeClient, where: str, selector: str, deadline: float, tell: Callable[[str], None]
) -> Sequence[str]:
    left: Sequence[str] = ()
    for known in states(client, collection(where, "pods"), selector, deadline):
        left = sorted(known)
        if not left:
            break
        if any("deletionTimestamp" not in metadata(thing) for thing in known.values()):
            # It was created after the collection was deleted: a request in flight at Ctrl-C.
            delete(client, where, selector)
        tell(f"{len(left)} pods left")
    return left


def wait_for_pods(
    objects: RunObjects,
    names: Collection[str],
    done: Callable[[KubeObject], bool],
    within: float,
    tell: Callable[[Mapping[str, KubeObject]], None] = lambda seen: None,
) -> dict[str, KubeObject]:
    """Watch pods of this run until each is done or the time is over.

    Args:
        objects: the run.
        names: the pods to wait for.
        done: whether a pod, in its present state, need not be watched any more.
        within: seconds.
        tell: called with the state of every pod, now, after each change and every few seconds.

    Returns:
        The last state seen of each pod by name; one that is missing does not exist.

    Raises:
        ApiError: the API server refused it, or cannot be reached.
    """
    deadline, seen = time.monotonic() + within, dict[str, KubeObject]()
    for known in states(objects.client, objects.path("pods"), objects.run.selector, deadline):
        seen = {name: known[name] for name in names if name in known}
        tell(seen)
        # A pod that is gone does not come back.
        if all(map(done, seen.values())):
            break
    return seen
