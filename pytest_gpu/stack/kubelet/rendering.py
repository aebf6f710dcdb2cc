"""How a distribution renders this node's containerd configuration."""

from __future__ import annotations

from pytest_gpu.gpu_node import Node, fact
from pytest_gpu.stack.containerd.templates import Rendering, rendering
from pytest_gpu.stack.kubelet.containerd import containerd_of


@fact
def rendering_of(node: Node) -> Rendering | None:
    """Return how this node's containerd configuration is rendered, ``None`` if it is not.

    Raises:
        NotInEvidence: nobody looked for its templates.
    """
    containerd = containerd_of(node)
    return rendering(node.evidence, containerd.config_path, containerd.version)
