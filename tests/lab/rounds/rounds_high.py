"""Rounds of broken Kubernetes objects, silent nodes, and what cannot be decided."""

from __future__ import annotations

from dataclasses import replace

from tests.lab.rounds import breakages
from tests.lab.rounds.cells import Cell, Round

PLUGIN = Round(
    name="device plugin",
    cells=(
        Cell(
            node="n16",
            name="device plugin not running",
            sentence="the DaemonSet of the device plugin passes the node over",
            breaks=breakages.plugin_gone,
            settles=breakages.has_no_plugin,
            layer="device-plugin",
            cause="device-plugin/not-scheduled",
            repair=breakages.plugin_back,
        ),
        Cell(
            node="n17",
            name="one GPU unhealthy",
            sentence="the device plugin took a GPU out of service",
            breaks=breakages.plugin_says(unhealthy=["0"]),
            settles=breakages.gives(1),
            layer="device-plugin",
            cause="device-plugin/unhealthy-devices",
            repair=breakages.plugin_healed,
        ),
        Cell(
            node="n21",
            name="allocatable is not physical",
            sentence="the device plugin offers fewer GPUs than there are",
            breaks=breakages.plugin_says(hide=1),
            settles=breakages.gives(1),
            layer="device-plugin",
            cause="device-plugin/count-mismatch",
            repair=breakages.plugin_healed,
        ),
        Cell(
            node="nsd",
            name="one PCI function missing",
            sentence="a GPU that is counted by the node's label is no longer on the bus",
            breaks=breakages.one_counted_is_lost,
            layer="hardware",
            cause="hardware/gpu-lost",
            repair=breakages.counted(None),
        ),
    ),
)

USE = Round(
    name="unproven",
    options=("--gpu-timeout=25",),
    cells=(
        Cell(
            node="n16",
            name="image not on the node",
            sentence="no pod of the suite starts without its image: that is no GPU fault",
            breaks=breakages.no_image,
            verdict="unproven",
        ),
        Cell(
            node="n17",
            name="crictl absent",
            sentence="the pod stands in for the sandbox, the kubelet and file times for crictl",
            breaks=breakages.no_crictl,
            verdict="conforms",
        ),
        Cell(
            node="n21",
            name="all GPUs busy",
            sentence="nothing can be proven while others hold all GPUs: their pods are named",
            breaks=breakages.busy,
            verdict="unproven",
            says="default/user-n21",
            repair=breakages.pod_gone,
        ),
        Cell(
            node="nsd",
            name="no CNI",
            sentence="the sandbox needs no pod network, the pod does",
            breaks=breakages.no_cni,
            settles=breakages.await_not_ready,
            layer="runtimeclass-pod",
            cause="kubernetes/cni-not-ready",
        ),
    ),
)

KUBERNETES = Round(
    name="Kubernetes",
    cells=(
        Cell(
            node="n16",
            name="node cordoned",
            sentence="a cordon keeps the suite from nothing",
            breaks=breakages.cordoned,
            verdict="conforms",
            repair=breakages.uncordoned,
        ),
        Cell(
            node="n17",
            name="node tainted",
            sentence="a taint keeps the suite from nothing",
            breaks=breakages.tainted,
            verdict="conforms",
            repair=breakages.untainted,
        ),
        Cell(
            node="n21",
            name="GPU pod without RuntimeClass",
            sentence="a user's GPU pod runs under runc, which injects nothing",
            breaks=breakages.without_class,
            layer="runtimeclass-pod",
            cause="runtimeclass/workload-without-runtimeclass",
            repair=breakages.pod_gone,
        ),
        Cell(
            node="nsd",
            name="second containerd",
            sentence="the toolkit configured a containerd that the kubelet does not use",
            breaks=breakages.other_containerd,
            layer="runtime",
            cause="runtime/toolkit-configured-other-containerd",
            repair=breakages.other_gone,
        ),
    ),
)

SILENT = (
    Cell(
        node="n16",
        name="kubelet stopped",
        sentence="the kubelet is silent while its runtime serves",
        breaks=breakages.kubelet_stopped,
        settles=breakages.await_not_ready,
        layer="access",
        cause="access/kubelet-stopped",
    ),
    Cell(
        node="n17",
        name="drop-in leaves no runc",
        sentence="a drop-in replaced the CRI section: the default runtime is gone, and the CRI",
        breaks=breakages.no_runc,
        settles=breakages.await_not_ready,
        layer="runtime",
        cause="runtime/drop-in-left-no-runc",
    ),
)

BY_SSH = Round(name="silent nodes by ssh", cells=SILENT, options=("--gpu-node-shell=ssh",))

BY_POD = Round(
    name="silent nodes by pod",
    cells=(
        replace(SILENT[0], layer="access", cause="access/no-door"),
        replace(SILENT[1], layer="access", cause="runtime/reported-down"),
    ),
)

DROP_IN = Round(
    name="drop-in by ssh",
    options=("--gpu-node-shell=ssh",),
    cells=(
        replace(SILENT[1], node="n16"),
        Cell(
            node="n21",
            name="the same drop-in",
            sentence="containerd 2.x merges the CRI section: its default runtime stays",
            breaks=breakages.no_runc,
            settles=breakages.await_cri,
            verdict="conforms",
        ),
    ),
)

EVERYWHERE = ("n16", "n17", "n21", "nsd")


def everywhere(cell: Cell) -> tuple[Cell, ...]:
    """Return the cells of a fault of the whole cluster: broken once, seen on every node."""
    others = [
        replace(cell, node=name, breaks=breakages.nothing, repair=None) for name in EVERYWHERE[1:]
    ]
    return (cell, *others)


CLASS_MISSING = Round(
    name="RuntimeClass missing",
    cells=everywhere(
        Cell(
            node=EVERYWHERE[0],
            name="RuntimeClass missing",
            sentence="the handler is there, but no RuntimeClass leads to it",
            breaks=breakages.class_missing,
            layer="runtimeclass-pod",
            cause="runtimeclass/missing",
            repair=breakages.class_back,
        )
    ),
)

CLASS_MISSPELT = Round(
    name="RuntimeClass misspelt",
    cells=everywhere(
        Cell(
            node=EVERYWHERE[0],
            name="RuntimeClass handler misspelt",
            sentence="the RuntimeClass names a handler that no containerd knows",
            breaks=breakages.class_misspelt,
            layer="runtimeclass-pod",
            cause="runtimeclass/handler-unknown",
            repair=breakages.class_back,
        )
    ),
)
