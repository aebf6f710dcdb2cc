"""A lab node as the suite's own code sees it: facts from a visit, and a shell, without Kubernetes.

For tests of single parts; a whole run goes through ``pytest --gpu-cluster=CONTEXT``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from pytest_gpu.asked import Asked
from pytest_gpu.cluster.visits.node_shell import ProbeShell
from pytest_gpu.cluster.visits.probe_app import BOOTSTRAP, sent_app
from pytest_gpu.cluster.visits.seen import SeenNode
from pytest_gpu.cluster.visits.streams import ChildStream
from pytest_gpu.cluster.visits.visit import drive, greet
from pytest_gpu.evidence import Door, KubeObject
from pytest_gpu.memory import Memory
from pytest_gpu.run.node_face import GpuNode
from tests.lab.control_plane.api import Api
from tests.lab.nodes.node_files import PATHS

LISTS = {
    "nodes": "/api/v1/nodes",
    "pods": "/api/v1/pods",
    "daemonsets": "/apis/apps/v1/daemonsets",
    "runtimeclasses": "/apis/node.k8s.io/v1/runtimeclasses",
    "events": "/api/v1/events",
}


class Listed:
    """A lab cluster's objects as they are now; each node's evidence is what was visited."""

    def __init__(self, api: Api) -> None:
        """Read all lists."""
        self.title = "lab"
        self.suite = ""
        self.asked: Asked = None
        self.taken = datetime.now(UTC)
        self.memory = Memory()
        self.nodes: dict[str, SeenNode] = {}
        self._objects = {name: api.get(path)["items"] for name, path in LISTS.items()}

    def objects(self, resource: str) -> Sequence[KubeObject]:
        """Return a resource that was read; the lab has no objects of any other."""
        found: Sequence[KubeObject] = self._objects.get(resource, ())
        return found

    def node(self, name: str) -> SeenNode:
        """Return what was seen of a node."""
        return self.nodes.get(name) or SeenNode(name, Door(kind="none"))


def connect(init: int) -> ChildStream:
    """Return a line to a probe in the node whose PID 1 is ``init`` on the machine."""
    enter = ["nsenter", f"--target={init}", "--all", "--root", "--wd=/", "--"]
    clean = ["env", "-i", f"PATH={PATHS}", "HOME=/root"]
    python = ["/usr/bin/python3", "-I", "-B", "-c", BOOTSTRAP]
    stream = ChildStream([*enter, *clean, *python], sent_app())
    greet(stream)
    return stream


def visited(api: Api, name: str, init: int) -> GpuNode:
    """Visit a node and return its facts."""
    cluster = Listed(api)
    seen = cluster.nodes[name] = SeenNode(name, Door(kind="ssh"))
    stream = connect(init)
    try:
        drive(stream, seen, cluster)
    finally:
        stream.close()
    return GpuNode(name, cluster)


def shell(init: int) -> ProbeShell:
    """Return a shell in a node."""
    return ProbeShell(lambda: connect(init))
