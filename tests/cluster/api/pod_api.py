"""An API server for pods in memory: what becomes of each pod is a script, one state a watch event.

Satisfies what ``pytest_gpu.cluster.api.client.KubeClient`` offers, as far as GPU pods need it.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pytest_gpu.cluster.api.answers import ApiError
from pytest_gpu.cluster.api.run_marks import Run
from pytest_gpu.cluster.api.run_objects import RunObjects

Object = dict[str, Any]
Script = Sequence[Object]

REPORT = {
    "gpu": {
        "devices": ["/dev/nvidia0", "/dev/nvidiactl"],
        "libraries": [],
        "visible": "void",
        "cuda": {"init": 0, "count": 1, "compute": "ok"},
    },
    "none": {"devices": [], "libraries": [], "visible": None, "cuda": None},
}


def ended(name: str, message: str | None = None, code: int = 0, reason: str = "") -> Object:
    """Return the status of a container that ended; what it told is its report if not given."""
    text = json.dumps(REPORT[name]) if message is None else message
    why = reason or ("Error" if code else "Completed")
    state = {"exitCode": code, "reason": why, "message": text, "startedAt": "2026-11-21T10:00:00Z"}
    return {"name": name, "state": {"terminated": state}}


def waits(name: str, reason: str) -> Object:
    """Return the status of a container that waits."""
    return {"name": name, "state": {"waiting": {"reason": reason, "message": reason}}}


DONE: Object = {"phase": "Succeeded", "containerStatuses": [ended("gpu"), ended("none")]}
CREATING: Object = {
    "phase": "Pending",
    "containerStatuses": [waits("gpu", "ContainerCreating"), waits("none", "ContainerCreating")],
}
HEALTHY: Script = ({"phase": "Pending"}, CREATING, DONE)


@dataclass(kw_only=True)
class PodApi:
    """The API server.

    ``scripts`` are the statuses that the pod of a node goes through, ``events`` those about it;
    ``refuse`` says which objects are refused, with ``status``, and ``logs`` is what containers
    printed.
    """

    scripts: dict[str, Script] = field(default_factory=dict)
    events: dict[str, list[Object]] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    refuse: Callable[[Object], str | None] = lambda body: None
    status: int = 403
    stuck: bool = False
    calls: list[tuple[str, str]] = field(default_factory=list)
    pods: dict[str, Object] = field(default_factory=dict)
    created: list[Object] = field(default_factory=list)
    _steps: dict[str, int] = field(default_factory=dict)

    def objects(self) -> RunObjects:
        """Return a run in this cluster."""
        ends = datetime.now(UTC) + timedelta(seconds=600)
        run = Run(id="ab12cd34", namespace="pytest-gpu", ends=ends, owner="here.1.2")
        client: Any = self
        return RunObjects(client, run)

    def create(self, path: str, body: Mapping[str, Any]) -> Object:
        """Create an object."""
        self.calls.append(("POST", path))
        made = copy.deepcopy(dict(body))
        if why := self.refuse(made):
            raise ApiError(self.status, "Forbidden", why)
        self.created.append(made)
        made["metadata"]["uid"] = f"uid-{len(self.pods)}"
        made["status"] = dict(self._script(made)[0])
        self.pods[made["metadata"]["name"]] = made
        return made

    def get(self, path: str, **_: object) -> Object:
        """List a collection."""
        self.calls.append(("GET", path))
        if path.endswith("/events"):
            return {"items": [event for pod in self.pods.values() for event in self._about(pod)]}
        return {"items": list(self.pods.values()), "metadata": {"resourceVersion": "1"}}

    def watch(self, path: str, seconds: int, **_: object) -> Iterator[Object]:
        """Move every pod one state on, until none has another."""
        self.calls.append(("WATCH", path))
        while moved := [pod for pod in self.pods.values() if self._move(pod)]:
            for pod in moved:
                yield {"type": "MODIFIED", "object": copy.deepcopy(pod)}

    def delete(self, path: str, **_: object) -> None:
        """Delete a collection."""
        self.calls.append(("DELETE", path))
        if not self.stuck:
            self.pods.clear()

    def text(self, path: str, **query: Any) -> str:
        """Return a container's log."""
        self.calls.append(("LOG", path))
        return self.logs.get(str(query["container"]), "")

    def _script(self, pod: Object) -> Script:
        terms = pod["spec"]["affinity"]["nodeAffinity"]
        needed = terms["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        return self.scripts.get(needed[0]["matchFields"][0]["values"][0], HEALTHY)

    def _about(self, pod: Object) -> Iterator[Object]:
        terms = pod["spec"]["affinity"]["nodeAffinity"]
        needed = terms["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        for event in self.events.get(needed[0]["matchFields"][0]["values"][0], ()):
            about = {"kind": "Pod", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
            yield {"metadata": {"name": "e"}, **event, "involvedObject": about}

    def _move(self, pod: Object) -> bool:
        name, script = pod["metadata"]["name"], self._script(pod)
        step = self._steps[name] = self._steps.get(name, 0) + 1
        if step >= len(script):
            return False
        pod["status"] = dict(script[step])
        return True
