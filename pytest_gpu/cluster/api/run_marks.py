"""One run in a cluster: its ID, its namespace, and the labels of everything it creates."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pytest_gpu.cluster.api import namespace
from pytest_gpu.cluster.api.answers import ApiError
from pytest_gpu.cluster.api.client import KubeClient
from pytest_gpu.cluster.recording.owner import this_process
from pytest_gpu.text.shell import command

MANAGED_BY = "app.kubernetes.io/managed-by"
SUITE = "pytest-gpu"
RUN = "pytest-gpu/run"
DEADLINE = "pytest-gpu/deadline"
OWNER = "pytest-gpu/owner"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run in a cluster: where its objects live, how they are marked, when they may be swept.

    ``owner`` names the process that is responsible for them; ``own`` says whether the namespace
    was created for this run and is deleted with it; ``priority`` is the priority class of its
    pods, if there is one.
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
        """The command that removes what this run left behind."""
        return removal(self.namespace, self.id, own=self.own)


def removal(where: str, run: str, *, own: bool) -> str:
    """Return the command that removes what a run left behind."""
    if own:
        return command("kubectl delete namespace {where}", where=where)
    marks = f"{RUN}={run}"
    return command("kubectl delete pods -n {where} -l {marks}", where=where, marks=marks)


def is_named_for(name: str, run: str) -> bool:
    """Return whether a namespace has the name that a run gives to its own one.

    Labels alone do not show it: others may set them on a namespace that is not ours to delete.
    """
    return re.fullmatch("[0-9a-f]{8}", run) is not None and name.endswith(f"-{run}")


def new_run(client: KubeClient, wanted: str, seconds: float, *, create: bool) -> Run:
    """Return a new run whose objects may be swept after ``seconds``.

    It lives in the namespace ``wanted``. If that does not exist, it gets its own namespace,
    provided that this user may create one and that anything is to be created at all.

    Raises:
        ApiError: the API server cannot be reached, or does not know this user.
    """
    ends = datetime.now(UTC) + timedelta(seconds=seconds)
    run = Run(id=secrets.token_hex(4), namespace=wanted, ends=ends, owner=this_process())
    own = create and namespace.is_missing(client, wanted) and namespace.may_make(client, wanted)
    run = replace(run, namespace=f"{wanted}-{run.id}", own=True) if own else run
    return replace(run, priority=_priority(client)) if create else run


def _priority(client: KubeClient) -> str:
    """Return the name of our priority class, empty if it does not exist or may not be read."""
    try:
        found = client.find(f"/apis/scheduling.k8s.io/v1/priorityclasses/{SUITE}")
    except ApiError as error:
        if error.status == 403:
            return ""
        raise
    return SUITE if found else ""


def collection(where: str, kind: str) -> str:
    """Return the API path of all pods or events of a namespace."""
    return f"/api/v1/namespaces/{where}/{kind}"
