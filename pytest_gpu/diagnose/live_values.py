"""Value by value: what containerd runs with now against what its files will give it next time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pytest_gpu.causes import Evidence
from pytest_gpu.diagnose.handler import uses_gpu_class
from pytest_gpu.errors import NotInEvidence
from pytest_gpu.node.config_merge import Runtime
from pytest_gpu.node.containerd import handler_injects, is_nvidia
from pytest_gpu.node.gpu_node import GpuNode
from pytest_gpu.node.live_config import LiveConfig, LiveRuntime


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One value that is loaded otherwise than the files say.

    ``source`` is the line on disk; ``broken_now`` says that GPU containers suffer from the loaded
    value and would not from the one on disk.
    """

    what: str
    running: str
    on_disk: str
    source: Evidence
    broken_now: bool = False

    @property
    def text(self) -> str:
        """Both values, as evidence."""
        return f"{self.what}: runs with {self.running}, on disk {self.on_disk}"


def differences(node: GpuNode) -> tuple[Difference, ...]:
    """Return where the running containerd and its files differ in what GPU containers get."""
    live = node.containerd.live
    if live is None or live.config is None:
        return ()
    return tuple(_differences(node, live.config))


def _differences(node: GpuNode, live: LiveConfig) -> Iterator[Difference]:
    config = node.containerd.config
    for name in node.containerd.gpu_handlers:
        if name in live.runtimes:
            yield from _of_handler(node, config.runtimes[name], live.runtimes[name])
    yield from _of_default(node, live)
    yield from _of_cdi(node, live)


def _of_handler(node: GpuNode, disk: Runtime, live: LiveRuntime) -> Iterator[Difference]:
    def different(key: str, running: str, on_disk: str, *, broken: bool) -> Difference:
        what = f"{disk.name}: {key}"
        return Difference(
            what=what, running=running, on_disk=on_disk, source=disk.source, broken_now=broken
        )

    binary = disk.binary or ""
    if live.runtime_type is not None and live.runtime_type != disk.runtime_type:
        broken = not live.runtime_type
        yield different("runtime_type", live.runtime_type, disk.runtime_type, broken=broken)
    if live.binary is not None and live.binary != binary:
        broken = not is_nvidia(live.binary) or _gone(node, live.binary)
        yield different("BinaryName", live.binary or "runc", binary, broken=broken)
    if live.systemd_cgroup is not None and live.systemd_cgroup != disk.systemd_cgroup:
        broken = _kubelet_wants(node) == disk.systemd_cgroup
        yield different(
            "SystemdCgroup", _toml(live.systemd_cgroup), _toml(disk.systemd_cgroup), broken=broken
        )


def _gone(node: GpuNode, binary: str) -> bool:
    """Say whether a program is proven to be missing."""
    try:
        return binary.startswith("/") and node.evidence.entry(binary) is None
    except NotInEvidence:
        return False


def _kubelet_wants(node: GpuNode) -> bool | None:
    """Return the SystemdCgroup that the kubelet needs; from 2.x on it takes containerd's."""
    driver = node.kubelet.cgroup_driver
    return driver == "systemd" if driver and node.containerd.version[0] < 2 else None


def _of_default(node: GpuNode, live: LiveConfig) -> Iterator[Difference]:
    config = node.containerd.config
    wanted = config.default_runtime
    if not live.default or live.default == wanted or wanted not in config.runtimes:
        return
    gains = handler_injects(config, wanted) and not node.containerd.injects("")
    yield Difference(
        what="default_runtime_name",
        running=live.default,
        on_disk=wanted,
        source=config.runtimes[wanted].source,
        broken_now=gains and not uses_gpu_class(node),
    )


def _of_cdi(node: GpuNode, live: LiveConfig) -> Iterator[Difference]:
    config = node.containerd.config
    source = Evidence(source=config.path, text=f"enable_cdi = {_toml(config.cdi_enabled)}")
    if live.cdi_enabled is not None and live.cdi_enabled != config.cdi_enabled:
        yield Difference(
            what="enable_cdi",
            running=_toml(live.cdi_enabled),
            on_disk=_toml(config.cdi_enabled),
            source=source,
            broken_now=config.cdi_enabled and not node.containerd.gpu_handlers,
        )
    elif live.cdi_enabled and live.cdi_dirs and {*live.cdi_dirs} != {*config.cdi_dirs}:
        told = ", ".join(config.cdi_dirs)
        yield Difference(
            what="cdi_spec_dirs",
            running=", ".join(live.cdi_dirs),
            on_disk=told,
            source=Evidence(source=config.path, text=f"cdi_spec_dirs: {told}"),
        )


def _toml(value: object) -> str:
    return str(bool(value)).lower()
