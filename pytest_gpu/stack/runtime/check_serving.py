"""Whether the kubelet uses a containerd that runs and serves the CRI now."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.checks import check
from pytest_gpu.errors import Unproven
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.message_file import Where
from pytest_gpu.messages import understood
from pytest_gpu.stack.distributions.detect import distribution_of
from pytest_gpu.stack.docker.check_docker import docker_evidence
from pytest_gpu.stack.host.systemd_unit import service
from pytest_gpu.stack.kube.nodes import readiness
from pytest_gpu.stack.kube.objects import object_of
from pytest_gpu.stack.kubelet import beside, unit_end
from pytest_gpu.stack.kubelet.containerd import CRI_O, containerd_of
from pytest_gpu.stack.kubelet.kubelet import CONFIG as KUBELET_CONFIG
from pytest_gpu.stack.kubelet.kubelet import kubelet_of
from pytest_gpu.stack.kubelet.unit_end import ends_again_and_again
from pytest_gpu.stack.runtime.cri_log import cri_log, cri_refusal, last_words
from pytest_gpu.stack.runtime.daemon_ends import crash_loop, refuses_its_files
from pytest_gpu.stack.runtime.serves_now import serves_now

_ENDPOINT = re.compile(r"container-?runtime-?endpoint", re.IGNORECASE)


@check("runtime/uses-no-containerd")
def uses_no_containerd(node: Node) -> Finding | None:
    """Find a kubelet that still uses Docker although GPUs are set up for containerd.

    Raises:
        Unproven: it uses a runtime whose configuration this version cannot judge.
    """
    kubelet = kubelet_of(node)
    if kubelet.runtime == "docker":
        return Finding.of("runtime/kubelet-uses-docker", *docker_evidence(node))
    if kubelet.runtime == "cri-o":
        raise Unproven(CRI_O)
    return None


@check("runtime/works")
def works(node: Node) -> bool:
    """Say whether the running containerd serves the CRI: faults on disk are not loaded yet."""
    return serves_now(node)


@check("runtime/not-running")
def not_running(node: Node) -> Finding | None:
    """Find that nothing listens on the kubelet's CRI socket, and why.

    containerd's own words count, and what its files on disk say; a file that it refuses outranks
    the crash that follows from it.
    """
    containerd = containerd_of(node)
    if containerd.process is not None:
        return None
    nobody = Evidence(source="/proc/net/unix", text=f"no containerd listens on {containerd.socket}")
    seen = tuple(beside.beside(node)) or (Evidence(source="/proc", text="no containerd runs"),)
    if why := refuses_its_files(node):
        evidence = dict.fromkeys((*why.evidence, nobody, *seen, *last_words(node)))
        return Finding(cause=why.cause, evidence=tuple(evidence), values=why.values)
    if end := ends_again_and_again(node, distribution_of(node).containerd_unit):
        return crash_loop(node, end, nobody)
    return Finding.of(
        "runtime/containerd-not-running",
        nobody,
        *_told(node),
        *seen,
        *(cri_log(node) or last_words(node)),
        socket=containerd.socket,
    )


@check("runtime/restarted-again")
def restarted_again(node: Node) -> Finding | None:
    """Find a containerd that runs for less than a minute, after systemd restarted it repeatedly.

    Where a distribution's own service runs it, that service is judged with the kubelet.
    """
    where = distribution_of(node)
    if where.containerd_unit == where.kubelet_unit:
        return None
    end = unit_end.restarted_again(node, where.containerd_unit)
    return crash_loop(node, end) if end else None


def _told(node: Node) -> Iterator[Evidence]:
    """Yield the lines that set the socket of a kubelet that does not run."""
    if kubelet_of(node).running:
        return
    for path in (*service(node.evidence, distribution_of(node).kubelet_unit).files, KUBELET_CONFIG):
        text = (known(partial(node.evidence.read, path)) or b"").decode(errors="replace")
        for number, line in enumerate(text.splitlines(), 1):
            if _ENDPOINT.search(line) and not line.lstrip().startswith("#"):
                yield Evidence(source=path, line=number, text=line.strip())


@check("runtime/silent")
def silent(node: Node) -> Finding | None:
    """Find a running containerd that does not answer the CRI.

    If it could not be asked (a host without crictl), the kubelet's answer counts: a node whose
    runtime does not answer is NotReady within half a minute.

    Raises:
        Unproven: it was not asked.
    """
    live = containerd_of(node).live
    if live is None:
        if readiness(object_of(node)).ready:
            return None
        raise Unproven("the running containerd was not asked (crictl info)")
    if not live.error:
        return None
    said = cri_refusal(node)
    refused = understood(node, said.text, Where.CONTAINERD) if said else None
    return Finding.of(
        refused.cause if refused else "runtime/cri-not-served",
        Evidence(source=live.command, text=_last_line(live.error)),
        *cri_log(node),
        socket=containerd_of(node).socket,
        config=containerd_of(node).config_path,
        **(refused.values if refused else {}),
    )


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1] if text.strip() else "(no output)"
