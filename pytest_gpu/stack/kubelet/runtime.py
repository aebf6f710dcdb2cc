"""Which container runtime the kubelet uses: the one place that chooses an implementation."""

from __future__ import annotations

from pytest_gpu.gpu_node import Node, fact
from pytest_gpu.stack.cri.container_runtime import ContainerRuntime
from pytest_gpu.stack.kubelet.containerd import containerd_of


@fact
def runtime_of(node: Node) -> ContainerRuntime:
    """Return the container runtime that this kubelet uses.

    Raises:
        Unproven: it is one whose configuration is not judged yet, or that is not known.
        NotInEvidence: what tells of it was not read.
    """
    return containerd_of(node)
