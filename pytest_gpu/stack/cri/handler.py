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

    Attributes:
        name: the name that a RuntimeClass uses.
        runtime_type: the shim, such as ``io.containerd.runc.v2``.
        systemd_cgroup: whether cgroups are made by systemd.
        runtime_path: the path of the shim, empty to find it by its type.
        pod_annotations: annotations of pods that are passed on.
        container_annotations: annotations of containers that are passed on.
        privileged_without_host_devices: whether privileged containers get no devices of the host.
        base_runtime_spec: the path of the OCI spec to start from, empty for the built-in one.
        cni_conf_dir: the directory of its own CNI configuration, empty for the common one.
        snapshotter: its own snapshotter, empty for the common one.
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
