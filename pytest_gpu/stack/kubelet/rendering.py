"""How a distribution renders this node's containerd configuration."""

from __future__ import annotations

from pytest_gpu.gpu_node import Node, fact
from pytest_gpu.stack.containerd.release import parse_version
from pytest_gpu.stack.containerd.templates import Rendering, Template, rendering
from pytest_gpu.stack.kube.objects import node_info, object_of
from pytest_gpu.stack.kubelet.containerd import containerd_of


@fact
def rendering_of(node: Node) -> Rendering | None:
    """Return how this node's containerd configuration is rendered, ``None`` if it is not.

    Raises:
        NotInEvidence: nobody looked for its templates.
    """
    containerd = containerd_of(node)
    return rendering(node.evidence, containerd.config_path, containerd.version)


def merges(node: Node, made: Rendering) -> bool:
    """Say whether this release merges a template over its own one, rather than take it alone."""
    version = parse_version(str(node_info(object_of(node)).get("kubeletVersion", "")))
    if version is None:
        return True
    _, minor, patch = version
    return made.rule.merges(minor, patch)


def taken_alone(node: Node, made: Rendering) -> Template | None:
    """Return the template from which alone the next start renders, if what it says is known."""
    template = made.template
    if template is None or template.table is None or template.base:
        return None
    return None if made.rule.base and merges(node, made) else template
