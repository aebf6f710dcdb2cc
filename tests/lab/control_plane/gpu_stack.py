"""What turns nodes into GPU nodes: the RuntimeClass and the device plugin's DaemonSet."""

from __future__ import annotations

from typing import Any

from tests.lab.control_plane.api import Api
from tests.lab.parts.images import PLUGIN

NAMESPACE = "kube-system"
PLUGIN_NAME = "nvidia-device-plugin-daemonset"
DAEMONSETS = f"/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets"
RUNTIME_CLASSES = "/apis/node.k8s.io/v1/runtimeclasses"
LABEL = "nvidia.com/gpu.present"
FOLDERS = {"plugins": "/var/lib/kubelet/device-plugins", "settings": "/etc/nvidia-lab"}


def runtime_class(handler: str = "nvidia", name: str = "nvidia") -> dict[str, Any]:
    """Return the RuntimeClass object."""
    return {
        "apiVersion": "node.k8s.io/v1",
        "kind": "RuntimeClass",
        "metadata": {"name": name},
        "handler": handler,
    }


def device_plugin() -> dict[str, Any]:
    """Return the device plugin's DaemonSet, for the nodes with ``LABEL``."""
    labels = {"name": "nvidia-device-plugin-ds"}
    container = {
        "name": "nvidia-device-plugin-ctr",
        "image": PLUGIN,
        "imagePullPolicy": "IfNotPresent",
        "volumeMounts": [{"name": name, "mountPath": path} for name, path in FOLDERS.items()],
    }
    volumes = [
        {"name": name, "hostPath": {"path": path, "type": "DirectoryOrCreate"}}
        for name, path in FOLDERS.items()
    ]
    pod = {
        "runtimeClassName": "nvidia",
        "nodeSelector": {LABEL: "true"},
        "priorityClassName": "system-node-critical",
        "tolerations": [{"operator": "Exists"}],
        "terminationGracePeriodSeconds": 1,
        "containers": [container],
        "volumes": volumes,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": PLUGIN_NAME, "namespace": NAMESPACE},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def install(api: Api) -> None:
    """Create both."""
    api.create(RUNTIME_CLASSES, runtime_class())
    api.create(DAEMONSETS, device_plugin())


def label(api: Api, node: str) -> None:
    """Mark a node as one with GPUs, as GPU feature discovery does."""
    labels = {LABEL: "true", "nvidia.com/gpu.product": "NVIDIA-A100-PCIE-40GB"}
    api.patch(f"/api/v1/nodes/{node}", {"metadata": {"labels": labels}})
