"""Works out what to ask a node next from what is known, until there is nothing left to ask.

It is a pure function: how the questions reach the node does not matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath

from pytest_gpu.evidence import ClusterEvidence, NodeEvidence
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.distributions import every
from pytest_gpu.stack.distributions.detect import distribution_of
from pytest_gpu.stack.gpu.libraries import DIRECTORIES, NVML
from pytest_gpu.stack.host.failed_units import listed, listed_for_gpus
from pytest_gpu.stack.host.nvidia_programs import is_bottlerockets
from pytest_gpu.stack.host.processes import DAEMONS, DELETED, Process, processes_of
from pytest_gpu.stack.injection.reached import gpu_runtimes
from pytest_gpu.stack.kube.objects import object_of
from pytest_gpu.stack.kube.pressure import refusing
from pytest_gpu.stack.kubelet import disk_usage
from pytest_gpu.stack.kubelet.containerd import containerd_of, stopped_program
from pytest_gpu.stack.kubelet.kubelet import Kubelet, kubelet_of
from pytest_gpu.stack.operands.logs import FOLDER, LOG_LIMIT, log_paths
from pytest_gpu.survey.first_questions import first_questions
from pytest_gpu.survey.rounds import COMMAND_TIME, FILE_LIMIT, Asked, Questions
from pytest_gpu.survey.wishes import Wished, wishes

UNIT_LOG_LIMIT = 1 << 14
"""Bytes of the end of a daemon's own log file."""

MAX_ROUNDS = 4
"""Rounds of questions: a kubelet's flags, a configuration, its imports, what those name."""

_OF_PROCESS = re.compile(r"/proc/(\d+)/(environ|exe|fd|stat)")
_TEXTS = ("toml", "yaml", "json", "conf")
_NO_TEXTS = re.compile(r"/(proc|sys|dev|lib|usr/lib)(/|$)")


def wants(evidence: NodeEvidence, asked: Asked, cluster: ClusterEvidence) -> Questions | None:
    """Return the next round of questions, ``None`` when nothing more can be found out.

    Args:
        evidence: what is known of the node so far.
        asked: what was asked before; nothing is asked twice.
        cluster: the Kubernetes objects, which say where the toolkit is configured to write.
    """
    if asked.rounds == 0:
        return first_questions()
    if asked.rounds >= MAX_ROUNDS:
        return None
    further = _further(evidence, asked, cluster)
    if further.keys() and asked.rounds < MAX_ROUNDS - 1:
        return further
    if ("nvml", None) in asked.keys:
        return further if further.keys() else None
    return _with_nvml(further, evidence)


def _further(evidence: NodeEvidence, asked: Asked, cluster: ClusterEvidence) -> Questions:
    wished = wishes(cluster, evidence)
    noted, running = wished.noted, _daemons(wished)
    daemons = frozenset(process.pid for process in running)
    folders = [path for path in noted.directories if _is_asked(path, daemons)]
    texts = [f"{d}/*.{kind}" for d in folders if not _NO_TEXTS.match(d) for kind in _TEXTS]

    def fresh(kind: str, *whats: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(w for w in whats if (kind, w) not in asked.keys))

    commands = dict.fromkeys(_commands(wished, running), COMMAND_TIME)
    files = tuple(path for path in noted.files if _is_asked(path, daemons))
    logs = (*log_paths(cluster, evidence.name), *(p for p in files if p.startswith(f"{FOLDER}/")))
    tails = dict.fromkeys(logs, LOG_LIMIT)
    tails |= dict.fromkeys(_containerd_log(wished.node), UNIT_LOG_LIMIT)
    return Questions(
        list=fresh("list", *folders),
        stat=fresh("stat", *(path for path in noted.entries if _is_asked(path, daemons))),
        glob=dict.fromkeys(fresh("glob", *texts), FILE_LIMIT),
        read=dict.fromkeys(fresh("read", *(p for p in files if p not in tails)), FILE_LIMIT),
        tail={path: tails[path] for path in fresh("tail", *tails)},
        elf=fresh("elf", *noted.elves),
        run={argv: time for argv, time in commands.items() if ("run", argv) not in asked.keys},
        errors=wished.errors,
    )


def _containerd_log(node: Node) -> Iterator[str]:
    """Yield the file that containerd logs to, where its distribution keeps one."""
    path = distribution_of(node).containerd_log
    if path:
        yield path


def _is_asked(path: str, daemons: frozenset[int]) -> bool:
    match = _OF_PROCESS.fullmatch(path)
    return match is None or int(match[1]) in daemons


def _daemons(wished: Wished) -> tuple[Process, ...]:
    running = wished.attempt("processes", lambda: processes_of(wished.node)) or ()
    return tuple(process for process in running if process.program in DAEMONS)


def _commands(wished: Wished, running: Sequence[Process]) -> Iterator[tuple[str, ...]]:
    """Yield what must run on the node: versions, what the live CRI says, and the units' logs."""
    node = wished.node
    for process in running:
        if process.program == "containerd" and (program := _path(process)):
            yield program, "--version"
    if stopped := wished.attempt("stopped containerd", lambda: _stopped(node)):
        yield stopped, "--version"
    for program in wished.attempt("NVIDIA runtimes", lambda: _nvidia_runtimes(node)) or ():
        yield program, "--version"
    where = distribution_of(node)
    for unit in dict.fromkeys((where.kubelet_unit, where.containerd_unit)):
        yield _status(unit)
        yield _journal(unit)
    yield from (_status(unit) for unit in listed(node.evidence.commands))
    yield from (_journal(unit) for unit in listed_for_gpus(node.evidence.commands))
    yield from wished.attempt("disk usage", lambda: _disk_usage(node)) or ()
    kubelet = wished.attempt("kubelet", lambda: kubelet_of(node))
    if kubelet:
        yield from _crictl_info(node, kubelet)


def _disk_usage(node: Node) -> tuple[tuple[str, ...], ...]:
    """Return the commands that show which file system is full, if the kubelet says that one is."""
    pressure = refusing(node.cluster, object_of(node))
    wanted = pressure is not None and pressure.kind == "DiskPressure"
    return tuple(disk_usage.questions(node)) if wanted else ()


def _status(unit: str) -> tuple[str, ...]:
    return "systemctl", "status", "-l", f"{unit.removesuffix('.service')}.service"


def _journal(unit: str) -> tuple[str, ...]:
    return "journalctl", "-u", unit.removesuffix(".service"), "--no-pager", "-n", "200"


def _nvidia_runtimes(node: Node) -> tuple[str, ...]:
    """Return the NVIDIA runtimes that handlers start: what they start depends on their release."""
    programs = (str(handler.binary) for handler in gpu_runtimes(node))
    found = [each for each in programs if each.startswith("/") and not is_bottlerockets(each)]
    return tuple(dict.fromkeys(each for each in found if _is_there(node, each)))


def _stopped(node: Node) -> str:
    """Return the kubelet's containerd if it does not run, empty if it does or is not known."""
    if containerd_of(node).process is not None:
        return ""
    return stopped_program(node.evidence, distribution_of(node))


def _path(process: Process) -> str | None:
    """Return the path of a process's program, ``None`` if it was deleted."""
    for path in (process.argv[0], process.exe or ""):
        if path.startswith("/") and not path.endswith(DELETED):
            return path
    return None


def _crictl_info(node: Node, kubelet: Kubelet) -> Iterator[tuple[str, ...]]:
    crictl = crictl_of(node)
    if crictl and kubelet.runtime != "docker":
        yield *crictl, "--runtime-endpoint", f"unix://{kubelet.socket}", "info"


def crictl_of(node: Node) -> tuple[str, ...] | None:
    """Return the command line that starts the node's crictl, ``None`` if none was found."""
    for command in dict.fromkeys((distribution_of(node).crictl, *every.crictl_commands())):
        if PurePosixPath(command[0]).is_absolute() and _is_there(node, command[0]):
            return command
    return None


def _is_there(node: Node, path: str) -> bool:
    return known(lambda: node.evidence.entry(node.evidence.resolve(path))) is not None


def _with_nvml(further: Questions, evidence: NodeEvidence) -> Questions:
    paths = (f"{directory}/{NVML}" for directory in (*DIRECTORIES, *every.libraries()))
    there = tuple(path for path in paths if known(partial(evidence.entry, path)))
    return replace(further, nvml=there)
