"""Whether the kubelet and every GPU handler leave cgroups to the same manager."""

from __future__ import annotations

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.diagnose import config_fix
from pytest_gpu.diagnose.reached import gpu_runtimes
from pytest_gpu.errors import NotInEvidence
from pytest_gpu.node.gpu_node import GpuNode


def cgroup_driver_differs(node: GpuNode) -> Finding | None:
    """Find a GPU handler whose cgroup driver differs from the kubelet's or from runc's.

    From containerd 2.x on a new kubelet takes the driver from the runtime, so that there only
    the handlers are compared with each other.

    Raises:
        NotInEvidence: the kubelet was told to read its driver where nobody looked.
    """
    runtimes = gpu_runtimes(node)
    wanted, said = wanted_driver(node) if runtimes else (None, "")
    for runtime in runtimes:
        if wanted is not None and runtime.systemd_cgroup != wanted:
            return node.finding(
                "runtime/cgroup-driver-differs",
                runtime.source,
                Evidence(
                    source=runtime.source.source,
                    text=f"{runtime.name}: SystemdCgroup = {str(runtime.systemd_cgroup).lower()}",
                ),
                Evidence(source="expected", text=said),
                handler=runtime.name,
                wanted=str(wanted).lower(),
                **config_fix.set_option(node, runtime.name, "SystemdCgroup", wanted),
            )
    return None


def wanted_driver(node: GpuNode) -> tuple[bool | None, str]:
    """Return whether cgroups must be systemd's (``None``: nobody asks), and who says so."""
    kubelet, config = node.kubelet, node.containerd.config
    if node.containerd.version[0] < 2:
        if kubelet.cgroup_driver is not None:
            said = f"kubelet cgroupDriver: {kubelet.cgroup_driver}"
            return kubelet.cgroup_driver == "systemd", said
        if kubelet.unread:
            raise NotInEvidence(node.name, f"the kubelet's configuration {kubelet.unread}")
    default = config.runtimes.get(config.default_runtime)
    wanted = default.systemd_cgroup if default else None
    return wanted, f"handler {config.default_runtime}: SystemdCgroup = {str(wanted).lower()}"
