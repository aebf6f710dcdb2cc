"""The ways in which the lab's nodes are broken, and what the suite has to say of each.

A round is one run of the suite over a cluster in which many nodes are broken differently.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tests.lab.cluster import PODS
from tests.lab.containerd_config import NVIDIA_RUNTIME
from tests.lab.containerd_config import PATH as CONTAINERD_CONFIG
from tests.lab.daemons import wait_for
from tests.lab.fake_gpu import BUSES, DRIVER, library_folder
from tests.lab.gpu_stack import LABEL, RUNTIME_CLASSES, runtime_class
from tests.lab.images import PYTHON
from tests.lab.node import Node

OTHER_CONFIG = "/etc/other/containerd.toml"
OTHER_SOCKET = "/run/other/containerd.sock"
OTHER_DRIVER = "535.161.08"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One node broken in one way, and the verdict on it.

    ``sentence`` says what must hold. ``repair`` does what healing the node's files and daemons
    does not do.
    """

    node: str
    name: str
    sentence: str
    breaks: Callable[[Node], None]
    verdict: str = "fails"
    layer: str | None = None
    cause: str | None = None
    says: str = ""
    repair: Callable[[Node], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One run over nodes broken at the same time; the other nodes of the cluster are healthy."""

    name: str
    cells: tuple[Cell, ...]
    exit: int = 1
    options: tuple[str, ...] = ()


def restart_containerd(node: Node) -> None:
    """Restart the node's containerd and wait until its CRI serves."""
    node.restart("containerd")
    wait_for(lambda: node.run(["crictl", "version"]).returncode == 0, "the CRI", node.outer)


def handlers(node: Node, *wanted: tuple[str, str]) -> str:
    """Return the node's configuration with these runtime handlers only."""
    return replace(node.spec.config, handlers=wanted).text()


RUNC = ("runc", "/usr/sbin/runc")


def without_handler(node: Node) -> None:
    """Configure containerd as if no toolkit had been there, and restart it."""
    node.write(CONTAINERD_CONFIG, handlers(node, RUNC))
    restart_containerd(node)


def not_restarted(node: Node) -> None:
    """Let containerd run with an older file than the one on disk, which has the handler."""
    without_handler(node)
    node.write(CONTAINERD_CONFIG, node.spec.config.text())


def binary_missing(node: Node) -> None:
    """Remove the program that the handler names."""
    node.remove(NVIDIA_RUNTIME)


def nvml_init(code: int) -> Callable[[Node], None]:
    """Return what lets NVML's start fail with ``code``."""
    return lambda node: node.set_nvml(init=code)


def nvml_hangs(node: Node) -> None:
    """Freeze whoever asks NVML."""
    node.freeze_nvml()


def device_node_missing(node: Node) -> None:
    """Remove the device node of the first GPU."""
    node.remove("/dev/nvidia0")


def libcuda_missing(node: Node) -> None:
    """Remove the CUDA driver library, but not NVML's."""
    folder = library_folder()
    node.remove(f"{folder}/libcuda.so.1", f"{folder}/libcuda.so.{DRIVER}")


def other_module_version(node: Node) -> None:
    """Show a kernel module of another version than the libraries: an upgrade without a reboot."""
    for path in ("/proc/driver/nvidia/version", "/sys/module/nvidia/version"):
        node.write(path, node.read(path).replace(DRIVER, OTHER_DRIVER))
    node.set_nvml(init=18)


def off_the_bus(*minors: int) -> Callable[[Node], None]:
    """Return what takes GPUs off the PCI bus; the driver does not know them either."""

    def breaks(node: Node) -> None:
        for minor in minors:
            address = f"0000:{BUSES[minor]:02x}:00.0"
            trees = [f"/sys/bus/pci/devices/{address}", f"/proc/driver/nvidia/gpus/{address}"]
            node.remove(*trees, f"/dev/nvidia{minor}")

    return breaks


def counted(number: str | None) -> Callable[[Node], None]:
    """Return what labels the node with its number of GPUs, as GPU feature discovery does."""
    return lambda node: patch(node, {"metadata": {"labels": {"nvidia.com/gpu.count": number}}})


def one_counted_is_lost(node: Node) -> None:
    """Take one of two GPUs off the bus of a node whose label tells that there are two."""
    counted("2")(node)
    off_the_bus(1)(node)


def patch(node: Node, change: Mapping[str, Any]) -> None:
    """Change the Node object."""
    node.control.api.patch(f"/api/v1/nodes/{node.name}", change)


def await_gpus(node: Node, count: int) -> None:
    """Wait until the node gives away so many GPUs."""
    wait_for(lambda: node.allocatable() == count, f"{count} GPUs", node.outer, seconds=90)


def plugin_gone(node: Node) -> None:
    """Let the DaemonSet of the device plugin pass this node over."""
    patch(node, {"metadata": {"labels": {LABEL: None}}})
    await_gpus(node, 0)


def plugin_back(node: Node) -> None:
    """Let the DaemonSet see the node again."""
    patch(node, {"metadata": {"labels": {LABEL: "true"}}})


def plugin_says(**settings: object) -> Callable[[Node], None]:
    """Return what lets the device plugin give away one GPU of two."""

    def breaks(node: Node) -> None:
        node.set_plugin(**settings)
        await_gpus(node, 1)

    return breaks


def plugin_healed(node: Node) -> None:
    """Let the device plugin tell the truth."""
    node.set_plugin()
    await_gpus(node, 2)


def no_image(node: Node) -> None:
    """Take the suite's image from the node; there is no registry to pull it from."""
    node.remove_image(PYTHON)


def no_crictl(node: Node) -> None:
    """Remove crictl."""
    node.remove("/usr/local/bin/crictl")


def no_cni(node: Node) -> None:
    """Remove the configuration of the pod network; the node is NotReady soon."""
    node.must("sh", "-c", "rm /etc/cni/net.d/*")
    await_not_ready(node)


def await_not_ready(node: Node) -> None:
    """Wait until Kubernetes knows that the node is not Ready."""
    wait_for(lambda: not node.is_ready(), f"{node.name} to be NotReady", node.outer, seconds=90)


def pod(node: Node, gpus: int, **spec: object) -> None:
    """Start a pod of a user that keeps GPUs of the node."""
    container = {
        "name": "main",
        "image": PYTHON,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", "import signal; signal.pause()"],
        "resources": {"limits": {"nvidia.com/gpu": gpus}},
    }
    body = {"nodeName": node.name, "terminationGracePeriodSeconds": 0, **spec}
    head = {"name": f"user-{node.name}"}
    node.control.api.create(PODS, {"metadata": head, "spec": {**body, "containers": [container]}})
    wait_for(lambda: _runs(node), "the user's pod", node.outer)


def _runs(node: Node) -> bool:
    found = node.control.api.get(f"{PODS}/user-{node.name}")
    return bool(found["status"].get("phase") == "Running")


def pod_gone(node: Node) -> None:
    """Remove the user's pod."""
    path = f"{PODS}/user-{node.name}"
    node.control.api.delete(path, seconds=0)
    wait_for(lambda: node.control.api.find(path) is None, "the end of the pod", node.outer)


def busy(node: Node) -> None:
    """Let a pod hold all GPUs of the node."""
    pod(node, 2, runtimeClassName="nvidia")


def without_class(node: Node) -> None:
    """Start a GPU pod without a RuntimeClass, while runc is the default."""
    pod(node, 1)


def cordoned(node: Node) -> None:
    """Cordon the node."""
    patch(node, {"spec": {"unschedulable": True}})


def uncordoned(node: Node) -> None:
    """Undo it."""
    patch(node, {"spec": {"unschedulable": None}})


def tainted(node: Node) -> None:
    """Keep pods away that do not tolerate it."""
    taint = {"key": "example.com/reserved", "value": "yes", "effect": "NoExecute"}
    patch(node, {"spec": {"taints": [taint]}})


def untainted(node: Node) -> None:
    """Undo it."""
    patch(node, {"spec": {"taints": None}})


def other_containerd(node: Node) -> None:
    """Configure a second containerd for GPUs, not the one that the kubelet uses."""
    text = node.spec.config.text().replace("/run/containerd", "/run/other")
    text = text.replace("/var/lib/containerd", "/run/other/lib")
    text = text.replace("/etc/containerd/conf.d", "/etc/other/conf.d")
    node.write(OTHER_CONFIG, text)
    command = f"setsid /usr/bin/containerd --config {OTHER_CONFIG} >/dev/null 2>&1 &"
    node.must("sh", "-c", command)
    wait_for(lambda: not node.run(["test", "-S", OTHER_SOCKET]).returncode, "it", node.outer)
    without_handler(node)


def other_gone(node: Node) -> None:
    """End the second containerd."""
    node.must("pkill", "-f", f"containerd --config {OTHER_CONFIG}")
    node.remove("/etc/other", "/run/other")


def kubelet_stopped(node: Node) -> None:
    """Stop the kubelet."""
    node.stop("kubelet")
    await_not_ready(node)


def no_runc(node: Node) -> None:
    """Add a drop-in that replaces the CRI section by one with the GPU handler alone."""
    config = node.spec.config
    drop_in = "version = 2\n" + config.handler("nvidia", NVIDIA_RUNTIME)
    node.write("/etc/containerd/conf.d/99-nvidia.toml", drop_in)
    node.restart("containerd")
    await_not_ready(node)


def class_missing(node: Node) -> None:
    """Remove the RuntimeClass object."""
    node.control.api.delete(f"{RUNTIME_CLASSES}/nvidia")


def class_back(node: Node) -> None:
    """Make the RuntimeClass as it was."""
    class_missing(node)
    node.control.api.create(RUNTIME_CLASSES, runtime_class())


def class_misspelt(node: Node) -> None:
    """Let the RuntimeClass name a handler that no containerd knows."""
    class_missing(node)
    node.control.api.create(RUNTIME_CLASSES, runtime_class(handler="nvidai"))


def nothing(_node: Node) -> None:
    """Leave the node alone: what is wrong is wrong in the whole cluster."""


RUNTIME = Round(
    name="runtime",
    cells=(
        Cell(
            node="n16",
            name="handler absent",
            sentence="containerd runs without a handler for GPUs",
            breaks=without_handler,
            layer="runtime",
            cause="runtime/handler-not-configured",
        ),
        Cell(
            node="n17",
            name="containerd not restarted",
            sentence="the handler is on disk, but containerd started before it was",
            breaks=not_restarted,
            layer="runtime",
            cause="runtime/not-restarted",
        ),
        Cell(
            node="n21",
            name="BinaryName not installed",
            sentence="the program that the handler names is not there",
            breaks=binary_missing,
            layer="runtime",
            cause="runtime/binary-missing",
        ),
    ),
)

NVML = Round(
    name="NVML",
    cells=(
        Cell(
            node="n16",
            name="NVML init 9",
            sentence="the driver is not loaded, says NVML",
            breaks=nvml_init(9),
            layer="driver",
            cause="driver/nvml-refuses",
        ),
        Cell(
            node="n17",
            name="NVML init 18",
            sentence="driver and library are of different versions, says NVML",
            breaks=nvml_init(18),
            layer="driver",
            cause="driver/library-module-mismatch",
        ),
        Cell(
            node="n21",
            name="NVML init 999",
            sentence="NVML fails with an unknown error",
            breaks=nvml_init(999),
            layer="driver",
            cause="driver/nvml-refuses",
        ),
        Cell(
            node="nsd",
            name="NVML hangs",
            sentence="whoever asks NVML never returns, whatever signal it gets",
            breaks=nvml_hangs,
            layer="driver",
            cause="driver/nvml-hangs",
        ),
    ),
)

DRIVER_FILES = Round(
    name="driver",
    cells=(
        Cell(
            node="n16",
            name="/dev/nvidia0 missing",
            sentence="a device node of a GPU is missing",
            breaks=device_node_missing,
            layer="driver",
            cause="driver/device-nodes-missing",
        ),
        Cell(
            node="n17",
            name="libcuda missing",
            sentence="nvidia-smi would be content, CUDA is not: its library is missing",
            breaks=libcuda_missing,
            layer="driver",
            cause="driver/libcuda-missing",
        ),
        Cell(
            node="n21",
            name="kernel module of another version",
            sentence="the libraries were upgraded, the kernel module runs on",
            breaks=other_module_version,
            layer="driver",
            cause="driver/library-module-mismatch",
        ),
        Cell(
            node="nsd",
            name="PCI functions missing",
            sentence="the GPUs that the device plugin gives away are no longer on the bus",
            breaks=off_the_bus(0, 1),
            layer="hardware",
            cause="hardware/gpu-missing",
        ),
    ),
)

PLUGIN = Round(
    name="device plugin",
    cells=(
        Cell(
            node="n16",
            name="device plugin not running",
            sentence="the DaemonSet of the device plugin passes the node over",
            breaks=plugin_gone,
            layer="device-plugin",
            cause="device-plugin/not-scheduled",
            repair=plugin_back,
        ),
        Cell(
            node="n17",
            name="one GPU unhealthy",
            sentence="the device plugin took a GPU out of service",
            breaks=plugin_says(unhealthy=["0"]),
            layer="device-plugin",
            cause="device-plugin/unhealthy-devices",
            repair=plugin_healed,
        ),
        Cell(
            node="n21",
            name="allocatable is not physical",
            sentence="the device plugin offers fewer GPUs than there are",
            breaks=plugin_says(hide=1),
            layer="device-plugin",
            cause="device-plugin/count-mismatch",
            repair=plugin_healed,
        ),
        Cell(
            node="nsd",
            name="one PCI function missing",
            sentence="a GPU that is counted by the node's label is no longer on the bus",
            breaks=one_counted_is_lost,
            layer="hardware",
            cause="hardware/gpu-lost",
            repair=counted(None),
        ),
    ),
)

USE = Round(
    name="unproven",
    cells=(
        Cell(
            node="n16",
            name="image not on the node",
            sentence="no pod of the suite starts without its image: that is no GPU fault",
            breaks=no_image,
            verdict="unproven",
        ),
        Cell(
            node="n17",
            name="crictl absent",
            sentence="without crictl the pod stands in for the sandbox",
            breaks=no_crictl,
            verdict="conforms",
        ),
        Cell(
            node="n21",
            name="all GPUs busy",
            sentence="nothing can be proven while others hold all GPUs: their pods are named",
            breaks=busy,
            verdict="unproven",
            says="default/user-n21",
            repair=pod_gone,
        ),
        Cell(
            node="nsd",
            name="no CNI",
            sentence="the sandbox needs no pod network, the pod does",
            breaks=no_cni,
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
            breaks=cordoned,
            verdict="conforms",
            repair=uncordoned,
        ),
        Cell(
            node="n17",
            name="node tainted",
            sentence="a taint keeps the suite from nothing",
            breaks=tainted,
            verdict="conforms",
            repair=untainted,
        ),
        Cell(
            node="n21",
            name="GPU pod without RuntimeClass",
            sentence="a user's GPU pod runs under runc, which injects nothing",
            breaks=without_class,
            layer="runtimeclass-pod",
            cause="runtimeclass/workload-without-runtimeclass",
            repair=pod_gone,
        ),
        Cell(
            node="nsd",
            name="second containerd",
            sentence="the toolkit configured a containerd that the kubelet does not use",
            breaks=other_containerd,
            layer="runtime",
            cause="runtime/toolkit-configured-other-containerd",
            repair=other_gone,
        ),
    ),
)

SILENT = (
    Cell(
        node="n16",
        name="kubelet stopped",
        sentence="the kubelet is silent while its runtime serves",
        breaks=kubelet_stopped,
        layer="access",
        cause="access/kubelet-stopped",
    ),
    Cell(
        node="n17",
        name="drop-in leaves no runc",
        sentence="a drop-in replaced the CRI section: the default runtime is gone, and the CRI",
        breaks=no_runc,
        layer="runtime",
        cause="runtime/drop-in-left-no-runc",
    ),
)

BY_SSH = Round(name="silent nodes by ssh", cells=SILENT, options=("--gpu-node-shell=ssh",))

BY_POD = Round(
    name="silent nodes by pod",
    cells=tuple(replace(cell, layer="access", cause="access/no-door") for cell in SILENT),
)

EVERYWHERE = ("n16", "n17", "n21", "nsd")


def everywhere(cell: Cell) -> tuple[Cell, ...]:
    """Return the cells of a fault of the whole cluster: broken once, seen on every node."""
    others = [replace(cell, node=name, breaks=nothing, repair=None) for name in EVERYWHERE[1:]]
    return (cell, *others)


CLASS_MISSING = Round(
    name="RuntimeClass missing",
    cells=everywhere(
        Cell(
            node=EVERYWHERE[0],
            name="RuntimeClass missing",
            sentence="the handler is there, but no RuntimeClass leads to it",
            breaks=class_missing,
            layer="runtimeclass-pod",
            cause="runtimeclass/missing",
            repair=class_back,
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
            breaks=class_misspelt,
            layer="runtimeclass-pod",
            cause="runtimeclass/handler-unknown",
            repair=class_back,
        )
    ),
)

ROUNDS = (
    RUNTIME,
    NVML,
    DRIVER_FILES,
    PLUGIN,
    USE,
    KUBERNETES,
    BY_SSH,
    BY_POD,
    CLASS_MISSING,
    CLASS_MISSPELT,
)


def broken(cluster_nodes: Iterable[Node], cells: Iterable[Cell]) -> None:
    """Break the nodes of a cluster."""
    nodes = {node.name: node for node in cluster_nodes}
    for cell in cells:
        cell.breaks(nodes[cell.node])
