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

VENDOR = "nvidia.com"


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
        """The devices of NVIDIA's: of the toolkit, of the device plugin, of the DRA driver.

        Their kinds are nvidia.com/gpu, k8s.device-plugin.nvidia.com/gpu, k8s.gpu.nvidia.com/….
        """
        vendors = ((name.partition("/")[0], name) for name in self.devices)
        return frozenset(name for vendor, name in vendors if f".{vendor}".endswith(f".{VENDOR}"))


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
            if not name.endswith((".yaml", ".json")):
                continue
            content = evidence.read(posixpath.join(directory, name))
            if content is not None:
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
    try:
        return _parsed(path, spec)
    except (TypeError, AttributeError) as error:
        return _broken(path, f"is no CDI spec: {error}")


def _parsed(path: str, spec: Mapping[str, Any]) -> CdiSpec:
    kind, devices = spec["kind"], spec.get("devices") or ()
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
