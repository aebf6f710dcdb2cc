"""The configuration that the toolkit starts from: a file, or what a containerd prints.

Source: nvidia-container-toolkit's ``nvidia-ctk-installer`` (``--config-source``, by default the
command, then the file) and the GPU operator's pull request 1758 (RUNTIME_CONFIG_SOURCE).
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_gpu.errors import NotInEvidence
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.containerd.config_file import CRI_V3, Table, cri_plugin, parse
from pytest_gpu.stack.containerd.merge import EffectiveConfig, merge
from pytest_gpu.stack.containerd.release import Generation, parse_version
from pytest_gpu.stack.cri.handler import Handler
from pytest_gpu.stack.host.processes import DELETED, SEARCH_PATH, Process, processes_of
from pytest_gpu.stack.kubelet.containerd import containerd_of
from pytest_gpu.stack.kubelet.listeners import DEFAULT_CONFIG
from pytest_gpu.stack.toolkit.instructions import Toolkit, toolkit_of

COMMAND_SINCE = (1, 17, 0)
"""Since this release the toolkit starts from ``containerd config dump``, if that works."""

CHOICE_SINCE = (1, 18, 0)
"""Since this release RUNTIME_CONFIG_SOURCE sets which of the two comes first."""


def table_of(node: Node, path: str) -> Table | None:
    """Return the content of a file, ``None`` if there is none.

    Raises:
        NotInEvidence: it was not collected.
        BadToml: it is not valid TOML.
    """
    content = node.evidence.read(path)
    return None if content is None else parse(path, content).table


def source(node: Node, toolkit: Toolkit, version: tuple[int, ...]) -> Table | None:
    """Return what a toolkit of a release starts from, ``None`` for the file that it edits.

    Raises:
        NotInEvidence: it is not known which containerd is on the host's PATH.
    """
    told = toolkit.first("RUNTIME_CONFIG_SOURCE") if version >= CHOICE_SINCE else ""
    for each in (told or "command,file").split(",") if version >= COMMAND_SINCE else ():
        kind, _, path = each.strip().partition("=")
        if kind == "file":
            return table_of(node, path.removeprefix("/host")) if path else None
        if (found := on_path(node)) is not None:
            return dump(node, found.version)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class OnPath:
    """The containerd whose program the toolkit finds on the host; ``process`` is set if it runs."""

    program: str
    version: tuple[int, ...]
    process: Process | None


def on_path(node: Node) -> OnPath | None:
    """Return the containerd whose program the toolkit finds on the host, ``None`` if none.

    Raises:
        NotInEvidence: the program, or its release, was not collected.
    """
    told = toolkit_of(node).first("RUNTIME_EXECUTABLE_PATH")
    places = [told] if told else [posixpath.join(folder, "containerd") for folder in SEARCH_PATH]
    running = _running(node)
    unknown = ""
    for program in places:
        process = running.get(node.evidence.resolve(program))
        try:
            there = process is not None or node.evidence.entry(program) is not None
        except NotInEvidence:
            unknown = unknown or program
            continue
        if there:
            version = _version(node, program, process)
            return OnPath(program=program, version=version, process=process)
    if unknown:
        raise NotInEvidence(node.name, unknown)
    return None


def _running(node: Node) -> Mapping[str, Process]:
    """Return the running containerds by their programs' paths, now or before an upgrade."""
    found = [each for each in processes_of(node) if each.is_program("containerd") and each.exe]
    return {node.evidence.resolve(str(p.exe).removesuffix(DELETED)): p for p in found}


def _version(node: Node, program: str, process: Process | None) -> tuple[int, ...]:
    """Return the release of a program: the one that it printed, else that of its process."""
    asked = [r for r in node.evidence.commands if r.argv == (program, "--version")]
    if version := next((found for r in asked if (found := parse_version(r.stdout))), None):
        return version
    if process is not None and process == containerd_of(node).process:
        return containerd_of(node).version
    raise NotInEvidence(node.name, f"the release of {program}")


def dump(node: Node, version: tuple[int, ...]) -> Table | None:
    """Return what ``containerd config dump`` prints about runtimes, ``None`` if it fails.

    It reads its default file, whichever file the daemon was started with. If the CRI is disabled,
    1.x prints nothing about it.
    """
    evidence = node.evidence
    config = merge(evidence.read, evidence.names, DEFAULT_CONFIG, version)
    if config.problems:
        return None
    modern = Generation(version).reads_config_3
    off = CRI_V3 in config.disabled if modern else config.cri_disabled
    shown = {} if off else {cri_plugin(3 if modern else 2): _section(config)}
    lists = {"imports": list(config.imports), "disabled_plugins": list(config.disabled)}
    return {"version": 3 if modern else 2, **lists, "plugins": shown}


def _section(config: EffectiveConfig) -> Mapping[str, Any]:
    runtimes = {name: _entry(runtime) for name, runtime in config.runtimes.items()}
    containerd = {"default_runtime_name": config.default_runtime, "runtimes": runtimes}
    return {"enable_cdi": config.cdi_enabled, "containerd": containerd}


def _entry(runtime: Handler) -> Mapping[str, Any]:
    options = {"BinaryName": runtime.binary or "", "SystemdCgroup": runtime.systemd_cgroup}
    return {"runtime_type": runtime.runtime_type, "options": options}
