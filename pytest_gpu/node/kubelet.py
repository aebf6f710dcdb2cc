"""The kubelet of a node: whether it runs, which container runtime it uses, by which socket.

Sources: kubelet command line reference and KubeletConfiguration (kubelet.config.k8s.io/v1beta1).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from pytest_gpu.errors import NotInEvidence
from pytest_gpu.evidence import KubeObject, NodeEvidence
from pytest_gpu.kube.nodes import readiness
from pytest_gpu.kube.objects import node_info
from pytest_gpu.node.distribution import Distribution
from pytest_gpu.node.processes import Process, flag

CONFIG = "/var/lib/kubelet/config.yaml"
# Programs with a kubelet inside, and the commands under which it runs ("k3s-agent" is k3s, too).
_EMBEDDING = {
    "k3s": frozenset({"server", "agent"}),
    "k3s-server": frozenset(),
    "k3s-agent": frozenset(),
    "kubelite": frozenset(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubelet:
    """What is known of the kubelet.

    ``process`` is ``None`` when no kubelet runs; ``argv`` is then what its unit would start.
    ``socket`` is the CRI socket's path; ``runtime`` is containerd, docker, cri-o or unknown;
    ``cgroup_driver`` is ``None`` where neither flags nor file say (a new kubelet asks the CRI).
    ``unread`` is a configuration file it was told to read and that is not in evidence.
    """

    process: Process | None
    argv: tuple[str, ...]
    socket: str
    runtime: str
    cgroup_driver: str | None
    unread: str = ""

    @property
    def running(self) -> bool:
        """Whether a kubelet process was seen."""
        return self.process is not None


def read(
    node: KubeObject,
    processes: Sequence[Process],
    evidence: NodeEvidence,
    distribution: Distribution,
) -> Kubelet:
    """Return the kubelet's facts, from its process, else from what systemd says of its unit.

    Raises:
        NotInEvidence: nothing says which socket it uses: a guess would blame what it does not use.
    """
    process = next((each for each in processes if _is_kubelet(each)), None)
    argv = process.argv if process else unit_argv(_status(evidence))
    if not argv and readiness(node).ready:
        raise NotInEvidence(
            evidence.name, "the process of the kubelet, which reports itself Ready,"
        )
    config, unread = _merged_config(evidence, argv)
    endpoint = flag(argv, "--container-runtime-endpoint") or config.get("containerRuntimeEndpoint")
    if unread and not endpoint and not _told_docker(argv):
        raise NotInEvidence(evidence.name, f"the kubelet's configuration {unread}")
    default = _own_socket(processes, distribution) or distribution.socket
    path = re.sub("^unix:/*", "/", str(endpoint or default))
    driver = flag(argv, "--cgroup-driver") or config.get("cgroupDriver")
    return Kubelet(
        process=process,
        argv=argv,
        socket=_without_links(evidence, path),
        runtime=_runtime(node, argv, path),
        cgroup_driver=str(driver) if driver else None,
        unread=unread,
    )


def _without_links(evidence: NodeEvidence, path: str) -> str:
    """Return a socket's path as the kernel shows it to who asks who listens there.

    Raises:
        NotInEvidence: nobody looked whether /var/run is the link to /run that it mostly is.
    """
    real = evidence.resolve(path)
    if real.startswith("/var/run/"):
        evidence.entry("/var/run")
    return real


def _own_socket(processes: Sequence[Process], distribution: Distribution) -> str | None:
    """Return the socket of the containerd that the distribution brings along.

    For a kubelet that does not run: another containerd on the node may hold the default path.
    """
    for process in processes:
        program = process.exe or ""
        if distribution.home and program.startswith(distribution.home):
            for path in sorted(process.sockets):
                if path.endswith("/containerd.sock"):
                    return path
    return None


def _is_kubelet(process: Process) -> bool:
    if process.is_program("kubelet"):
        return True
    embedding = (commands for name, commands in _EMBEDDING.items() if process.is_program(name))
    return any(not commands or commands & {*process.words} for commands in embedding)


def _status(evidence: NodeEvidence) -> str:
    texts = [
        result.stdout
        for result in evidence.commands
        if result.argv[:2] == ("systemctl", "status") and "kubelet" in result.argv[-1]
    ]
    return texts[-1] if texts else ""


def unit_argv(status: str) -> tuple[str, ...]:
    """Return the command line of the last ExecStart that ``systemctl status`` prints.

    It prints ``Process: PID ExecStart=/usr/bin/kubelet … (code=exited, status=0/SUCCESS)``.
    """
    match = re.search(r"ExecStart=(\S*kubelet .*?)(?: \(code=|$)", status, re.MULTILINE)
    try:
        return tuple(shlex.split(match[1])) if match else ()
    except ValueError:
        return ()


def _merged_config(evidence: NodeEvidence, argv: tuple[str, ...]) -> tuple[Mapping[str, Any], str]:
    """Return the KubeletConfiguration with its drop-ins over it, and what of it is not known.

    Source: kubelet ``--config-dir`` (KEP-3983): files that end in .conf, sorted.
    """
    told, folder = flag(argv, "--config"), flag(argv, "--config-dir")
    merged, unread = dict(_config(evidence, told or CONFIG) or {}), ""
    if told and _config(evidence, told) is None:
        unread = told
    names = _names(evidence, folder) if folder else ()
    for path in [f"{folder}/{name}" for name in names or () if name.endswith(".conf")]:
        drop_in = _config(evidence, path)
        merged |= drop_in or {}
        unread = unread if drop_in is not None else path
    return merged, unread if names is not None else str(folder)


def _names(evidence: NodeEvidence, folder: str) -> Sequence[str] | None:
    """Return the names in a folder, ``None`` where nobody listed it."""
    try:
        return sorted(evidence.names(folder) or ())
    except NotInEvidence:
        return None


def _config(evidence: NodeEvidence, path: str) -> Mapping[str, Any] | None:
    """Return a KubeletConfiguration, empty where there is none, ``None`` where nobody knows."""
    try:
        found = yaml.safe_load(evidence.read(path) or b"")
    except (NotInEvidence, yaml.YAMLError, UnicodeDecodeError):
        return None
    return found if isinstance(found, dict) else ({} if found is None else None)


def _told_docker(argv: tuple[str, ...]) -> bool:
    return flag(argv, "--container-runtime") == "docker"


def _runtime(node: KubeObject, argv: tuple[str, ...], socket: str) -> str:
    """Return which runtime the kubelet uses; its own command line outranks the Node object."""
    if _told_docker(argv) or "cri-dockerd" in socket:
        return "docker"
    name = str(node_info(node).get("containerRuntimeVersion", "")).partition("://")[0]
    return name if name in {"containerd", "docker", "cri-o"} else "unknown"
