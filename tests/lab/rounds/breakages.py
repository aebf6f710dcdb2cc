"""How the lab's nodes are broken, and repaired where healing does not do it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tests.lab.cluster import PODS, run_pod
from tests.lab.control_plane.gpu_stack import LABEL, RUNTIME_CLASSES, runtime_class
from tests.lab.nodes.containerd_config import NVIDIA_RUNTIME
from tests.lab.nodes.containerd_config import PATH as CONTAINERD_CONFIG
from tests.lab.nodes.daemons import wait_for
from tests.lab.nodes.fake_gpu import BUSES, DRIVER, library_folder
from tests.lab.nodes.node import Node
from tests.lab.nodes.node_files import CRICTL
from tests.lab.parts.images import PYTHON

OTHER_CONFIG = "/etc/other/containerd.toml"
OTHER_SOCKET = "/run/other/containerd.sock"
OTHER_DRIVER = "535.161.08"
RUNC = ("runc", "/usr/sbin/runc")


def restart_containerd(node: Node) -> None:
    """Restart the node's containerd and wait until its CRI serves."""
    node.restart("containerd")
    await_cri(node)


def await_cri(node: Node) -> None:
    """Wait until the CRI of the node's containerd serves."""
    wait_for(lambda: node.run(["crictl", "version"]).returncode == 0, "the CRI", node.outer)


def handlers(node: Node, *wanted: tuple[str, str]) -> str:
    """Return the node's configuration with these runtime handlers only."""
    return replace(node.spec.config, handlers=wanted).text()


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


def completes_nvidia_smi(node: Node) -> None:
    """Check that a GPU pod of the RuntimeClass with nvidia-smi completes all the same."""
    container = {
        "command": ["nvidia-smi", "-L"],
        "resources": {"limits": {"nvidia.com/gpu": 1}},
    }
    spec = {"nodeName": node.name, "runtimeClassName": "nvidia", "containers": [container]}
    phase, log = run_pod(node.control.api, f"smi-{node.name}", spec)
    assert phase == "Succeeded", log
    assert log.startswith("GPU 0: NVIDIA"), log


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


PLUGIN_PODS = "/api/v1/namespaces/kube-system/pods?labelSelector=name%3Dnvidia-device-plugin-ds"


def patch(node: Node, change: Mapping[str, Any]) -> None:
    """Change the Node object."""
    node.control.api.patch(f"/api/v1/nodes/{node.name}", change)


def gives(count: int) -> Callable[[Node], None]:
    """Return what waits until the node gives away so many GPUs."""

    def settles(node: Node) -> None:
        wait_for(lambda: node.allocatable() == count, f"{count} GPUs", node.outer, seconds=90)

    return settles


def has_no_plugin(node: Node) -> None:
    """Wait until the plugin's pod has left the node, and its GPUs with it."""
    query = f"{PLUGIN_PODS}&fieldSelector=spec.nodeName%3D{node.name}"
    what = "the end of the plugin's pod"
    wait_for(lambda: not node.control.api.get(query)["items"], what, node.outer, seconds=90)
    gives(0)(node)


def plugin_gone(node: Node) -> None:
    """Let the DaemonSet of the device plugin pass this node over."""
    patch(node, {"metadata": {"labels": {LABEL: None}}})


def plugin_back(node: Node) -> None:
    """Let the DaemonSet see the node again."""
    patch(node, {"metadata": {"labels": {LABEL: "true"}}})


def plugin_says(**settings: object) -> Callable[[Node], None]:
    """Return what tells the device plugin what to say."""
    return lambda node: node.set_plugin(**settings)


def plugin_healed(node: Node) -> None:
    """Let the device plugin tell the truth."""
    node.set_plugin()


def no_image(node: Node) -> None:
    """Take the suite's image from the node; there is no registry to pull it from."""
    node.remove_image(PYTHON)


def no_crictl(node: Node) -> None:
    """Remove crictl."""
    node.remove(CRICTL)


def no_cni(node: Node) -> None:
    """Remove the configuration of the pod network; the node is NotReady soon."""
    node.must("sh", "-c", "rm /etc/cni/net.d/*")


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
    without_handler(node)
    text = node.spec.config.text().replace("/run/containerd", "/run/other")
    text = text.replace("/var/lib/containerd", "/run/other/lib")
    text = text.replace("/etc/containerd/conf.d", "/etc/other/conf.d")
    node.write(OTHER_CONFIG, text)
    command = f"setsid /usr/bin/containerd --config {OTHER_CONFIG} >/dev/null 2>&1 &"
    node.must("sh", "-c", command)
    wait_for(lambda: not node.run(["test", "-S", OTHER_SOCKET]).returncode, "it", node.outer)


def other_gone(node: Node) -> None:
    """End the second containerd."""
    node.run(["pkill", "-f", f"containerd --config {OTHER_CONFIG}"])
    node.remove("/etc/other", "/run/other")


def kubelet_stopped(node: Node) -> None:
    """Stop the kubelet."""
    node.stop("kubelet")


def no_runc(node: Node) -> None:
    """Add a drop-in that replaces the CRI section by one with the GPU handler alone.

    It is the same for every generation; 2.x merges it instead.
    """
    config = replace(node.spec.config, generation="1.7")
    drop_in = "version = 2\n" + config.handler("nvidia", NVIDIA_RUNTIME)
    node.write("/etc/containerd/conf.d/99-nvidia.toml", drop_in)
    node.restart("containerd")


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
