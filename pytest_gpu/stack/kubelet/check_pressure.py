"""Whether the kubelet refuses pods because the node lacks disk space, process IDs or memory."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_gpu.causes import Evidence, Finding, join
from pytest_gpu.checks import check
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.kube.objects import object_of
from pytest_gpu.stack.kube.pressure import Pressure, evicting, refusing
from pytest_gpu.stack.kubelet import disk_usage
from pytest_gpu.steps import Value

_CAUSES = {
    "DiskPressure": "kubernetes/disk-pressure",
    "PIDPressure": "kubernetes/pid-pressure",
    "MemoryPressure": "kubernetes/memory-pressure",
}
_SHOWN_BY_COMMANDS = "the file system that these commands show as full"


@check("kubelet/refuses-pods", visit=False)
def refuses_pods(node: Node) -> Finding | None:
    """Find a node whose kubelet refuses every new pod: it lacks disk space or process IDs."""
    pressure = refusing(node.cluster, object_of(node))
    return _finding(node, pressure) if pressure else None


def evicted_for(node: Node, said: Evidence) -> Finding | None:
    """Return why the kubelet evicted a pod, ``None`` if its words name no lack of the node."""
    pressure = evicting(node.cluster, object_of(node), said)
    return _finding(node, pressure) if pressure else None


def _finding(node: Node, pressure: Pressure) -> Finding:
    full = disk_usage.fullest(node) if pressure.kind == "DiskPressure" else ()
    return Finding.of(
        _CAUSES[pressure.kind],
        *dict.fromkeys(pressure.evidence),
        *(each.evidence for each in full),
        **(_values(node, full) if pressure.kind == "DiskPressure" else {}),
    )


def _values(node: Node, full: tuple[disk_usage.FileSystem, ...]) -> Mapping[str, Value]:
    nearly = [each for each in full if each.used >= disk_usage.NEARLY_FULL] or list(full[:1])
    return {
        "where": join([str(each) for each in nearly]) or _SHOWN_BY_COMMANDS,
        "folder": nearly[0].mount if nearly else "/var/lib",
        "kubelet_folder": disk_usage.kubelet_folder(node),
        "images_folder": disk_usage.images_folder(node),
    }
