"""A fault of the handler that every pod gets which names none: then no pod at all starts."""

from __future__ import annotations

from dataclasses import replace

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.cri.handler import Handler
from pytest_gpu.stack.kubelet.containerd import containerd_of


def of_all_pods(node: Node, runtime: Handler, finding: Finding) -> Finding:
    """Return a fault that stops every container of a handler, told as the node's if it is default.

    Pods without a GPU are the first to show it, and the sandbox of every pod needs it, too.
    """
    containerd = containerd_of(node)
    if runtime.name != containerd.default_runtime:
        return finding
    return replace(
        finding,
        lead="No pod starts here, the default runtime is broken",
        evidence=(_default(node), *finding.evidence),
    )


def _default(node: Node) -> Evidence:
    """Return the line that makes a handler the default: on disk, or as containerd reports it."""
    containerd = containerd_of(node)
    if containerd.live is None or containerd.config.default_runtime == containerd.default_runtime:
        return containerd.config.origin("default_runtime_name")
    text = f"default runtime: {containerd.default_runtime}"
    return Evidence(source=containerd.live.command, text=text)
