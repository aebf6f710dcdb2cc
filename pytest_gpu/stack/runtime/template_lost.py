"""What the next start loses besides handlers, since a template that stands alone lacks it."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_gpu.causes import Evidence, Finding, join
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.containerd.templates import Rendering
from pytest_gpu.stack.kubelet.containerd import containerd_of
from pytest_gpu.stack.repair import config_fix
from pytest_gpu.stack.repair.template_loss import IMPORTS, lost_settings
from pytest_gpu.stack.runtime import next_start


def loses_settings(node: Node, made: Rendering) -> Finding | None:
    """Find settings of the rendered file that its template does not have."""
    lost = lost_settings(node)
    if not lost:
        return None
    return next_start.finding(
        node,
        made,
        "runtime/template-loses-settings",
        *lost_lines(node, made),
        what=join([each.name for each in lost]),
        patch=config_fix.restore(node, {}),
    )


def lost_lines(node: Node, made: Rendering) -> Iterator[Evidence]:
    """Yield what a template lacks besides handlers: each line of the file as it is rendered now."""
    lost = known(lambda: lost_settings(node)) or ()
    for each in lost:
        yield each.said
        yield from _of_drop_ins(node, made) if each.name == IMPORTS else ()
    yield from (each.instead for each in lost if each.instead)
    names = join([each.name for each in lost if not each.instead])
    if names and made.template:
        yield Evidence(source=made.template.path, text=f"does not set {names}")


def _of_drop_ins(node: Node, made: Rendering) -> Iterator[Evidence]:
    """Yield the lines of GPU handlers that are defined in files which are imported."""
    config = containerd_of(node).config
    for name in containerd_of(node).gpu_handlers:
        if config.runtimes[name].source.source != made.path:
            yield config.runtimes[name].source
