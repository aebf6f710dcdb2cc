"""Whether the kubelet ends by itself again and again.

Each start posts a status, so that the Node stays Ready; what shows it is systemd.
"""

from __future__ import annotations

from pytest_gpu.causes import Evidence, Finding, join
from pytest_gpu.checks import check
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.distributions.detect import distribution_of
from pytest_gpu.stack.host.systemd_status import UnitStatus, unit_status
from pytest_gpu.stack.kube.nodes import readiness
from pytest_gpu.stack.kube.objects import object_of
from pytest_gpu.stack.kubelet.kubelet import kubelet_of
from pytest_gpu.stack.kubelet.serving import serving_runtime

AGAIN = 2
"""Restarts by systemd in a row that are no accident."""


@check("kubelet/crash-loop")
def crash_loop(node: Node) -> Finding | None:
    """Find a kubelet that has ended by itself, and that systemd is about to start again.

    If the runtime does not serve, the kubelet ends because of it: the runtime is what has to be
    looked at first. Where both are one service, that service is what ends.

    Raises:
        Unproven: it is not known whether the runtime serves.
    """
    status = _status(node)
    if status is None or not status.restarts:
        return None
    if not _one_service(node) and serving_runtime(node) is None:
        return None
    return _finding(node, status)


@check("kubelet/restarted-again")
def restarted_again(node: Node) -> Finding | None:
    """Find a kubelet that runs for less than a minute, after systemd restarted it repeatedly."""
    status = _status(node)
    if status is None or not status.just_started or status.counter < AGAIN:
        return None
    return _finding(node, status)


def _status(node: Node) -> UnitStatus | None:
    return unit_status(node.evidence.commands, distribution_of(node).kubelet_unit)


def _one_service(node: Node) -> bool:
    where = distribution_of(node)
    return where.kubelet_unit == where.containerd_unit


def _finding(node: Node, status: UnitStatus) -> Finding:
    state, words = readiness(object_of(node)), status.last_words
    kubelet = known(lambda: kubelet_of(node))
    return Finding.of(
        "access/kubelet-crash-loop",
        *status.evidence,
        Evidence(source=f"node {node.name}", text=state.shown),
        exit=status.exit or "its exit code is not shown",
        words=words.text if words else "(none in the evidence)",
        files=join(kubelet.config_files if kubelet else ()) or "its flags and files",
    )
