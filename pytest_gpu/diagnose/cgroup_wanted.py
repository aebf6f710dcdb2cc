"""What the kubelet of a node makes handlers say of the cgroup driver, and who says so."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_gpu.causes import Evidence
from pytest_gpu.node import cgroups
from pytest_gpu.node.config_merge import Runtime
from pytest_gpu.node.gpu_node import GpuNode
from pytest_gpu.node.hints import known

OPTION = "SystemdCgroup"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a handler's SystemdCgroup must be, and who says so."""

    systemd: bool
    said: Evidence
    by_kubelet: bool


def wanted_driver(node: GpuNode) -> Wanted | None:
    """Return what handlers must say, ``None`` where nothing tells the kubelet's driver."""
    containerd, kubelet = node.containerd, node.kubelet
    modern = containerd.version[0] >= 2
    asks = modern and cgroups.asks_runtime(node.object, kubelet, node.evidence)
    if not asks and (driver := cgroups.kubelet_driver(kubelet, node.evidence)):
        said = cgroups.kubelet_says(kubelet, node.evidence)
        return Wanted(systemd=driver == "systemd", said=said, by_kubelet=True)
    told = cgroups.told_by(containerd.config)
    if told is None:
        return None
    return Wanted(systemd=told.systemd_cgroup, said=says(node, told), by_kubelet=False)


def systemd_for_new(node: GpuNode) -> bool:
    """Return the SystemdCgroup of a handler that is to be defined; true where nothing tells."""
    wanted = known(lambda: wanted_driver(node))
    return wanted is None or wanted.systemd


def says(node: GpuNode, runtime: Runtime) -> Evidence:
    """Return what a handler says of its driver; without options it inherits nothing."""
    told = node.containerd.config.origin("runtimes", runtime.name, "options", OPTION)
    if told.line is not None:
        text = f"{runtime.name}: {told.text}"
        return Evidence(source=told.source, line=told.line, text=text)
    text = f"{runtime.name}: {OPTION} = {str(runtime.systemd_cgroup).lower()}"
    return Evidence(source=runtime.source.source, line=runtime.source.line, text=text)
