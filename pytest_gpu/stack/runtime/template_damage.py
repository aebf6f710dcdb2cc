"""Templates and settings with which the next start of a distribution ends in an error."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.gpu_node import Node
from pytest_gpu.parsing import MalformedError, toml
from pytest_gpu.stack.containerd.config_file import CRI_V2, CRI_V3, subtable
from pytest_gpu.stack.containerd.templates import Rendering, Template
from pytest_gpu.stack.kubelet.containerd import containerd_of
from pytest_gpu.stack.kubelet.rendering import merges
from pytest_gpu.stack.runtime import next_start

_HEADER = re.compile(r"^\s*(\[[^\[\]].*\])\s*(#.*)?$")


def damaged(node: Node, made: Rendering) -> Finding | None:
    """Find a template whose result no containerd can read."""
    template = made.template
    if template is None:
        return None
    seen = None
    if template.error:
        seen = Evidence(source=template.path, text=f"can be no valid TOML: {template.error}")
    elif template.base and not merges(node, made):
        seen = _twice(node, made, template)
    if seen is None:
        return None
    return next_start.finding(node, made, "runtime/template-damaged", seen)


def _twice(node: Node, made: Rendering, template: Template) -> Evidence | None:
    """Return the line of a table that the built-in template, which is included, has as well.

    Source: k3s issue 13678: such a file is no valid TOML, and containerd does not start.
    """
    plugin = CRI_V3 if made.version >= 3 else CRI_V2
    runtimes = ("plugins", plugin, "containerd", "runtimes")
    built_in = {("plugins", plugin), (*runtimes, "runc"), (*runtimes, "runc", "options")}
    for number, line in enumerate(template.text.splitlines(), 1):
        match = _HEADER.match(line)
        keys = _keys(match[1]) if match else ()
        listed = keys[:-1] == runtimes and keys[-1] in made.rule.found
        again = keys in built_in or (listed and keys[-1] in next_start.found_runtimes(node, made))
        if again and not _went_well(node, template, keys):
            text = f"{line.strip()}: the included base template has this table, too"
            return Evidence(source=template.path, line=number, text=text)
    return None


def _went_well(node: Node, template: Template, keys: tuple[str, ...]) -> bool:
    """Say whether the rendered file holds what a table of the template says: both were merged.

    Which release does so first was told from dates; what was rendered is surer.
    """
    files = containerd_of(node).config.files
    root = next((each for each in files if each.path == containerd_of(node).config_path), None)
    mine: Mapping[str, Any] = template.table or {}
    theirs: Mapping[str, Any] = root.table if root else {}
    for key in keys:
        mine, theirs = subtable(mine, key), subtable(theirs, key)
    return bool(mine) and _holds(theirs, mine)


def _holds(table: Mapping[str, Any], told: Mapping[str, Any]) -> bool:
    """Say whether a table has every value of another one."""
    return all(
        _holds(subtable(table, key), value)
        if isinstance(value, Mapping)
        else table.get(key) == value
        for key, value in told.items()
    )


def _keys(header: str) -> tuple[str, ...]:
    try:
        table = toml(header.encode())
    except MalformedError:
        return ()
    keys: list[str] = []
    while table:
        ((key, table),) = table.items()
        keys.append(key)
    return tuple(keys)


def default_not_found(node: Node, made: Rendering) -> Finding | None:
    """Find a default runtime that the distribution will not find, and then refuse to start."""
    if not made.rule.found:
        return None
    default = next_start.configured_default(node)
    if default.name != "nvidia" or "nvidia" in next_start.found_runtimes(node, made):
        return None
    runtime = containerd_of(node).config.runtimes.get(default.name)
    if runtime and runtime.binary and next_start.also_on_path(node, runtime.binary):
        return None
    return next_start.finding(
        node,
        made,
        "runtime/default-runtime-not-found",
        *((default.said,) if default.said else ()),
        Evidence(source="nvidia-container-runtime", text=made.rule.not_found),
    )
