"""Which containerd a node's kubelet uses, and which others there are.

Never guessed from a list of paths: the truth is the command line of the process that listens on
the socket the kubelet uses.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial

from pytest_gpu.errors import NotInEvidence, Unproven
from pytest_gpu.evidence import KubeObject, NodeEvidence
from pytest_gpu.gpu_node import Node, fact
from pytest_gpu.stack.containerd.merge import EffectiveConfig, merge
from pytest_gpu.stack.containerd.release import (
    parse_version,
    printed_version,
    version_on_disk,
)
from pytest_gpu.stack.distributions.detect import Distribution, distribution_of
from pytest_gpu.stack.host.processes import Process, processes_of
from pytest_gpu.stack.host.systemd_unit import service
from pytest_gpu.stack.kube.objects import node_info, object_of
from pytest_gpu.stack.kubelet.containerd_runtime import Containerd
from pytest_gpu.stack.kubelet.kubelet import Kubelet, kubelet_of
from pytest_gpu.stack.kubelet.listeners import (
    DEFAULT_CONFIG,
    config_path,
    listener,
    reads_the_nodes_files,
    socket_of,
)
from pytest_gpu.stack.kubelet.live_handlers import live_handlers, reported_handlers

CRI_O = "the kubelet uses CRI-O, whose configuration is not judged yet"


def effective_config(
    files: Mapping[str, bytes | str], version: str | tuple[int, ...], *, root: str = DEFAULT_CONFIG
) -> EffectiveConfig:
    """Return what a containerd makes of configuration files, without a node around them.

    Args:
        files: the files by their absolute paths. What is not there does not exist.
        version: containerd's version, ``"1.7.24"`` or ``(1, 7, 24)``.
        root: the file containerd is started with.

    Raises:
        ValueError: ``version`` names no version.
        Unproven: a file is nested too deeply to be read.
    """
    release = parse_version(version) if isinstance(version, str) else version
    if not release:
        raise ValueError(f"{version!r} is no version of containerd, such as 1.7.24")
    contents = {
        path: content if isinstance(content, bytes) else content.encode(errors="surrogateescape")
        for path, content in files.items()
    }
    return merge(contents.get, partial(_names_in, contents), root, release)


def _names_in(files: Collection[str], folder: str) -> tuple[str, ...] | None:
    """Return the names in a folder that holds some of the files."""
    start = f"{folder.rstrip('/')}/"
    found = {path[len(start) :].partition("/")[0] for path in files if path.startswith(start)}
    return tuple(sorted(found)) or None


def serving(
    kubelet: Kubelet,
    processes: Sequence[Process],
    evidence: NodeEvidence,
    node: KubeObject,
    distribution: Distribution,
) -> Containerd:
    """Return the containerd behind the kubelet's socket.

    Raises:
        Unproven: the kubelet uses CRI-O, or a containerd whose files are not the node's.
        NotInEvidence: somebody listens on the socket, and it is not known who.
    """
    if kubelet.runtime == "cri-o":
        raise Unproven(CRI_O)
    process = listener(kubelet.socket, processes, evidence)
    if process and not reads_the_nodes_files(process):
        raise Unproven(
            f"containerd (pid {process.pid}) has a root file system of its own: its configuration"
            f" {config_path(process)} is not the node's file of that name"
        )
    path = config_path(process) if process else distribution.config
    version = partial(_version, process, evidence, node, distribution)
    return Containerd(
        tell_version=version,
        tell_config=lambda: merge(evidence.read, evidence.names, path, version()),
        process=process,
        config_path=path,
        socket=kubelet.socket,
        live=live_handlers(evidence.commands, kubelet.socket, evidence.resolve)
        or reported_handlers(node),
    )


def others(
    serving: Containerd,
    processes: Sequence[Process],
    evidence: NodeEvidence,
    *,
    skip_unread: bool = False,
) -> tuple[Containerd, ...]:
    """Return the containerds on the node that the kubelet does not use.

    Those with files of their own are left out: the node's files say nothing of them.
    ``skip_unread`` leaves out those whose configuration is not known, too.

    Raises:
        Unproven: nobody read the configuration of one, or it is nested too deeply.
    """
    found = []
    for process in processes:
        if not process.is_program("containerd") or process == serving.process:
            continue
        if not reads_the_nodes_files(process):
            continue
        with suppress(*([Unproven] if skip_unread else [])):
            found.append(_other(process, serving, evidence))
    return tuple(found)


def _other(process: Process, serving: Containerd, evidence: NodeEvidence) -> Containerd:
    path = config_path(process)
    version = printed_version(process, evidence) or serving.version
    config = merge(evidence.read, evidence.names, path, version)
    return Containerd(
        tell_version=lambda: version,
        tell_config=lambda: config,
        process=process,
        config_path=path,
        socket=socket_of(process, evidence),
        live=None,
    )


def _version(
    process: Process | None,
    evidence: NodeEvidence,
    node: KubeObject,
    distribution: Distribution,
) -> tuple[int, ...]:
    """Return the version: as the program prints it, else as the kubelet reports it.

    A kubelet that cannot reach its runtime reports ``containerd://Unknown``.
    """
    if process:
        printed = printed_version(process, evidence)
    else:
        printed = version_on_disk(evidence, stopped_program(evidence, distribution))
    reported = parse_version(str(node_info(node).get("containerRuntimeVersion", "")))
    if version := printed or reported:
        return version
    raise NotInEvidence(evidence.name, "the version of containerd")


def stopped_program(evidence: NodeEvidence, distribution: Distribution) -> str:
    """Return the containerd that systemd would start, empty if that is not known.

    A distribution that brings its own containerd starts it from another program.
    """
    argv = service(evidence, distribution.containerd_unit).argv
    program = argv[0] if argv else ""
    return program if program.rpartition("/")[2] == "containerd" else ""


@fact
def containerd_of(node: Node) -> Containerd:
    """Return the containerd that this kubelet uses, with its configuration as it merges it."""
    return serving(
        kubelet_of(node),
        processes_of(node),
        node.evidence,
        object_of(node),
        distribution_of(node),
    )
