"""The other container runtimes of a node, as evidence: one may have been configured instead."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_gpu.causes import Evidence
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.kubelet.runtimes import runtimes_of


def beside(node: Node) -> Iterator[Evidence]:
    """Yield a line for every runtime that is not the kubelet's, none where too little is known."""
    for runtime in known(lambda: runtimes_of(node)) or ():
        if not runtime.is_kubelets:
            yield Evidence(source=f"/proc/{runtime.process.pid}/cmdline", text=str(runtime))
