"""The process behind the kubelet's CRI socket, if it serves."""

from __future__ import annotations

from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.host.processes import Process, processes_of
from pytest_gpu.stack.kubelet.kubelet import kubelet_of
from pytest_gpu.stack.kubelet.runtime import runtime_of


def serving_runtime(node: Node) -> Process | None:
    """Return the process behind the CRI socket, ``None`` if the CRI is not served.

    Raises:
        Unproven: it is not known.
    """
    if kubelet_of(node).runtime == "docker":
        return next((p for p in processes_of(node) if p.is_program("dockerd")), None)
    return None if runtime_of(node).error else runtime_of(node).process
