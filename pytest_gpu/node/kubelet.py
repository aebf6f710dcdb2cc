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
from pytest_gpu.node.distribution import Distribution
from pytest_gpu.node.processes import Process, flag

CONFIG = "/var/lib/kubelet/config.yaml"
_EMBEDDING = {"k3s": ("server", "agent"), "kubelite": ()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubelet:
    """What is known of the kubelet.

    ``process`` is ``None`` when no kubelet runs; ``argv`` is then what its unit would start.
    ``socket`` is the CRI socket's path; ``runtime`` is containerd, docker, cri-o or unknown;
    ``cgroup_driver`` is ``None`` where neither flags nor file say (a new kubelet asks the CRI).
    """

    process: Process | None
    argv: tuple[str, ...]
    socket: str
    runtime: str
    cgroup_driver: str | None

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
    """Return the kubelet's facts, from its process, else from what systemd says of its unit."""
    process = next((each for each in processes if _is_kubelet(each)), None)
    argv = process.argv if process else unit_argv(_status(evidence))
    config = _merged_config(evidence, argv)
    endpoint = flag(argv, "--container-runtime-endpoint") or config.get("containerRuntimeEndpoint")
    default = _own_socket(processes, distribution) or distribution.socket
    path = str(endpoint or default).removeprefix("unix://")
    return Kubelet(
        process=process,
        argv=argv,
        socket=evidence.resolve(path),
        runtime=_runtime(node, argv, path),
        cgroup_driver=flag(argv, "--cgroup-driver") or config.get("cgroupDriver"),
    )


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
    if process.program == "kubelet":
        return True
    commands = _EMBEDDING.get(process.program)
    return commands is not None and (not commands or any(c in process.argv for c in commands))


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


def _merged_config(evidence: NodeEvidence, argv: tuple[str, ...]) -> Mapping[str, Any]:
    """Return the KubeletConfiguration with its drop-ins over it, in the order of their names.

    Source: kubelet ``--config-dir`` (KEP-3983): files that end in .conf, sorted.
    """
    merged = dict(_config(evidence, flag(argv, "--config") or CONFIG))
    folder = flag(argv, "--config-dir")
    for name in _names(evidence, folder) if folder else ():
        if name.endswith(".conf"):
            merged |= _config(evidence, f"{folder}/{name}")
    return merged


def _names(evidence: NodeEvidence, folder: str) -> Sequence[str]:
    try:
        return sorted(evidence.names(folder) or ())
    except NotInEvidence:
        return ()


def _config(evidence: NodeEvidence, path: str) -> Mapping[str, Any]:
    """Return the KubeletConfiguration, nothing where it is not there or not known."""
    try:
        text = evidence.read(path)
        found = yaml.safe_load(text) if text else None
    except (NotInEvidence, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def _runtime(node: KubeObject, argv: tuple[str, ...], socket: str) -> str:
    """Return which runtime the kubelet uses; its own command line outranks the Node object."""
    if flag(argv, "--container-runtime") == "docker" or "cri-dockerd" in socket:
        return "docker"
    info = node.get("status", {}).get("nodeInfo", {})
    name = str(info.get("containerRuntimeVersion", "")).partition("://")[0]
    return name if name in {"containerd", "docker", "cri-o"} else "unknown"
