"""Why a configuration that is rendered at every start has no GPU handler now."""

from __future__ import annotations

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.containerd.templates import Rendering, Template
from pytest_gpu.stack.injection.cgroup_wanted import systemd_for_new
from pytest_gpu.stack.kubelet.rendering import rendering_of
from pytest_gpu.stack.repair import config_fix
from pytest_gpu.stack.repair.toml_diff import handler_table
from pytest_gpu.stack.runtime import next_start
from pytest_gpu.stack.runtime.check_templates import (
    alone,
    misplaced,
    nvidia_line,
    written_after_start,
)
from pytest_gpu.steps import Steps


def missing_by_template(node: Node) -> Finding | None:
    """Find why a rendered configuration has no GPU handler now, in its template.

    Raises:
        NotInEvidence: a template was not looked at.
    """
    made = rendering_of(node)
    if made is None:
        return None
    if finding := misplaced(node, made):
        return finding
    template = made.template
    if template is None:
        return None
    if line := nvidia_line(template, next_start.counting(node, made, template)):
        return _not_rendered(node, made, line)
    if template.table is not None and not next_start.lists_found_ones(node, made):
        return _without_nvidia(node, made, template) if made.rule.found else None
    return None


def _without_nvidia(node: Node, made: Rendering, template: Template) -> Finding:
    return next_start.finding(
        node, made, "runtime/template-without-nvidia", alone(template), patch=_handler(node, made)
    )


def _handler(node: Node, made: Rendering) -> Steps:
    """Return the patch that defines the handler in the template, if its runtime is installed."""
    binary = next_start.found_runtimes(node, made).get("nvidia")
    if binary is None:
        return ()
    table = handler_table(binary, systemd_cgroup=systemd_for_new(node))
    return config_fix.outlast(node, "nvidia", table)


def _not_rendered(node: Node, made: Rendering, line: Evidence) -> Finding:
    lacks = Evidence(source=made.path, text="was rendered before that: it has no such handler")
    return next_start.finding(node, made, "runtime/template-not-rendered", line, lacks)


def installed_after_start(node: Node) -> Finding | None:
    """Find an NVIDIA runtime that the next start will find by itself, and the last did not.

    Raises:
        NotInEvidence: nobody looked for templates or runtime.
    """
    made = rendering_of(node)
    if made is None or not next_start.lists_found_ones(node, made):
        return None
    path = next_start.found_runtimes(node, made).get("nvidia")
    if path is None:
        return None
    return next_start.finding(
        node,
        made,
        "runtime/installed-after-start",
        Evidence(source=path, text="is installed"),
        Evidence(source=made.path, text="lists no nvidia handler: rendered before it was there"),
        *written_after_start(node, path),
    )
