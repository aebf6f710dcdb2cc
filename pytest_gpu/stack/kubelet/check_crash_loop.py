"""Whether the kubelet ends by itself again and again.

Each start posts a status, so that the Node stays Ready; what shows it is systemd.
"""

from __future__ import annotations

import re

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.checks import check
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.distributions.default_runtime import configured_default
from pytest_gpu.stack.distributions.detect import distribution_of
from pytest_gpu.stack.host.processes import processes_of
from pytest_gpu.stack.kube.nodes import readiness
from pytest_gpu.stack.kube.objects import object_of
from pytest_gpu.stack.kubelet import unit_end
from pytest_gpu.stack.kubelet.config_refused import refused_config
from pytest_gpu.stack.kubelet.containerd import containerd_of
from pytest_gpu.stack.kubelet.kubelet import kubelet_of
from pytest_gpu.stack.kubelet.serving import serving_runtime
from pytest_gpu.stack.kubelet.unit_advice import settings_of, unit_advice
from pytest_gpu.stack.kubelet.unit_end import UnitEnd, ends_again_and_again

LONGEST = 1_000
"""Characters that are read of the end of its last words."""

# k3s, pkg/agent/containerd
_NO_DEFAULT = re.compile(r"default runtime (?P<name>[\w.-]{1,100}) was not found")


@check("kubelet/crash-loop")
def crash_loop(node: Node) -> Finding | None:
    """Find a kubelet that has ended by itself, and that systemd is about to start again.

    If the runtime does not serve, the kubelet ends because of it: the runtime is what has to be
    looked at first. Where both are one service, that service is what ends, unless it ends because
    its containerd refuses its configuration.

    Raises:
        Unproven: it is not known whether the runtime serves.
    """
    end = ends_again_and_again(node, distribution_of(node).kubelet_unit)
    if end is None or _by_runtime(node, end):
        return None
    return _finding(node, end)


def _by_runtime(node: Node, end: UnitEnd) -> bool:
    where = distribution_of(node)
    if where.kubelet_unit != where.containerd_unit:
        return serving_runtime(node) is None
    if known(lambda: refused_config(node)):
        return True
    return "containerd" in end.said and bool(known(lambda: containerd_of(node).config.problems))


@check("kubelet/restarted-again")
def restarted_again(node: Node) -> Finding | None:
    """Find a kubelet that runs for less than a minute, after systemd restarted it repeatedly."""
    end = unit_end.restarted_again(node, distribution_of(node).kubelet_unit)
    return _finding(node, end) if end else None


def _finding(node: Node, end: UnitEnd) -> Finding:
    return _without_default(node, end) or _crash_loop(node, end)


def _without_default(node: Node, end: UnitEnd) -> Finding | None:
    """Find that k3s or RKE2 ends because it does not find the default runtime that it was told."""
    missing = _NO_DEFAULT.search(end.words.text[-LONGEST:]) if end.words else None
    if missing is None:
        return None
    processes = known(lambda: processes_of(node)) or ()
    told = known(lambda: configured_default(processes, node.evidence, distribution_of(node)))
    said = told.said if told else None
    return Finding.of(
        "access/default-runtime-not-found",
        *end.evidence,
        *((said,) if said else ()),
        default=missing["name"],
        where=said.source if said else "its flags or settings",
    )


def _crash_loop(node: Node, end: UnitEnd) -> Finding:
    state = readiness(object_of(node))
    kubelet = known(lambda: kubelet_of(node))
    where = distribution_of(node)
    files = kubelet.config_files if kubelet else ()
    return Finding.of(
        "access/kubelet-crash-loop",
        *end.evidence,
        Evidence(source=f"node {node.name}", text=state.shown),
        exit=end.exit or "its exit code is not shown",
        words=end.said,
        advice=unit_advice(end, where.kubelet_unit, settings_of(where, files)),
    )
