"""What a distribution's next start makes of a configuration that it renders each time.

Sources: k3s ``pkg/agent/containerd`` (``config_linux.go``, ``runtimes.go``): ``default runtime
nvidia was not found`` ends the start. What is looked for, and where, stands with the distribution.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.errors import NotInEvidence
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.containerd.config_file import CRI_V1, CRI_V2, CRI_V3, subtable
from pytest_gpu.stack.containerd.templates import Rendering, Template
from pytest_gpu.stack.cri.handler import Handler
from pytest_gpu.stack.distributions import default_runtime
from pytest_gpu.stack.distributions.default_runtime import Default
from pytest_gpu.stack.distributions.detect import distribution_of
from pytest_gpu.stack.host.nvidia_programs import is_nvidia
from pytest_gpu.stack.host.processes import SEARCH_PATH, processes_of
from pytest_gpu.stack.kubelet.containerd import containerd_of
from pytest_gpu.stack.kubelet.rendering import merges, rendering_of
from pytest_gpu.stack.repair.template_loss import IMPORTS, lost_settings
from pytest_gpu.stack.toolkit.host_programs import search_path
from pytest_gpu.steps import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class NextStart:
    """What the next start will read.

    ``handlers`` are the GPU handlers; ``default`` is the default runtime, ``None`` where only
    flags of a service could tell.
    """

    rendering: Rendering
    handlers: frozenset[str]
    default: str | None


def predict(node: Node) -> NextStart | None:
    """Return what the next start will read, ``None`` where no file is rendered or it stays open.

    Raises:
        NotInEvidence: a template or a place of the runtime was not looked at.
    """
    made = rendering_of(node)
    if made is None:
        return None
    template = made.template
    if template and template.table is None:
        return None
    table = template.table if template and template.table else {}
    names = counting(node, made, template)
    handlers = {name for name, binary in by_hand(table, names).items() if is_nvidia(binary)}
    handlers |= {each.name for each in _of_drop_ins(node, made)}
    if lists_found_ones(node, made):
        handlers |= set(found_runtimes(node, made))
    return NextStart(
        rendering=made,
        handlers=frozenset(handlers),
        default=_default(table, names) or configured_default(node).name,
    )


def lists_found_ones(node: Node, made: Rendering) -> bool:
    """Say whether the next start adds the runtimes that it finds on the node."""
    template = made.template
    if not made.rule.found:
        return False
    return template is None or template.base or template.detects or merges(node, made)


def counting(node: Node, made: Rendering, template: Template | None) -> tuple[str, ...]:
    """Return the names of CRI sections that count in what the next start renders."""
    told = template.table.get("version") if template and template.table else None
    own = template is None or template.base or merges(node, made)
    version = made.version if own and made.rule.base else int(told or 1)
    if not containerd_of(node).generation.takes_over_older_sections:
        return (CRI_V1,) if version == 1 else (CRI_V2,)
    return (CRI_V3,) if version >= 3 else (CRI_V3, CRI_V2, CRI_V1)[: 2 if version == 2 else 3]


def by_hand(table: Mapping[str, Any], plugins: Sequence[str]) -> Mapping[str, str]:
    """Return the program of every handler that stands under one of these sections."""
    found: dict[str, str] = {}
    for plugin in plugins:
        section = subtable(subtable(subtable(table, "plugins"), plugin), "containerd")
        for name, entry in subtable(section, "runtimes").items():
            options = subtable(entry, "options") if isinstance(entry, Mapping) else {}
            found[name] = str(options.get("BinaryName", ""))
    return found


def _default(table: Mapping[str, Any], plugins: Sequence[str]) -> str | None:
    for plugin in plugins:
        section = subtable(subtable(subtable(table, "plugins"), plugin), "containerd")
        if name := section.get("default_runtime_name"):
            return str(name)
    return None


def _of_drop_ins(node: Node, made: Rendering) -> list[Handler]:
    """Return the GPU handlers of files that are still imported."""
    containerd = containerd_of(node)
    if any(each.name == IMPORTS for each in lost_settings(node)):
        return []
    runtimes = (containerd.config.runtimes[name] for name in containerd.gpu_handlers)
    return [runtime for runtime in runtimes if runtime.source.source != made.path]


def found_runtimes(node: Node, made: Rendering) -> Mapping[str, str]:
    """Return the NVIDIA runtimes that the distribution would find now, by handler.

    Raises:
        NotInEvidence: a folder was not looked at, and none before it has the program.
    """
    folders = (*made.rule.folders, *_service_path(node))
    found: dict[str, str] = {}
    for handler, program in made.rule.found.items():
        for folder in folders if handler in _looked_for(node) else ():
            path = posixpath.join(folder, program)
            if node.evidence.entry(path) is not None:
                found[handler] = path
                break
    return found


def _service_path(node: Node) -> Sequence[str]:
    """Return the service's PATH as containerd has it, without the folders of the distribution.

    It puts its own folders before it. Where it is not in evidence: the usual one.
    """
    path = search_path(node.evidence, containerd_of(node).process)
    home = distribution_of(node).home
    if not path.known:
        return SEARCH_PATH
    return [each for each in path.folders if not (home and each.startswith(home))]


def _looked_for(node: Node) -> frozenset[str]:
    """Return the handlers that matter: the plain one, and those that the files have now."""
    return frozenset({"nvidia", *containerd_of(node).gpu_handlers})


def also_on_path(node: Node, binary: str) -> bool:
    """Say whether the service's own PATH leads to a program outside the usual folders.

    Source: docs.rke2.io, "GPU Operators": PATH is set in the service's environment file.

    Raises:
        NotInEvidence: nobody read an environment file of the service.
    """
    files = distribution_of(node).environment_files
    told = b"\n".join(node.evidence.read(path) or b"" for path in files).decode(errors="replace")
    folders = re.findall(r"(?m)^[^\S\n]*PATH=[\"']?([^\"'\n]+)", told)
    return any(posixpath.dirname(binary) in path.split(":") for path in folders)


def configured_default(node: Node) -> Default:
    """Return ``default-runtime`` of the distribution's flags, else of its settings.

    Raises:
        NotInEvidence: nobody read a file of the settings, or it is none.
    """
    told = default_runtime.configured_default(
        processes_of(node), node.evidence, distribution_of(node)
    )
    if told.unread:
        raise NotInEvidence(node.name, f"a readable {told.unread[0]}")
    return told


def finding(
    node: Node, made: Rendering, cause: str, *evidence: Evidence, **values: Value
) -> Finding:
    """Return a finding about how a configuration is rendered, with its paths filled in."""
    template = made.template.path if made.template else made.wanted
    paths = {"config": made.path, "template": template, "wanted": made.wanted}
    always: dict[str, Value] = {**paths, "version": str(made.version), "patch": ()}
    return Finding.of(cause, *evidence, **{**always, **values})
