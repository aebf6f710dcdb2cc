"""All that a run creates in a cluster: labelled, with a deadline, removed by collection.

Pods and ConfigMaps of one namespace, and nothing else; each carries the run's ID.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pytest_gpu.cluster import namespace
from pytest_gpu.cluster.kube_client import ApiError, KubeClient
from pytest_gpu.cluster.owner import this_process
from pytest_gpu.evidence import KubeObject
from pytest_gpu.kube.objects import metadata, name_of

MANAGED_BY = "app.kubernetes.io/managed-by"
SUITE = "pytest-gpu"
RUN = "pytest-gpu/run"
DEADLINE = "pytest-gpu/deadline"
OWNER = "pytest-gpu/owner"

KINDS = ("pods", "configmaps")
"""What a run creates, as the API's paths name it."""

REMOVAL_TIME = 60.0
"""Seconds within which what was created must be gone."""

WATCH_TIME = 5
"""Seconds of one watch: so often it is looked whether waiting still makes sense."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run in a cluster: where its objects live, what marks them, and when they may be swept.

    ``owner`` names the process that answers for them; ``own`` says whether the namespace was made
    for this run and goes with it; ``priority`` is the priority class of its pods, if there is one.
    """

    id: str
    namespace: str
    ends: datetime
    owner: str
    own: bool = False
    priority: str = ""

    @property
    def selector(self) -> str:
        """The label selector of everything that this run created."""
        return f"{MANAGED_BY}={SUITE},{RUN}={self.id}"

    @property
    def seconds_left(self) -> int:
        """Seconds until the objects of this run may be swept, at least one."""
        return max(1, int((self.ends - datetime.now(UTC)).total_seconds()))

    def marks(self, head: Mapping[str, Any]) -> dict[str, Any]:
        """Return an object's metadata with the run's labels and its deadline."""
        labels = {**(head.get("labels") or {}), MANAGED_BY: SUITE, RUN: self.id}
        notes = {DEADLINE: self.ends.strftime("%Y-%m-%dT%H:%M:%SZ"), OWNER: self.owner}
        annotations = {**(head.get("annotations") or {}), **notes}
        return {**head, "labels": labels, "annotations": annotations}

    def marked(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return an object as this run creates it, in its namespace."""
        head = self.marks(body.get("metadata") or {})
        return {**body, "metadata": {**head, "namespace": self.namespace}}

    @property
    def removal(self) -> str:
        """The command that removes by hand whatever this run left."""
        return removal(self.namespace, self.id, own=self.own)


def removal(where: str, run: str, *, own: bool) -> str:
    """Return the command that removes by hand what a run left."""
    if own:
        return f"kubectl delete namespace {where}"
    return f"kubectl delete {','.join(KINDS)} -n {where} -l {RUN}={run}"


def new_run(client: KubeClient, wanted: str, seconds: float, *, create: bool) -> Run:
    """Return a new run whose objects may be swept after ``seconds``.

    It lives in the namespace ``wanted``; where that does not exist, in one of its own, if this user
    may make one and if anything is to be created at all.

    Raises:
        ApiError: the API server cannot be reached, or does not know who asks.
    """
    ends = datetime.now(UTC) + timedelta(seconds=seconds)
    run = Run(id=secrets.token_hex(4), namespace=wanted, ends=ends, owner=this_process())
    own = create and namespace.is_missing(client, wanted) and namespace.may_make(client)
    run = replace(run, namespace=f"{wanted}-{run.id}", own=True) if own else run
    return replace(run, priority=_priority(client)) if create else run


def _priority(client: KubeClient) -> str:
    """Return the name of our priority class, empty where it is not there or may not be seen."""
    try:
        found = client.find(f"/apis/scheduling.k8s.io/v1/priorityclasses/{SUITE}")
    except ApiError as error:
        if error.status == 403:
            return ""
        raise
    return SUITE if found else ""


class RunObjects:
    """Creates the objects of a run and removes them; may be used from many threads."""

    def __init__(self, client: KubeClient, run: Run) -> None:
        self.client = client
        self.run = run

    def prepare(self) -> None:
        """Make the namespace, where the run has one of its own.

        Raises:
            ApiError: the API server refused it.
        """
        if self.run.own:
            namespace.make(self.client, self.run.namespace, self.run.marks({}))

    def create_pod(self, body: Mapping[str, Any]) -> KubeObject:
        """Create a pod; it ends by itself when the run's time is over.

        Raises:
            ApiError: the API server refused it: a right, an admission policy, a quota.
        """
        marked = self.run.marked(body)
        added: dict[str, Any] = {"activeDeadlineSeconds": self.run.seconds_left}
        if self.run.priority:
            added["priorityClassName"] = self.run.priority
        marked["spec"] = {**added, **marked["spec"]}
        return self._create("pods", marked)

    def create_config_map(self, body: Mapping[str, Any]) -> KubeObject:
        """Create a ConfigMap.

        Raises:
            ApiError: the API server refused it.
        """
        return self._create("configmaps", self.run.marked(body))

    def delete_pod(self, name: str) -> None:
        """Delete one pod before the run ends: its GPU is needed by others.

        Raises:
            ApiError: the API server refused it.
        """
        self.client.delete(f"{self.path('pods')}/{name}", gracePeriodSeconds=0)

    def path(self, kind: str) -> str:
        """Return the API's path of a collection in the run's namespace."""
        return collection(self.run.namespace, kind)

    def remove_all(
        self, within: float = REMOVAL_TIME, tell: Callable[[str], None] = lambda text: None
    ) -> tuple[str, ...]:
        """Remove everything of this run and wait until it is gone.

        Args:
            within: seconds.
            tell: called with what is left, now and then.

        Returns:
            What is still there, as ``pods/NAME``; empty when all is gone.

        Raises:
            ApiError: the API server refused it, or cannot be reached.
        """
        left = remove(self.client, self.run.namespace, self.run.selector, within, tell)
        if self.run.own and not namespace.remove(self.client, self.run.namespace, within):
            return (*left, f"namespaces/{self.run.namespace}")
        return left

    def _create(self, kind: str, body: Mapping[str, Any]) -> KubeObject:
        created: KubeObject = self.client.create(self.path(kind), body)
        return created


def collection(where: str, kind: str) -> str:
    """Return the API's path of all pods or ConfigMaps of a namespace."""
    return f"/api/v1/namespaces/{where}/{kind}"


def remove(
    client: KubeClient,
    where: str,
    selector: str,
    within: float,
    tell: Callable[[str], None] = lambda text: None,
) -> tuple[str, ...]:
    """Remove pods and ConfigMaps by a label selector, wait until they are gone.

    Returns:
        What is still there after ``within`` seconds, as ``pods/NAME``.

    Raises:
        ApiError: the API server refused it, or cannot be reached.
    """
    deadline = time.monotonic() + within
    for kind in KINDS:
        _delete(client, collection(where, kind), selector)
    return tuple(
        f"{kind}/{name}"
        for kind in KINDS
        for name in _remaining(client, collection(where, kind), selector, deadline, tell)
    )


def _delete(client: KubeClient, path: str, selector: str) -> None:
    """Delete a collection; whoever may only delete single objects does that."""
    try:
        client.delete(path, labelSelector=selector, gracePeriodSeconds=0)
    except ApiError as error:
        if error.status != 403:
            raise
        for thing in client.get(path, labelSelector=selector).get("items") or ():
            try:
                client.delete(f"{path}/{name_of(thing)}", gracePeriodSeconds=0)
            except ApiError:
                raise error from None  # the right that is missing is that of the collection


def _remaining(
    client: KubeClient, path: str, selector: str, deadline: float, tell: Callable[[str], None]
) -> Sequence[str]:
    left: Sequence[str] = ()
    for known in states(client, path, selector, deadline):
        left = sorted(known)
        if not left:
            break
        if any("deletionTimestamp" not in metadata(thing) for thing in known.values()):
            # It came after the collection was deleted: the request was on its way at Ctrl-C.
            _delete(client, path, selector)
        tell(f"{len(left)} {path.rpartition('/')[2]} left")
    return left


def wait_for_pods(
    objects: RunObjects,
    names: Collection[str],
    done: Callable[[KubeObject], bool],
    within: float,
    tell: Callable[[Mapping[str, KubeObject]], None] = lambda seen: None,
) -> dict[str, KubeObject]:
    """Watch pods of this run until each is done, or the time is over.

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
        # A pod that is not there any more does not come back.
        if all(map(done, seen.values())):
            break
    return seen


def states(
    client: KubeClient, path: str, selector: str, deadline: float
) -> Iterator[Mapping[str, KubeObject]]:
    """Yield the objects of a collection by name: now, after each change, and every few seconds.

    Ends at ``deadline`` (of time.monotonic). Without the right to watch, it lists every second.

    Raises:
        ApiError: the API server refused to list, or cannot be reached.
    """
    while True:
        listed = client.get(path, labelSelector=selector)
        known = {name_of(each): each for each in listed.get("items") or ()}
        yield known
        left = deadline - time.monotonic()
        if left <= 0:
            return
        seconds = max(1, min(WATCH_TIME, int(left)))
        version = (listed.get("metadata") or {}).get("resourceVersion", "")
        for event in _events(client, path, selector, version, seconds):
            known.pop(name_of(event["object"]), None)
            if event["type"] != "DELETED":
                known[name_of(event["object"])] = event["object"]
            yield known
            if time.monotonic() >= deadline:
                return


def _events(
    client: KubeClient, path: str, selector: str, version: str, seconds: int
) -> Iterator[Mapping[str, Any]]:
    asked: dict[str, str | int | bool] = {"labelSelector": selector, "resourceVersion": version}
    try:
        for event in client.watch(path, seconds, **asked):
            if event["type"] == "ERROR":  # the version is too old: list again
                return
            yield event
    except ApiError as error:
        # A broken line is no reason to give up before the deadline; whoever may not watch lists.
        if error.status not in (0, 403, 410):
            raise
        time.sleep(1.0)
