"""Other files on a node that define an NVIDIA handler."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_gpu.errors import NotInEvidence, Unproven
from pytest_gpu.evidence import NodeEvidence
from pytest_gpu.stack.containerd.config_file import (
    CRI_V1,
    CRI_V2,
    CRI_V3,
    BadToml,
    ConfigFile,
    parse,
    subtable,
)
from pytest_gpu.stack.distributions import every
from pytest_gpu.stack.host.nvidia_programs import is_nvidia

DROP_INS = ("conf.d", "config.d", "containerd.d", "config-v3.toml.d", "config.toml.d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A file that defines GPU handlers; its folder decides ``is_drop_in``."""

    file: ConfigFile
    handlers: tuple[str, ...]
    is_drop_in: bool


def usual_places() -> tuple[str, ...]:
    """Return the usual configuration files of containerd, plain or a distribution's own."""
    return ("/etc/containerd/config.toml", *every.configs())


def written(evidence: NodeEvidence, places: Sequence[str]) -> tuple[Written, ...]:
    """Return every file that defines a GPU handler, in ``places``, usual paths and drop-ins."""
    roots = dict.fromkeys([*places, *usual_places()])
    folders = dict.fromkeys(
        posixpath.join(posixpath.dirname(root), name) for root in roots for name in DROP_INS
    )
    folders |= dict.fromkeys(posixpath.dirname(p) for p in places if _is_drop_in(p))
    drop_ins = [path for folder in folders for path in _in_folder(evidence, folder)]
    return tuple(_written(evidence, dict.fromkeys([*roots, *drop_ins])))


def _written(evidence: NodeEvidence, paths: Mapping[str, None]) -> Iterator[Written]:
    for path in paths:
        file = _file(evidence, path)
        handlers = gpu_handlers(file.table) if file else ()
        if file and handlers:
            yield Written(file=file, handlers=handlers, is_drop_in=_is_drop_in(path))


def _is_drop_in(path: str) -> bool:
    return posixpath.basename(posixpath.dirname(path)).endswith(".d")


def _in_folder(evidence: NodeEvidence, folder: str) -> list[str]:
    try:
        names = evidence.names(folder) or ()
    except NotInEvidence:
        return []
    return [posixpath.join(folder, name) for name in names if name.endswith(".toml")]


def _file(evidence: NodeEvidence, path: str) -> ConfigFile | None:
    """Return a file if it was recorded and is valid TOML; a search skips all others."""
    try:
        content = evidence.read(path)
        return parse(path, content) if content is not None else None
    except (Unproven, BadToml):
        return None


def handlers_of(evidence: NodeEvidence, path: str) -> tuple[str, ...]:
    """Return the GPU handlers that one file defines."""
    file = _file(evidence, path)
    return gpu_handlers(file.table) if file else ()


def gpu_handlers(table: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the handlers of a configuration, under any CRI section, that run an NVIDIA runtime."""
    found = []
    for plugin in (CRI_V1, CRI_V2, CRI_V3):
        runtimes: Any = table.get("plugins", {})
        for key in (plugin, "containerd", "runtimes"):
            runtimes = runtimes.get(key, {}) if isinstance(runtimes, dict) else {}
        entries = runtimes.items() if isinstance(runtimes, dict) else ()
        found += [name for name, each in entries if _starts_nvidia(each)]
    return tuple(found)


def _starts_nvidia(entry: object) -> bool:
    """Say whether a handler names an NVIDIA runtime: by BinaryName, or the old runtime_engine."""
    table = entry if isinstance(entry, dict) else {}
    values = (*table.values(), *subtable(table, "options").values())
    return any(isinstance(value, str) and is_nvidia(value) for value in values)
