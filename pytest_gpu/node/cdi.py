"""CDI specs that the runtime can see (the Container Device Interface of cncf-tags)."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import yaml

from pytest_gpu.errors import NotInEvidence
from pytest_gpu.evidence import NodeEvidence

GPU_KIND = "nvidia.com/gpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class CdiSpec:
    """One spec file.

    ``devices`` are qualified names such as ``nvidia.com/gpu=0``; ``host_paths`` are all host
    paths that its device nodes and mounts need; ``error`` says why the file is unusable.
    """

    path: str
    kind: str
    devices: tuple[str, ...]
    host_paths: tuple[str, ...]
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CdiSpecs:
    """All specs in the runtime's directories; ``unknown`` are directories nobody listed."""

    directories: tuple[str, ...]
    specs: tuple[CdiSpec, ...]
    unknown: tuple[str, ...]

    @property
    def devices(self) -> frozenset[str]:
        """The qualified names of all devices."""
        return frozenset(device for spec in self.specs for device in spec.devices)

    @property
    def gpu_devices(self) -> frozenset[str]:
        """The devices of the kind nvidia.com/gpu."""
        return frozenset(name for name in self.devices if name.startswith(f"{GPU_KIND}="))


def read(evidence: NodeEvidence, directories: Sequence[str]) -> CdiSpecs:
    """Return the specs of all directories."""
    specs: list[CdiSpec] = []
    unknown = []
    for directory in directories:
        try:
            names = evidence.names(directory) or ()
        except NotInEvidence:
            unknown.append(directory)
            continue
        for name in names:
            content = evidence.read(posixpath.join(directory, name))
            if name.endswith((".yaml", ".json")) and content is not None:
                specs.append(parse(posixpath.join(directory, name), content))
    return CdiSpecs(directories=tuple(directories), specs=tuple(specs), unknown=tuple(unknown))


@lru_cache(maxsize=256)
def parse(path: str, content: bytes) -> CdiSpec:
    """Parse one spec; JSON is YAML, too."""
    try:
        spec = yaml.safe_load(content)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return _broken(path, f"is no YAML: {error}")
    if not isinstance(spec, dict) or not isinstance(spec.get("kind"), str):
        return _broken(path, "names no kind")
    kind = spec["kind"]
    devices = [each for each in spec.get("devices") or () if isinstance(each, dict)]
    return CdiSpec(
        path=path,
        kind=kind,
        devices=tuple(f"{kind}={device.get('name')}" for device in devices),
        host_paths=tuple(sorted(set(_host_paths([spec, *devices])))),
    )


def _broken(path: str, error: str) -> CdiSpec:
    return CdiSpec(path=path, kind="", devices=(), host_paths=(), error=error)


def _host_paths(holders: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for holder in holders:
        edits = holder.get("containerEdits") or {}
        for node in edits.get("deviceNodes") or ():
            yield str(node.get("hostPath") or node.get("path"))
        for mount in edits.get("mounts") or ():
            yield str(mount.get("hostPath"))
