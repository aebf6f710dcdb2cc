"""Who listens on a socket: the way from the kubelet's endpoint to the containerd behind it.

Never guessed from a list of paths: the truth is the process that has the socket open, and the
command line it was started with.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytest_gpu.errors import NotInEvidence
from pytest_gpu.evidence import NodeEvidence
from pytest_gpu.stack.containerd.load import load
from pytest_gpu.stack.containerd.release import Generation, Version, printed_version
from pytest_gpu.stack.distributions import every
from pytest_gpu.stack.distributions.distribution import OwnContainerd
from pytest_gpu.stack.host.processes import DELETED, Process, listening

DEFAULT_CONFIG = "/etc/containerd/config.toml"
DEFAULT_SOCKET = "/run/containerd/containerd.sock"

_SOME_1X: Version = (1, 7)
"""What a containerd that did not print its version is taken for: it may read any file."""


def listener(socket: str, processes: Sequence[Process], evidence: NodeEvidence) -> Process | None:
    """Return the containerd that listens on a socket, else the one told to.

    Of two that have the same path open, the younger one: it took the path over when it began.

    Raises:
        NotInEvidence: somebody listens there, and it is not known who.
    """
    own = [each for each in processes if each.is_program("containerd") and not each.foreign]
    found = [each for each in own if socket in _resolved(each.sockets or (), evidence)]
    if found:
        return max(found, key=lambda each: (each.started or 0.0, each.pid))
    silent = [process for process in own if not process.sockets]
    for process in silent:
        if real_socket(told_socket(process, evidence), evidence) == socket:
            return process
    listens = _somebody_listens(socket, evidence)
    if listens or (listens is None and own):
        raise NotInEvidence(evidence.name, f"who listens on {socket}")
    return None


def is_served(socket: str, processes: Sequence[Process], evidence: NodeEvidence) -> bool:
    """Say whether somebody listens on a socket.

    Raises:
        NotInEvidence: nobody looked, and no containerd was told to.
    """
    socket = real_socket(socket, evidence)
    listens = _somebody_listens(socket, evidence)
    if listens:
        return True
    own = [p for p in processes if p.is_program("containerd") and not p.foreign and not p.sockets]
    if any(real_socket(told_socket(process, evidence), evidence) == socket for process in own):
        return True
    if listens is None:
        raise NotInEvidence(evidence.name, f"who listens on {socket}")
    return False


def _somebody_listens(socket: str, evidence: NodeEvidence) -> bool | None:
    """Say whether a socket is listened on, ``None`` where nobody looked."""
    paths = listening(evidence)
    return None if paths is None else socket in _resolved(paths.values(), evidence)


def _resolved(paths: Iterable[str], evidence: NodeEvidence) -> set[str]:
    return {real_socket(path, evidence) for path in paths}


def real_socket(path: str, evidence: NodeEvidence) -> str:
    """Return a socket's path without links; an abstract one (``@name``) is no path."""
    return evidence.resolve(path) if path.startswith("/") else path


def told_socket(process: Process, evidence: NodeEvidence) -> str:
    """Return the socket a containerd was told to listen on: flag, files, or its default.

    Raises:
        NotInEvidence: one of its files was not read.
        Unproven: one of them is nested too deeply to be read.
    """
    flagged = process.flag("--address", "-a")
    if flagged:
        return flagged
    if own := _without_flags(process):
        return own.socket
    if process.own_root:
        return DEFAULT_SOCKET
    generation = Generation(printed_version(process, evidence) or _SOME_1X)
    roots = load(evidence.read, evidence.names, config_path(process), generation).roots
    tables = [table for root in roots if (table := root.get("grpc"))]
    told = [str(found.value) for table in tables if (found := table.get("address"))]
    # One that is empty takes the place of none when files are merged.
    return next((address for address in reversed(told) if address), DEFAULT_SOCKET)


def socket_of(process: Process, evidence: NodeEvidence) -> str:
    """Return the socket of a containerd: one that it has open, else the one it was told.

    The one for ttrpc lies beside it with an ending of its own, and that of ``[debug]`` only where
    it was asked for.
    """
    own = sorted(path for path in process.sockets or () if path.endswith(".sock"))
    if len(own) == 1:
        return own[0]
    told = told_socket(process, evidence)
    real = {real_socket(path, evidence): path for path in own}
    return real.get(real_socket(told, evidence), own[0] if own else told)


def config_path(process: Process) -> str:
    """Return the configuration file a containerd process was started with.

    A distribution's own that shows no flag is taken to read the file in its folder.
    """
    own = _without_flags(process)
    return process.flag("--config", "-c") or (own.config if own else DEFAULT_CONFIG)


def reads_the_nodes_files(process: Process) -> bool:
    """Say whether a containerd's configuration is the node's file of that name.

    A confined snap has another root file system, in which /var/snap is the node's own (snapd).
    """
    shared = not process.own_root or config_path(process).startswith("/var/snap/")
    return shared and not process.foreign


def _without_flags(process: Process) -> OwnContainerd | None:
    """Return what a process uses that is a distribution's own and may show no flags."""
    return every.own_containerd((process.exe or "").removesuffix(DELETED))
