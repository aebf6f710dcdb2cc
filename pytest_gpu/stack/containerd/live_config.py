"""The configuration of a running containerd: the JSON that ``crictl info`` prints.

Sources: containerd ``pkg/cri/server/status.go`` (1.6, 1.7) and ``internal/cri/server/status.go``
(2.x) print their whole CRI configuration with the JSON names of the ``config.go`` beside them. 1.6
does not support CDI; 2.x keeps the sandbox image in another plugin, which is not printed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pytest_gpu.parsing import json_document

_PASSED_ON = "ContainerAnnotations"


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRuntime:
    """One loaded handler; what was not printed is ``None``.

    ``binary`` is ``options.BinaryName``, ``""`` if the runtime's own default (runc) applies.
    """

    runtime_type: str | None = None
    binary: str | None = None
    systemd_cgroup: bool | None = None
    container_annotations: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveConfig:
    """The loaded configuration; what was not printed is ``None``, an unknown default ``""``."""

    runtimes: Mapping[str, LiveRuntime]
    default: str
    cdi_enabled: bool | None = None
    cdi_dirs: tuple[str, ...] | None = None
    sandbox_image: str | None = None
    cni_bin_dirs: tuple[str, ...] | None = None
    cni_conf_dir: str | None = None


@lru_cache(maxsize=128)
def parse(stdout: str) -> LiveConfig:
    """Return the configuration that ``crictl info`` printed.

    Raises:
        ValueError: it is not valid JSON.
        KeyError: it has no runtimes.
        TypeError, AttributeError: it has another shape.
    """
    config = json_document(stdout)["config"]
    section, cni = config["containerd"], config.get("cni") or {}
    return LiveConfig(
        runtimes={name: _runtime(entry) for name, entry in section["runtimes"].items()},
        default=str(section.get("defaultRuntimeName", "")),
        cdi_enabled=_told(config, "enableCDI", _switch),
        cdi_dirs=_told(config, "cdiSpecDirs", _texts),
        sandbox_image=_told(config, "sandboxImage", str),
        cni_bin_dirs=_told(cni, "binDir", lambda one: (str(one),) if one else None)
        or _told(cni, "binDirs", _texts),
        cni_conf_dir=_told(cni, "confDir", str),
    )


def _texts(values: Iterable[object]) -> tuple[str, ...]:
    return tuple(map(str, values))


def _switch(value: object) -> bool | None:
    """Return a printed boolean, ``None`` for anything else."""
    return value if isinstance(value, bool) else None


def _told(table: Mapping[str, Any], key: str, kind: Any) -> Any:
    return kind(table[key]) if table.get(key) is not None else None


def _runtime(entry: Mapping[str, Any]) -> LiveRuntime:
    passed_on = _texts(entry[_PASSED_ON] or ()) if _PASSED_ON in entry else None
    if "options" not in entry:
        kind = _told(entry, "runtimeType", str)
        return LiveRuntime(runtime_type=kind, container_annotations=passed_on)
    options = entry["options"] or {}
    return LiveRuntime(
        container_annotations=passed_on,
        runtime_type=_told(entry, "runtimeType", str),
        binary=str(option(options, "BinaryName") or ""),
        systemd_cgroup=bool(option(options, "SystemdCgroup")),
    )


def option(options: Mapping[str, Any], name: str) -> Any:
    """Return an option; containerd's decoder ignores case, and a different spelling wins."""
    values = {key: value for key, value in options.items() if key.lower() == name.lower()}
    return next((value for key, value in values.items() if key != name), values.get(name))
