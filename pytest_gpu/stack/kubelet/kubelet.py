"""The kubelet of a node: whether it runs, which container runtime it uses, by which socket.

Sources: kubelet command line reference and KubeletConfiguration (kubelet.config.k8s.io/v1beta1).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pytest_gpu.errors import NotInEvidence
from pytest_gpu.evidence import KubeObject, NodeEvidence
from pytest_gpu.gpu_node import Node, fact
from pytest_gpu.known import known
from pytest_gpu.parsing import LimitError, MalformedError, yaml_document
from pytest_gpu.stack.distributions import kubelet_process
from pytest_gpu.stack.distributions.command_line import ENDPOINT, CommandLine
from pytest_gpu.stack.distributions.detect import Distribution, distribution_of
from pytest_gpu.stack.host.processes import Process, flag, processes_of
from pytest_gpu.stack.kube.nodes import readiness
from pytest_gpu.stack.kube.objects import node_info, object_of
from pytest_gpu.stack.kubelet import kubelet_flags
from pytest_gpu.stack.kubelet.listeners import is_served, told_socket

CONFIG = "/var/lib/kubelet/config.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubelet:
    """What is known of the kubelet.

    ``process`` is ``None`` when no kubelet runs; ``argv`` is then what its unit would start.
    ``socket`` is the CRI socket's path; ``runtime`` is containerd, docker, cri-o or unknown;
    ``cgroup_driver`` is ``None`` where neither flags nor file say (a new kubelet asks the CRI).
    ``config_files`` are its configuration and its drop-ins, what counts most last.
    ``unread`` is one of them, or their folder, that is not in evidence or no configuration,
    with the reason where it is too large to be read.
    """

    process: Process | None
    argv: tuple[str, ...]
    socket: str
    runtime: str
    cgroup_driver: str | None
    config_files: tuple[str, ...] = ()
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
    """Return the kubelet's facts, from its process, else from what systemd would start.

    Raises:
        NotInEvidence: nothing says which socket it uses: a guess would blame what it does not use.
    """
    process = kubelet_process.find(processes)
    started = process is not None or kubelet_flags.was_started(evidence, distribution)
    if not started and readiness(node).ready:
        raise NotInEvidence(
            evidence.name, "the process of the kubelet, which reports itself Ready,"
        )
    told = _told(process, evidence, distribution)
    files, unread = _config_files(process, told.argv, evidence, distribution)
    config, bad = _merged_config(evidence, files)
    unread = bad or unread
    endpoint = flag(told.argv, ENDPOINT) or config.get("containerRuntimeEndpoint")
    docker = _told_docker(told.argv)
    if unread and not endpoint and not docker:
        raise NotInEvidence(evidence.name, f"the kubelet's configuration {unread}")
    path = socket_path(str(endpoint)) if endpoint else ""
    gap = next(iter(told.unread), "" if told.argv else f"{distribution.kubelet_unit}.service")
    if process is None and gap and not docker:
        path = _despite_gaps(path, gap, processes, evidence, distribution)
    path = path or _own_socket(processes, distribution) or distribution.socket
    driver = flag(told.argv, "--cgroup-driver") or config.get("cgroupDriver")
    return Kubelet(
        process=process,
        argv=told.argv,
        socket=_without_links(evidence, path),
        runtime=_runtime(node, told.argv, path, processes),
        cgroup_driver=str(driver) if driver else None,
        config_files=files,
        unread=unread,
    )


def _told(
    process: Process | None, evidence: NodeEvidence, distribution: Distribution
) -> CommandLine:
    if process:
        return kubelet_flags.of_process(process, evidence, distribution)
    return kubelet_flags.of_unit(evidence, distribution)


def socket_path(endpoint: str) -> str:
    """Return the path of an endpoint: a URL of a Unix socket, or a path; ``@`` begins no path."""
    path = re.sub("^unix:/*", "/", endpoint)
    return path.lstrip("/") if path.lstrip("/").startswith("@") else path


def _despite_gaps(
    path: str,
    gap: str,
    processes: Sequence[Process],
    evidence: NodeEvidence,
    distribution: Distribution,
) -> str:
    """Return the socket of a kubelet that does not run and of whose unit not all is known.

    What is known of it counts if somebody serves that socket; without, there must be no choice.

    Raises:
        NotInEvidence: several containerds run, or none where the unit says; ``gap`` might tell.
    """
    own = [p for p in processes if p.is_program("containerd") and not p.foreign]
    if path:
        if not own or is_served(path, processes, evidence):
            return path
    elif found := _own_socket(processes, distribution):
        return found
    elif len(own) < 2:
        return told_socket(own[0], evidence) if own else ""
    raise NotInEvidence(evidence.name, f"{gap}, which tells the kubelet's socket,")


def _without_links(evidence: NodeEvidence, path: str) -> str:
    """Return a socket's path as the kernel shows it to who asks who listens there.

    Raises:
        NotInEvidence: nobody looked whether /var/run is the link to /run that it mostly is.
    """
    real = evidence.resolve(path) if path.startswith("/") else path
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
            for path in sorted(process.sockets or ()):
                if path.endswith("/containerd.sock"):
                    return path
    return None


def _config_files(
    process: Process | None,
    argv: tuple[str, ...],
    evidence: NodeEvidence,
    distribution: Distribution,
) -> tuple[tuple[str, ...], str]:
    """Return the files of a kubelet's configuration, and the folder of them that nobody listed.

    Source: kubelet ``--config-dir`` (KEP-3983): files that end in .conf, sorted, over ``--config``.
    One that runs without the flag reads none, whatever kubeadm may have left behind; of one that
    does not run, the flag may be unknown. Distributions with a kubelet of their own never read it.
    """
    main, folder = _config_flag(argv, distribution), flag(argv, "--config-dir")
    if main is None and process is None and not distribution.home:
        usual = known(partial(evidence.read, CONFIG))
        main = None if usual is None else CONFIG
    names = _names(evidence, folder) if folder else ()
    drop_ins = [f"{folder}/{name}" for name in names or () if name.endswith(".conf")]
    return (*((main,) if main else ()), *drop_ins), str(folder) if names is None else ""


def _merged_config(evidence: NodeEvidence, files: Sequence[str]) -> tuple[Mapping[str, Any], str]:
    """Return the KubeletConfiguration with its drop-ins over it, and which file is not known."""
    merged: dict[str, Any] = {}
    unread = ""
    for path in files:
        try:
            found, why = _config(evidence, path), ""
        except LimitError as error:
            found, why = None, f" ({error})"
        merged |= found or {}
        unread = f"{path}{why}" if found is None else unread
    return merged, unread


def _config_flag(argv: tuple[str, ...], distribution: Distribution) -> str | None:
    """Return the kubelet's ``--config``; that of a program around it names its own settings."""
    if distribution.settings and argv and argv[0].rpartition("/")[2] != "kubelet":
        return None
    return flag(argv, "--config")


def _names(evidence: NodeEvidence, folder: str) -> Sequence[str] | None:
    """Return the names in a folder, ``None`` where nobody listed it."""
    try:
        return sorted(evidence.names(folder) or ())
    except NotInEvidence:
        return None


def _config(evidence: NodeEvidence, path: str) -> Mapping[str, Any] | None:
    """Return a KubeletConfiguration, empty where there is none, ``None`` where nobody knows.

    Raises:
        LimitError: it is too large to be read.
    """
    try:
        found = yaml_document(evidence.read(path) or b"")
    except LimitError:
        raise
    except (NotInEvidence, MalformedError):
        return None
    return found if isinstance(found, dict) else ({} if found is None else None)


def _told_docker(argv: tuple[str, ...]) -> bool:
    return flag(argv, "--container-runtime") == "docker"


def _runtime(
    node: KubeObject, argv: tuple[str, ...], socket: str, processes: Sequence[Process]
) -> str:
    """Return which runtime the kubelet uses; its own command line outranks the Node object."""
    if _told_docker(argv) or "cri-dockerd" in socket:
        return "docker"
    listening = [p for p in processes if socket in (p.sockets or ()) and not p.foreign]
    if any(each.is_program("crio") for each in listening) or socket.endswith("/crio.sock"):
        return "cri-o"
    name = str(node_info(node).get("containerRuntimeVersion", "")).partition("://")[0]
    return name if name in {"containerd", "docker", "cri-o"} else "unknown"


@fact
def kubelet_of(node: Node) -> Kubelet:
    """Return the kubelet: whether it runs, and which runtime it uses."""
    return read(object_of(node), processes_of(node), node.evidence, distribution_of(node))
