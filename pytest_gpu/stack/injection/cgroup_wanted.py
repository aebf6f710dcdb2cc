"""What the kubelet of a node makes handlers say of the cgroup driver, and who says so."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_gpu.causes import Evidence
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.cri.handler import Handler
from pytest_gpu.stack.injection import cgroups
from pytest_gpu.stack.kube.objects import object_of
from pytest_gpu.stack.kubelet.kubelet import kubelet_of
from pytest_gpu.stack.kubelet.runtime import runtime_of

OPTION = "SystemdCgroup"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a handler's SystemdCgroup must be, and who says so."""

    systemd: bool
    said: Evidence
    by_kubelet: bool


def wanted_driver(node: Node) -> Wanted | None:
    """Return what handlers must say, ``None`` where nothing tells the kubelet's driver."""
    runtime, kubelet = runtime_of(node), kubelet_of(node)
    asks = runtime.tells_cgroup_driver and cgroups.asks_runtime(
        object_of(node), kubelet, node.evidence
    )
    if not asks and (driver := cgroups.kubelet_driver(kubelet, node.evidence)):
        said = cgroups.kubelet_says(kubelet, node.evidence)
        return Wanted(systemd=driver == "systemd", said=said, by_kubelet=True)
    told = runtime.driver_handler
    if told is None:
        return None
    return Wanted(systemd=told.systemd_cgroup, said=says(node, told), by_kubelet=False)


def systemd_for_new(node: Node) -> bool:
    """Return the SystemdCgroup of a handler that is to be defined; true where nothing tells."""
    wanted = known(lambda: wanted_driver(node))
    return wanted is None or wanted.systemd


def says(node: Node, runtime: Handler) -> Evidence:
    """Return what a handler says of its driver; without options it inherits nothing."""
    told = runtime_of(node).origin("systemd_cgroup", runtime.name)
    if told.line is not None:
        text = f"{runtime.name}: {told.text}"
        return Evidence(source=told.source, line=told.line, text=text)
    text = f"{runtime.name}: {OPTION} = {str(runtime.systemd_cgroup).lower()}"
    return Evidence(source=runtime.source.source, line=runtime.source.line, text=text)
