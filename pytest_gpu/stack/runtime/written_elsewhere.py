"""A handler that was set up where the kubelet's containerd does not read it, and why not."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.containerd.config_file import ConfigFile, cri_plugin, handler_line
from pytest_gpu.stack.containerd.search import Written
from pytest_gpu.stack.host.processes import processes_of
from pytest_gpu.stack.kubelet.beside import beside
from pytest_gpu.stack.kubelet.containerd import containerd_of, others
from pytest_gpu.stack.kubelet.containerd_runtime import Containerd
from pytest_gpu.stack.kubelet.listeners import DEFAULT_CONFIG
from pytest_gpu.stack.kubelet.runtimes import runtimes_of
from pytest_gpu.stack.repair import config_fix
from pytest_gpu.stack.repair.config_places import handler_in
from pytest_gpu.stack.runtime.handler_fix import define_handler
from pytest_gpu.stack.runtime.overwritten import (
    overwritten,
)
from pytest_gpu.stack.toolkit.instructions import DEFAULT_DROP_IN, toolkit_of
from pytest_gpu.stack.toolkit.operator_values import toolkit_values
from pytest_gpu.stack.toolkit.toolkit_pods import stale_validators, toolkit_pod_evidence


def replaced(node: Node, found: Sequence[Written]) -> Finding | None:
    """Find the handler in a file that is read, but whose section a later file replaces."""
    config = containerd_of(node).config
    read = {file.path for file in config.files}
    lost = [each for each in found if each.file.path in read]
    if not lost:
        return None
    last, name = _last_with_cri(config.files), lost[-1].handlers[0]
    if last.path == lost[-1].file.path:
        return None  # nothing comes after it: it counts, whatever its handler starts
    return Finding.of(
        "runtime/section-replaced-by-import",
        *_defined_in(lost),
        Evidence(
            source=last.path,
            text=f"imported later: its CRI section ({cri_plugin(last.version)})"
            " is the one that counts",
        ),
        *stale_validators(node),
        lost=lost[-1].file.path,
        last=last.path,
        release=containerd_of(node).release,
        **config_fix.add_handler(node, name, handler_in(lost[-1].file, name)).values,
    )


def _last_with_cri(files: Sequence[ConfigFile]) -> ConfigFile:
    """Return the last file read that has a CRI section of its version."""
    with_section = [f for f in files if cri_plugin(f.version) in f.table.get("plugins", {})]
    return (with_section or list(files))[-1]


def written_elsewhere(node: Node, found: Sequence[Written]) -> Finding | None:
    """Find the handler in a file that the kubelet's containerd does not read."""
    read = {file.path for file in containerd_of(node).config.files}
    found = [each for each in found if each.file.path not in read]
    if not found:
        return None
    for other in others(containerd_of(node), processes_of(node), node.evidence):
        theirs = {file.path for file in other.config.files}
        if hits := [each for each in found if each.file.path in theirs]:
            return _other_containerd(node, other, hits)
    if hits := [each for each in found if each.is_drop_in]:
        return _outside_imports(node, hits)
    return _unread(node, found)


def _other_containerd(node: Node, other: Containerd, hits: Sequence[Written]) -> Finding:
    pid = other.process.pid if other.process else 0
    return Finding.of(
        "runtime/toolkit-configured-other-containerd",
        *_defined_in(hits),
        Evidence(
            source=f"/proc/{pid}/cmdline",
            text=f"containerd that reads it, on {other.socket}: not the kubelet's"
            f"{_user(node, pid)}",
        ),
        *_kubelet_side(node),
        *_symptoms(node),
        other_config=other.config_path,
        other_socket=other.socket,
        **toolkit_values(node),
    )


def _user(node: Node, pid: int) -> str:
    found = [
        each.serves for each in known(lambda: runtimes_of(node)) or () if each.process.pid == pid
    ]
    return f"; it serves {found[0]}" if found and found[0] else ""


def _outside_imports(node: Node, hits: Sequence[Written]) -> Finding:
    config = containerd_of(node).config
    if lost := _import_overwritten(node, hits):
        return lost
    imports = ", ".join(config.imports) or "nothing"
    drop_in = hits[-1].file.path
    return Finding.of(
        "runtime/drop-in-outside-imports",
        *_defined_in(hits),
        Evidence(source=config.path, text=f"imports {imports}: {drop_in} is not among them"),
        *_symptoms(node),
        drop_in=drop_in,
        imports=imports,
        wanted=_drop_in_inside(config.imports, drop_in, config.path),
        **toolkit_values(node),
        **define_handler(node).values,
    )


def _import_overwritten(node: Node, hits: Sequence[Written]) -> Finding | None:
    """Find that the toolkit's own drop-in exists, but its line of imports is gone.

    A toolkit from 1.18 on adds that line to the root file, unless that file has version 1
    (measured).
    """
    config = containerd_of(node).config
    own = any(each.file.path == toolkit_of(node).drop_in for each in hits)
    version = next((file.version for file in config.files if file.path == config.path), 1)
    if config.imports or not own or version < 2:
        return None
    return overwritten(node, define_handler(node))


def _drop_in_inside(imports: Sequence[str], drop_in: str, config: str) -> str:
    """Return where the drop-in would be read: in a folder that an import pattern covers."""
    name = posixpath.basename(drop_in)
    for pattern in imports:
        if fnmatchcase(name, posixpath.basename(pattern)):
            return posixpath.join(posixpath.dirname(pattern), name)
    return config


def _unread(node: Node, found: Sequence[Written]) -> Finding:
    """Return the finding for files that no containerd reads: toolkit defaults, or other paths."""
    toolkit = toolkit_of(node)
    hit = found[0]
    default = hit.file.path in {DEFAULT_CONFIG, DEFAULT_DROP_IN}
    told = toolkit.env.get("CONTAINERD_CONFIG")
    cause = "runtime/toolkit-default-paths" if default else "runtime/toolkit-other-paths"
    where = f"CONTAINERD_CONFIG={told}" if told else "CONTAINERD_CONFIG is not set"
    return Finding.of(
        cause,
        *_defined_in(found),
        Evidence(source="toolkit.env", text=f"{where}; no containerd on this node reads that file"),
        *_kubelet_side(node),
        *beside(node),
        *_symptoms(node),
        written=hit.file.path,
        **toolkit_values(node),
    )


def _kubelet_side(node: Node) -> Iterator[Evidence]:
    containerd = containerd_of(node)
    yield Evidence(
        source=containerd.config_path,
        text=f"the kubelet's containerd ({containerd.socket}) reads this file;"
        f" its runtimes: {', '.join(containerd.config.runtimes)}",
    )


def _symptoms(node: Node) -> Iterator[Evidence]:
    yield from toolkit_pod_evidence(node)
    yield from stale_validators(node)


def _defined_in(found: Sequence[Written]) -> list[Evidence]:
    return [handler_line(each.file, each.handlers[0]) for each in found]
