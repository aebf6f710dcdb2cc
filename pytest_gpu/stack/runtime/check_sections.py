"""Whether a version 1 file has the CRI's section under two names, of which one counts by chance.

Source: ``v1Migrate`` of containerd 2.x (cmd/containerd/server/config/config.go): it goes over a Go
map of the file's sections, whose order is another one each time, and renames ``cri`` to
``io.containerd.grpc.v1.cri``; what it sees last stays. 1.x reads the section ``cri`` only.
"""

from __future__ import annotations

from pytest_gpu.causes import Evidence, Finding, join
from pytest_gpu.checks import check
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.containerd.config_file import CRI_V1, CRI_V2, ConfigFile, subtable
from pytest_gpu.stack.kubelet.containerd import containerd_of


@check("runtime/section-twice")
def section_twice(node: Node) -> Finding | None:
    """Find a file whose two sections for the CRI differ: each start may take the other one."""
    if not containerd_of(node).generation.takes_over_older_sections:
        return None
    for file in containerd_of(node).config.files:
        if file.version < 2 and _differ(file):
            return Finding.of(
                "runtime/cri-section-twice",
                _line(file, CRI_V1),
                _line(file, CRI_V2),
                file=file.path,
                release=containerd_of(node).release,
                config=containerd_of(node).config_path,
            )
    return None


def _differ(file: ConfigFile) -> bool:
    plugins = subtable(file.table, "plugins")
    old, new = plugins.get(CRI_V1), plugins.get(CRI_V2)
    return old is not None and new is not None and old != new


def _line(file: ConfigFile, section: str) -> Evidence:
    """Return the line at which a section begins, with the handlers that it defines."""
    line = file.at(("plugins", section))
    table = subtable(subtable(subtable(file.table, "plugins"), section), "containerd")
    handlers = join([*subtable(table, "runtimes")]) or "none"
    return Evidence(source=line.source, line=line.line, text=f"{line.text}  (handlers: {handlers})")
