"""Templates and settings with which the next start of a distribution ends in an error."""

from __future__ import annotations

import re
import tomllib

from pytest_gpu.causes import Evidence, Finding, evidence_at
from pytest_gpu.diagnose import next_start
from pytest_gpu.node.config_file import CRI_V2, CRI_V3
from pytest_gpu.node.gpu_node import GpuNode
from pytest_gpu.node.rendered import Rendering, Template

_HEADER = re.compile(r"^\s*(\[[^\[\]].*\])\s*(#.*)?$")


def damaged(node: GpuNode, made: Rendering) -> Finding | None:
    """Find a template whose result no containerd can read."""
    template = made.template
    if template is None:
        return None
    seen = None
    if template.error:
        seen = Evidence(source=template.path, text=f"can be no valid TOML: {template.error}")
    elif template.base and not next_start.merges(node):
        seen = _twice(node, made, template)
    if seen is None:
        return None
    return next_start.finding(node, made, "runtime/template-damaged", seen)


def _twice(node: GpuNode, made: Rendering, template: Template) -> Evidence | None:
    """Return the line of a table that the built-in template, which is included, has as well.

    Source: k3s issue 13678: such a file is no valid TOML, and containerd does not start.
    """
    plugin = CRI_V3 if made.version >= 3 else CRI_V2
    runtimes = ("plugins", plugin, "containerd", "runtimes")
    built_in = {("plugins", plugin), (*runtimes, "runc"), (*runtimes, "runc", "options")}
    for number, line in enumerate(template.text.splitlines(), 1):
        match = _HEADER.match(line)
        keys = _keys(match[1]) if match else ()
        listed = keys[:-1] == runtimes and keys[-1] in next_start.DETECTED
        if keys in built_in or (listed and keys[-1] in next_start.found_runtimes(node)):
            text = f"{line.strip()}: the included base template has this table, too"
            return Evidence(source=template.path, line=number, text=text)
    return None


def _keys(header: str) -> tuple[str, ...]:
    try:
        table = tomllib.loads(header)
    except tomllib.TOMLDecodeError:
        return ()
    keys: list[str] = []
    while table:
        ((key, table),) = table.items()
        keys.append(key)
    return tuple(keys)


def default_not_found(node: GpuNode, made: Rendering) -> Finding | None:
    """Find a default runtime that k3s or RKE2 will not find, and then refuse to start."""
    if made.style != "k3s":
        return None
    default = next_start.configured_default(node)
    if default != "nvidia" or "nvidia" in next_start.found_runtimes(node):
        return None
    config = f"/etc/rancher/{node.distribution.name}/config.yaml"
    text = (node.evidence.read(config) or b"").decode(errors="replace")
    runtime = node.containerd.config.runtimes.get(default)
    if runtime and runtime.binary and next_start.also_on_path(node, runtime.binary):
        return None
    return next_start.finding(
        node,
        made,
        "runtime/default-runtime-not-found",
        evidence_at(config, text, "default-runtime"),
        Evidence(source="nvidia-container-runtime", text=next_start.NOT_FOUND),
    )
