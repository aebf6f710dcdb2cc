"""``--gpu-cluster=local``: this machine is the node, and Kubernetes is not used."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pytest_gpu.asked import Asked
from pytest_gpu.cluster.recording.folder import Folder
from pytest_gpu.cluster.recording.overlay import read_chain
from pytest_gpu.cluster.recording.recorded import RecordedCluster
from pytest_gpu.cluster.recording.recorder import Recorder
from pytest_gpu.cluster.recording.temporary import new_folder, remove
from pytest_gpu.cluster.visits.seen import SeenNode
from pytest_gpu.cluster.visits.streams import LocalStream
from pytest_gpu.cluster.visits.visit import drive, greet
from pytest_gpu.errors import NotInEvidence
from pytest_gpu.evidence import Door, KubeObject, NodeEvidence
from pytest_gpu.memory import Memory

TITLE = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The machine that is visited: ``root`` and ``enter`` are options of the probe."""

    name: str
    root: Path = Path("/")
    enter: str = "here"


class MachineOnly:
    """A cluster with this one node, of which nothing else is known."""

    def __init__(self, node: SeenNode, taken: datetime) -> None:
        self.title = TITLE
        self.taken = taken
        self.memory = Memory()
        self.suite = ""
        self.asked: Asked = None
        self._node = node

    def objects(self, resource: str) -> Sequence[KubeObject]:
        """Return the one Node object.

        Raises:
            NotInEvidence: any other resource: Kubernetes is not used.
        """
        if resource != "nodes":
            raise NotInEvidence("this machine", f"the list of {resource}")
        return (node_object(self._node.name),)

    def node(self, name: str) -> NodeEvidence:
        """Return the one node's evidence."""
        return self._node


def this_machine() -> Machine:
    """Return the machine this process runs on."""
    return Machine(name=socket.gethostname() or "localhost")


def node_object(name: str) -> KubeObject:
    """Return a Node object for a machine without Kubernetes: it has a name and no status."""
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}


def open_local(machine: Machine | None = None, *, visit: bool = True) -> RecordedCluster:
    """Visit this machine and return its evidence, as a recording in a private folder.

    Args:
        machine: what to visit; this machine if not given.
        visit: whether to visit it at all; without a visit only its name is known.

    Raises:
        GpuError: the probe cannot be started here.
    """
    private = new_folder()
    try:
        folder = private / "recording"
        _write(folder, machine or this_machine(), visit=visit)
        return RecordedCluster(read_chain(Folder(root=folder, label=TITLE)), TITLE, private)
    except BaseException:
        remove(private)
        raise


def _write(folder: Path, machine: Machine, *, visit: bool) -> None:
    taken = datetime.now(UTC)
    recorder = Recorder(folder, taken=taken)
    recorder.add_objects("nodes", [node_object(machine.name)])
    node = SeenNode(machine.name, Door(kind="local"))
    if visit:
        look(machine, node, taken)
    node.save(recorder.node(machine.name))


def look(machine: Machine, node: SeenNode, taken: datetime) -> None:
    """Visit a machine; ``node`` collects the answers.

    Raises:
        GpuError: the probe cannot be started.
    """
    stream = LocalStream(machine.root, machine.enter)
    try:
        greet(stream)
        drive(stream, node, MachineOnly(node, taken))
    finally:
        stream.close()
