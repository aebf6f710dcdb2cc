"""The containerd that a node's kubelet uses: its process, its configuration, its live handlers.

Never guessed from a list of paths: the truth is the command line of the process that listens on
the socket the kubelet uses.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from pytest_gpu.errors import NotInEvidence, Unproven
from pytest_gpu.evidence import KubeObject, NodeEvidence
from pytest_gpu.gpu_node import Node, fact
from pytest_gpu.stack.containerd.merge import EffectiveConfig, merge
from pytest_gpu.stack.containerd.release import Generation, parse_version, printed_version
from pytest_gpu.stack.cri.handler import Handler
from pytest_gpu.stack.distributions.detect import Distribution, distribution_of
from pytest_gpu.stack.host.nvidia_programs import is_nvidia, prove_known
from pytest_gpu.stack.host.processes import Process, processes_of
from pytest_gpu.stack.kube.objects import node_info, object_of
from pytest_gpu.stack.kubelet.kubelet import Kubelet, kubelet_of
from pytest_gpu.stack.kubelet.listeners import (
    DEFAULT_CONFIG,
    config_path,
    listener,
    reads_the_nodes_files,
    socket_of,
)
from pytest_gpu.stack.kubelet.live_handlers import LiveHandlers, live_handlers, reported_handlers

CRI_O = "the kubelet uses CRI-O, whose configuration is not judged yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Containerd:
    """One containerd on the node: who it is, what its files say, what it says itself.

    ``process`` is ``None`` when nothing listens on the kubelet's socket; the configuration is
    then the one that would be read at the next start.
    """

    version: tuple[int, ...]
    process: Process | None
    config_path: str
    socket: str
    config: EffectiveConfig
    live: LiveHandlers | None

    @property
    def release(self) -> str:
        """The version as people write it, such as ``1.7.24``."""
        return ".".join(map(str, self.version))

    @property
    def generation(self) -> Generation:
        """What a containerd of this version does otherwise than older and newer ones."""
        return Generation(self.version)

    def knows(self, handler: str) -> bool:
        """Say whether a pod with this handler finds a runtime now: live if known, else on disk."""
        if not handler:
            return True
        if self.live and not self.live.error:
            return handler in self.live.handlers
        return handler in self.config.runtimes

    @property
    def default_runtime(self) -> str:
        """The handler of pods that name none: live if known, else on disk."""
        if self.live and self.live.default:
            return self.live.default
        return self.config.default_runtime

    def injects(self, handler: str) -> bool:
        """Say whether containers under a handler (``""``: the default one) get GPUs injected.

        Raises:
            Unproven: it has NVIDIA's name and starts an unknown program.
        """
        runtime = self.now(handler or self.default_runtime)
        if runtime is None:
            return False
        prove_known(runtime.name, runtime.binary or "")
        return is_nvidia(runtime.binary or "")

    def program(self, handler: str) -> str | None:
        """Return the ``BinaryName`` of a handler (``""``: runc): loaded if told, else on disk.

        ``None`` where only the handler's name is known.
        """
        loaded = self.live.program(handler) if self.live else None
        if loaded is not None:
            return loaded
        runtime = self.config.runtimes.get(handler)
        return (runtime.binary or "") if runtime else None

    @property
    def loaded_gpu_handlers(self) -> frozenset[str]:
        """The handlers of the running containerd that run an NVIDIA runtime, as far as known.

        One whose program nobody tells, and that no file has, is known by its name alone.
        """
        names = self.live.handlers if self.live else ()
        return frozenset(name for name in names if self._brings_gpus(name))

    def _brings_gpus(self, name: str) -> bool:
        program = self.program(name)
        return name.startswith("nvidia") if program is None else is_nvidia(program)

    def now(self, handler: str) -> Handler | None:
        """Return a handler of the files as it runs now: with the values that are loaded, if told.

        What the files say counts from the next restart on.
        """
        runtime = self.config.runtimes.get(handler)
        loaded = self.live.config.runtimes.get(handler) if self.live and self.live.config else None
        if runtime is None or loaded is None:
            return runtime
        if loaded.runtime_type is not None:
            runtime = replace(runtime, runtime_type=loaded.runtime_type)
        if loaded.binary is None:
            return runtime
        return replace(
            runtime, binary=loaded.binary or None, systemd_cgroup=bool(loaded.systemd_cgroup)
        )

    @property
    def gpu_handlers(self) -> tuple[str, ...]:
        """The handlers of the merged table that inject GPUs, the plain ``nvidia`` first."""
        found = [name for name in self.config.runtimes if handler_injects(self.config, name)]
        return tuple(sorted(found, key=lambda name: (name != "nvidia", name)))


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


def handler_injects(config: EffectiveConfig, handler: str) -> bool:
    """Say whether a handler runs an NVIDIA runtime rather than runc itself."""
    runtime = config.runtimes.get(handler)
    return runtime is not None and is_nvidia(runtime.binary or "")


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
    version = _version(process, evidence, node)
    return Containerd(
        version=version,
        process=process,
        config_path=path,
        socket=kubelet.socket,
        config=merge(evidence.read, evidence.names, path, version),
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
    return Containerd(
        version=version,
        process=process,
        config_path=path,
        socket=socket_of(process, evidence),
        config=merge(evidence.read, evidence.names, path, version),
        live=None,
    )


def _version(process: Process | None, evidence: NodeEvidence, node: KubeObject) -> tuple[int, ...]:
    printed = printed_version(process, evidence) if process else None
    if printed:
        return printed
    reported = parse_version(str(node_info(node).get("containerRuntimeVersion", "")))
    if reported is None:
        raise NotInEvidence(evidence.name, "the version of containerd")
    return reported


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
