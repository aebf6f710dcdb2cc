"""Whether kubelet, handlers and init system manage cgroups alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.diagnose import config_fix
from pytest_gpu.diagnose.reached import gpu_runtimes, pod_runtimes
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


def cgroup_driver_differs(node: GpuNode) -> Finding | None:
    """Find a handler whose cgroup driver differs from the one that the kubelet uses.

    Raises:
        NotInEvidence: the kubelet was told to read its driver where nobody looked.
    """
    runtimes = _runc_runtimes(node)
    wanted = wanted_driver(node) if runtimes else None
    if wanted is None:
        return None
    differing = [runtime for runtime in runtimes if runtime.systemd_cgroup != wanted.systemd]
    if not differing:
        return None
    if wanted.by_kubelet and len(differing) == len(runtimes) and not wanted.systemd:
        return _kubelet_differs(node, differing, wanted)
    return _handler_differs(node, differing, wanted)


def _runc_runtimes(node: GpuNode) -> Sequence[Runtime]:
    """Return the handlers that pods can get; where no GPU handler is, nothing is judged."""
    if not gpu_runtimes(node):
        return ()
    return [runtime for runtime in pod_runtimes(node) if cgroups.is_runc(runtime)]


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
    return Wanted(systemd=told.systemd_cgroup, said=_says(node, told), by_kubelet=False)


def systemd_for_new(node: GpuNode) -> bool:
    """Return the SystemdCgroup of a handler that is to be defined; true where nothing tells."""
    wanted = known(lambda: wanted_driver(node))
    return wanted is None or wanted.systemd


def _says(node: GpuNode, runtime: Runtime) -> Evidence:
    """Return what a handler says of its driver; without options it inherits nothing."""
    text = f"{runtime.name}: {OPTION} = {str(runtime.systemd_cgroup).lower()}"
    line = _option_line(node, runtime.name)
    return line or Evidence(source=runtime.source.source, line=runtime.source.line, text=text)


def _option_line(node: GpuNode, handler: str) -> Evidence | None:
    """Return the line of the files that sets a handler's option, the one that counts."""
    for file in reversed(node.containerd.config.files):
        inside = False
        for number, line in enumerate(file.text.splitlines(), 1):
            bare = line.replace('"', "").replace("'", "").strip()
            if bare.startswith("["):
                inside = bare.endswith(f".runtimes.{handler}.options]")
            elif inside and bare.partition("=")[0].strip().lower() == OPTION.lower():
                text = f"{handler}: {line.strip()}"
                return Evidence(source=file.path, line=number, text=text)
    return None


def _handler_differs(node: GpuNode, differing: Sequence[Runtime], wanted: Wanted) -> Finding:
    first = differing[0]
    plain = first.name not in node.containerd.gpu_handlers
    cause = "runtime/runc-cgroup-driver-differs" if plain else "runtime/cgroup-driver-differs"
    return node.finding(
        cause,
        *(_says(node, runtime) for runtime in differing),
        wanted.said,
        handler=first.name,
        wanted=str(wanted.systemd).lower(),
        **config_fix.set_option(node, first.name, OPTION, wanted.systemd),
    )


def _kubelet_differs(node: GpuNode, handlers: Sequence[Runtime], wanted: Wanted) -> Finding:
    """Tell of a kubelet that is alone: all handlers agree with each other."""
    return node.finding(
        "runtime/kubelet-cgroup-driver-differs",
        wanted.said,
        *(_says(node, runtime) for runtime in handlers),
        handlers=", ".join(runtime.name for runtime in handlers),
    )


def systemd_cgroup_without_systemd(node: GpuNode) -> Finding | None:
    """Find a handler that leaves cgroups to a systemd that does not run the node.

    Raises:
        NotInEvidence: nobody looked what runs it.
    """
    for runtime in _runc_runtimes(node):
        if runtime.systemd_cgroup and (
            shown := cgroups.lacks_systemd(node.evidence, node.processes)
        ):
            return node.finding(
                "runtime/systemd-cgroup-without-systemd",
                _says(node, runtime),
                shown,
                handler=runtime.name,
                **config_fix.set_option(node, runtime.name, OPTION, False),
            )
    return None
