"""What a visit asks a node: a small fixpoint, from what is known to what is still to be asked.

A pure function; who carries the questions to the node and back does not matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath

from pytest_gpu.evidence import ClusterEvidence, NodeEvidence
from pytest_gpu.node.distributions import CRICTL_PLACES
from pytest_gpu.node.gpu_node import GpuNode
from pytest_gpu.node.libraries import DIRECTORIES, NVML, SEALED
from pytest_gpu.node.processes import DAEMONS, DELETED, Process
from pytest_gpu.node.survey_base import first_questions
from pytest_gpu.node.survey_logs import LOG_LIMIT, log_paths
from pytest_gpu.node.survey_questions import COMMAND_TIME, FILE_LIMIT, Asked, Questions
from pytest_gpu.node.survey_wishes import Wishes, sensible, wishes

MAX_ROUNDS = 4
"""Rounds of questions: a kubelet's flags, a configuration, its imports, what those name."""

_OF_PROCESS = re.compile(r"/proc/(\d+)/(environ|exe|fd|stat)")
_TEXTS = ("toml", "yaml", "json", "conf")
_NO_TEXTS = re.compile(r"/(proc|sys|dev|lib|usr/lib)(/|$)")


def wants(evidence: NodeEvidence, asked: Asked, cluster: ClusterEvidence) -> Questions | None:
    """Return the next round of questions, ``None`` when all that can be known is.

    Args:
        evidence: what is known of the node so far.
        asked: what was asked before; nothing is asked twice.
        cluster: the Kubernetes objects, which tell where the toolkit was told to write.
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
    noted, node = wishes(cluster, evidence)
    daemons = frozenset(process.pid for process in _daemons(node))
    folders = [path for path in noted.directories if _is_asked(path, daemons)]
    texts = [f"{d}/*.{kind}" for d in folders if not _NO_TEXTS.match(d) for kind in _TEXTS]

    def fresh(kind: str, *whats: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(w for w in whats if (kind, w) not in asked.keys))

    commands = dict.fromkeys(_commands(node), COMMAND_TIME)
    return Questions(
        list=fresh("list", *folders),
        stat=fresh("stat", *(path for path in noted.entries if _is_asked(path, daemons))),
        glob=dict.fromkeys(fresh("glob", *texts), FILE_LIMIT),
        read=dict.fromkeys(fresh("read", *_files(noted, daemons)), FILE_LIMIT),
        tail=dict.fromkeys(fresh("tail", *log_paths(cluster, evidence.name)), LOG_LIMIT),
        elf=fresh("elf", *noted.elves),
        run={argv: time for argv, time in commands.items() if ("run", argv) not in asked.keys},
    )


def _files(noted: Wishes, daemons: frozenset[int]) -> Iterator[str]:
    for path in noted.files:
        if _is_asked(path, daemons):
            yield path


def _is_asked(path: str, daemons: frozenset[int]) -> bool:
    match = _OF_PROCESS.fullmatch(path)
    return match is None or int(match[1]) in daemons


def _daemons(node: GpuNode) -> tuple[Process, ...]:
    running = sensible(lambda: node.processes) or ()
    return tuple(process for process in running if process.program in DAEMONS)


def _commands(node: GpuNode) -> Iterator[tuple[str, ...]]:
    """Yield what must run on the node: versions, what the live CRI says, and the units' logs."""
    for process in _daemons(node):
        if process.program == "containerd" and (program := _path(process)):
            yield program, "--version"
    unit = node.distribution.kubelet_unit.removesuffix(".service")
    yield "systemctl", "status", "-l", f"{unit}.service"
    yield _journal(node.distribution.containerd_unit)
    if (kubelet := sensible(lambda: node.kubelet)) and not kubelet.running:
        yield _journal(unit)
    yield from _crictl_info(node)


def _journal(unit: str) -> tuple[str, ...]:
    return "journalctl", "-u", unit, "--no-pager", "-n", "200"


def _path(process: Process) -> str | None:
    """Return where a process's program lies; one that was deleted cannot be asked."""
    for path in (process.argv[0], process.exe or ""):
        if path.startswith("/") and not path.endswith(DELETED):
            return path
    return None


def _crictl_info(node: GpuNode) -> Iterator[tuple[str, ...]]:
    kubelet = sensible(lambda: node.kubelet)
    crictl = crictl_of(node)
    if kubelet and crictl and kubelet.runtime != "docker":
        yield *crictl, "--runtime-endpoint", f"unix://{kubelet.socket}", "info"


def crictl_of(node: GpuNode) -> tuple[str, ...] | None:
    """Return the command line that starts the node's crictl, ``None`` if none was found."""
    for command in dict.fromkeys((node.distribution.crictl, *CRICTL_PLACES)):
        if PurePosixPath(command[0]).is_absolute() and _is_there(node, command[0]):
            return command
    return None


def _is_there(node: GpuNode, path: str) -> bool:
    return sensible(lambda: node.evidence.entry(node.evidence.resolve(path))) is not None


def _with_nvml(further: Questions, evidence: NodeEvidence) -> Questions:
    paths = (f"{directory}/{NVML}" for directory in (*DIRECTORIES, *SEALED))
    there = tuple(path for path in paths if sensible(partial(evidence.entry, path)))
    return replace(further, nvml=there)
