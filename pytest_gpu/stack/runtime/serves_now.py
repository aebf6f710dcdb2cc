"""Whether the kubelet's containerd works now, whatever its files on disk say."""

from __future__ import annotations

from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.kube.nodes import readiness
from pytest_gpu.stack.kube.objects import object_of
from pytest_gpu.stack.kubelet.containerd import containerd_of


def serves_now(node: Node) -> bool:
    """Say whether the running containerd serves the CRI: what it has loaded works.

    If it was not asked itself, the kubelet's word counts: without a runtime, a node is NotReady
    within half a minute.

    Raises:
        NotInEvidence: it is not known who listens on the kubelet's socket.
    """
    containerd = containerd_of(node)
    if containerd.process is None or containerd.error:
        return False
    asked_itself = containerd.live is not None and containerd.live.config is not None
    return asked_itself or readiness(object_of(node)).ready
