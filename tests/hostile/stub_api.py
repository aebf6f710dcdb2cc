"""A small healthy cluster of two GPU nodes behind an API server that may be hurt in one thing."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pytest_gpu.cluster.recording.recorded import open_recording
from pytest_gpu.cluster.recording.samples import sample_path
from pytest_gpu.errors import NotInEvidence
from tests.cluster.api.fake_api import Exec, FakeApi, FakeServer, Handler
from tests.hostile.stub_node import BASE, END, NODE, RAW, STATUS, Conversation, Honest, recorded

BAD, GOOD = "bad-1", "good-2"

ADDRESS = "192.168.10.11"
ADDRESSES = {GOOD: "192.168.10.12"}
"""The address of the recorded node, and that of the good one: ssh goes there."""

RESOURCES = (
    *("nodes", "pods", "daemonsets", "deployments", "runtimeclasses", "configmaps"),
    "clusterpolicies",
)

Answer = Callable[["HostileHandler"], None]


@dataclass(kw_only=True, eq=False)
class HostileApi(FakeApi):
    """What the server knows, and what is wrong with it.

    ``answers`` are given instead of the right ones, by a pattern of ``METHOD path``; ``nodes`` are
    the nodes that are not honest; ``fates`` replaces the status of the GPU pod on a node.
    """

    answers: Mapping[str, Answer] = field(default_factory=dict)
    nodes: Mapping[str, Callable[[], Honest]] = field(default_factory=dict)
    fates: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def healthy(**hurt: Any) -> HostileApi:
    """Return a cluster in which nothing is wrong but what is given."""
    api = HostileApi(**hurt)
    for resource, text in _recorded_objects():
        _put(api, resource, text)
    api.put("namespaces", {"metadata": {"name": "pytest-gpu"}})
    return api


@cache
def _recorded_objects() -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    with open_recording(sample_path(BASE), BASE) as cluster:
        for resource in RESOURCES:
            with suppress(NotInEvidence):
                found += ((resource, json.dumps(each)) for each in cluster.objects(resource))
    return tuple(found)


def _put(api: FakeApi, resource: str, text: str) -> None:
    """Store an object; what belongs to the recorded node, for both nodes."""
    owners = (BAD, GOOD) if f'"{NODE}"' in text else ("",)
    for name in owners:
        thing = json.loads(
            text.replace(NODE, name or NODE).replace(ADDRESS, ADDRESSES.get(name, ADDRESS))
        )
        if resource == "pods" and name:
            thing["metadata"]["name"] += f"-{name}"
        api.put(resource, thing)


class HostileHandler(Handler):
    """One connection."""

    server: HostileServer

    @property
    def api(self) -> HostileApi:
        """What the server knows."""
        return self.server.hostile

    def do_GET(self) -> None:  # noqa: N802 - a name of http.server
        """Answer, or do what is wrong."""
        if not self._hurts():
            super().do_GET()

    def do_POST(self) -> None:  # noqa: N802 - a name of http.server
        """Create, or do what is wrong."""
        if not self._hurts():
            super().do_POST()

    def do_DELETE(self) -> None:  # noqa: N802 - a name of http.server
        """Delete, or do what is wrong."""
        if not self._hurts():
            super().do_DELETE()

    def send_bytes(self, data: bytes, status: int = 200, **headers: str) -> None:
        """Send an answer as it is."""
        self.send_response(status)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in {"Content-Length": str(len(data)), **named}.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)

    def fate(self, pod: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the status of a new pod: a GPU pod has ended at once."""
        if "nodeName" in pod["spec"]:
            return super().fate(pod)
        terms = pod["spec"]["affinity"]["nodeAffinity"]
        needed = terms["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        node = needed[0]["matchFields"][0]["values"][0]
        pod["spec"]["nodeName"] = node
        return self.api.fates.get(node) or gpu_pod_status()

    def execute(self) -> None:
        """Speak for the node of a pod."""
        pods = {pod["metadata"]["name"]: pod for pod in self.api.of("pods")}
        node = pods[self.name]["spec"]["nodeName"]
        _Line(self).speak(Conversation(self.api.nodes.get(node, Honest)()))

    def _hurts(self) -> bool:
        asked = f"{self.command} {self.path}"
        for pattern, answer in self.api.answers.items():
            if fnmatch.fnmatchcase(asked, pattern):
                if length := self.headers.get("Content-Length"):
                    self.rfile.read(int(length))
                with suppress(OSError):
                    answer(self)
                self.close_connection = True
                return True
        return False


class HostileServer(FakeServer):
    """The server; use it as a context manager."""

    def __init__(self, api: HostileApi) -> None:
        super().__init__(api, HostileHandler)
        self.hostile = api

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Write nothing: clients hang up on hostile answers."""


class _Line(Exec):
    """An exec whose other end is a stub."""

    def speak(self, conversation: Conversation) -> None:
        """Carry what both say until the visit ends."""
        self.shake_hands()
        with suppress(OSError, ValueError, IndexError):
            while not conversation.ended and (message := self.receive()) is not None:
                for channel, data in conversation.take(message[1:]):
                    if channel == END:
                        conversation.ended = True
                        break
                    self._say(channel, data)
                    if self.handler.close_connection:
                        return
            self.frame(STATUS, conversation.node.status())
            self.handler.wfile.write(b"\x88\x00")
        self.handler.close_connection = True

    def _say(self, channel: int, data: bytes) -> None:
        if channel == RAW:
            self.handler.wfile.write(data)
        else:
            self.frame(channel, data)


def gpu_pod_status() -> dict[str, Any]:
    """Return the status of a GPU pod that succeeded, as it was recorded."""
    outcome = json.loads(json.dumps(recorded().outcome("pod")))
    status: dict[str, Any] = outcome["pod"]["status"]
    for container in status["containerStatuses"]:
        ended = container["state"]["terminated"]
        ended["message"] = outcome["containers"][container["name"]]["output"]
    return status
