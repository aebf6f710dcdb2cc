"""A handler: one way in which a container runtime starts containers, such as ``nvidia``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_gpu.causes import Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """One entry in the table of handlers; ``source`` is the line that defines it.

    ``binary`` is the program (``options.BinaryName``), ``None`` if the handler's own default (runc)
    applies.
    ``options`` has runc's options under their canonical names, even if the file writes them in
    another case that containerd accepts, and all others as the file has them. The annotations are
    names or patterns of annotations that are passed to the handler's program.
    """

    name: str
    runtime_type: str
    binary: str | None
    systemd_cgroup: bool
    source: Evidence
    options: Mapping[str, Any] = field(default_factory=dict)
    runtime_path: str = ""
    pod_annotations: tuple[str, ...] = ()
    container_annotations: tuple[str, ...] = ()
    privileged_without_host_devices: bool = False
    base_runtime_spec: str = ""
    cni_conf_dir: str = ""
    snapshotter: str = ""

    @property
    def is_runc(self) -> bool:
        """Whether it uses containerd's shim for runc, which supports ``SystemdCgroup``."""
        return self.runtime_type.startswith("io.containerd.runc.")
