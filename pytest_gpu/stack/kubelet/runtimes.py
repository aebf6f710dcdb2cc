"""Every container runtime on a node, and whom it serves: the kubelet's is one of perhaps many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_gpu.evidence import NodeEvidence
from pytest_gpu.gpu_node import Node, fact
from pytest_gpu.stack.containerd.release import printed_version
from pytest_gpu.stack.host.processes import Process, processes_of
from pytest_gpu.stack.kubelet.kubelet import Kubelet, kubelet_of
from pytest_gpu.stack.kubelet.listeners import (
    DEFAULT_SOCKET,
    config_path,
    reads_the_nodes_files,
    real_socket,
    socket_of,
)

_KINDS = {
    "containerd": "containerd",
    "dockerd": "Docker",
    "cri-dockerd": "cri-dockerd",
    "crio": "CRI-O",
}
_DOCKERS_OWN = "/run/docker/containerd/containerd.sock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """One daemon that runs containers, or brings a kubelet to one that does.

    ``socket`` and ``config`` are empty where they are not known, or are none of the node's files;
    ``serves`` says for whom it works, empty where nobody is known.

    Attributes:
        kind: containerd, dockerd, cri-dockerd or crio.
        process: the process of the daemon.
        version: the version as it shows it, empty if it is not known.
    """

    kind: str
    process: Process
    socket: str
    config: str
    version: str
    serves: str

    @property
    def is_kubelets(self) -> bool:
        """Whether this is what the node's own kubelet talks to."""
        return self.serves.startswith("the kubelet")

    def __str__(self) -> str:
        """Return what people ask first: which, where, with which file, for whom."""
        words = f"{self.kind} {self.version}".strip()
        words += f" on {self.socket}" if self.socket else ""
        words += f", configuration {self.config}" if self.config else ""
        return f"{words}; serves {self.serves or 'nobody that is known'}"


def read(
    kubelet: Kubelet, processes: Sequence[Process], evidence: NodeEvidence
) -> tuple[Daemon, ...]:
    """Return every runtime on the node, by PID."""
    around = _Around(kubelet=kubelet, processes=processes, evidence=evidence)
    return tuple(around.runtimes())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Around:
    """What decides for whom a daemon works."""

    kubelet: Kubelet
    processes: Sequence[Process]
    evidence: NodeEvidence

    def runtimes(self) -> Iterator[Daemon]:
        for process in self.processes:
            program = next((name for name in _KINDS if process.is_program(name)), None)
            if program is None:
                continue
            socket = self._socket(program, process)
            version = printed_version(process, self.evidence) or ()
            yield Daemon(
                kind=_KINDS[program],
                process=process,
                socket=socket,
                config=_config(program, process),
                version=".".join(map(str, version)),
                serves=" and ".join(dict.fromkeys(self._serves(program, process, socket))),
            )

    def _socket(self, program: str, process: Process) -> str:
        if process.foreign or (process.own_root and not process.sockets):
            return ""
        if program == "containerd":
            return real_socket(socket_of(process, self.evidence), self.evidence)
        found = sorted(real_socket(path, self.evidence) for path in process.sockets or ())
        # The socket for ttrpc lies beside, with an ending of its own.
        return next((path for path in found if path.endswith(".sock")), "")

    def _serves(self, program: str, process: Process, socket: str) -> Iterator[str]:
        if process.foreign:
            yield "a node inside this one, with a network of its own"
            return
        if socket and socket == self.kubelet.socket:
            yield "the kubelet"
        if program == "dockerd" and self.kubelet.runtime == "docker":
            shim = any(each.is_program("cri-dockerd") for each in self.processes)
            yield "the kubelet, through cri-dockerd" if shim else "the kubelet"
        elif program == "dockerd":
            yield "its own users"
        if program == "containerd" and any(socket == each for each in self._dockers()):
            yield "Docker"

    def _dockers(self) -> Iterator[str]:
        """Yield the sockets of Docker's containerds: told, the usual one, or one of its own.

        Source: moby's cmd/dockerd, which starts a containerd itself where it finds none.
        """
        usual = real_socket(DEFAULT_SOCKET, self.evidence)
        for process in self.processes:
            if process.is_program("dockerd") and not process.foreign:
                told = process.flag("--containerd")
                yield real_socket(told, self.evidence) if told else usual
                yield _DOCKERS_OWN


def _config(program: str, process: Process) -> str:
    if program == "containerd":
        return config_path(process) if reads_the_nodes_files(process) else ""
    if process.foreign or process.own_root:
        return ""
    usual = {"dockerd": DAEMON_JSON, "crio": "/etc/crio/crio.conf"}
    return process.flag("--config-file", "--config", "-c") or usual.get(program, "")


@fact
def runtimes_of(node: Node) -> tuple[Daemon, ...]:
    """Return every container runtime on the node, and whom it serves."""
    return read(kubelet_of(node), processes_of(node), node.evidence)


DAEMON_JSON = "/etc/docker/daemon.json"
