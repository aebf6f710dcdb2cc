"""Healthy nodes in clusters of several pools: what is meant for other nodes says nothing here."""

from __future__ import annotations

from typing import Any

from tests.samples.sample_copy import SampleCopy
from tests.support import yaml_text
from tests.support.changes import add_object, containerd_config, each_object, entry

_OTHER_POOL = {"pool": "other"}
_PLUGINS = "plugins.'io.containerd.{}'.containerd.runtimes"


def _runtime_class(copy: SampleCopy, name: str) -> None:
    path = copy.folder / "kubernetes/runtimeclasses.yaml"
    if not path.exists():
        path.write_text("{apiVersion: v1, kind: List, items: []}\n")
    text = f"{{apiVersion: node.k8s.io/v1, kind: RuntimeClass, handler: {name}}}"
    add_object(copy, "runtimeclasses", yaml_text.dump(yaml_text.load(text) | _named(name)))


def _named(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name}}


def _pod(copy: SampleCopy, name: str, node: str, phase: str) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "nodeName": node,
            "runtimeClassName": "nvidia",
            "containers": [{"name": "main", "image": "busybox"}],
        },
        "status": {"phase": phase},
    }
    add_object(copy, "pods", yaml_text.dump(pod))


def classes_elsewhere(copy: SampleCopy) -> None:
    """Let pods of another node, a pod that ended here, and another pool's pods name a class."""
    _runtime_class(copy, "nvidia")
    _pod(copy, "trains", "control-plane-1", "Running")
    _pod(copy, "trained", copy.node.name, "Succeeded")
    template = {"nodeSelector": _OTHER_POOL, "runtimeClassName": "nvidia"}
    _daemonset(copy, "nvidia-dcgm-exporter", {**template, "containers": [{"name": "main"}]})


def _daemonset(copy: SampleCopy, name: str, template: dict[str, Any]) -> None:
    made = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": "gpu"},
        "spec": {"template": {"spec": template}},
    }
    add_object(copy, "daemonsets", yaml_text.dump(made))


def toolkit_of_another_pool(copy: SampleCopy) -> None:
    """Let the operator's toolkit run on another pool, whose containerd has another socket."""
    env = [{"name": "CONTAINERD_SOCKET", "value": "/run/k3s/containerd/containerd.sock"}]
    container = {"name": "ctr", "image": "mirror/container-toolkit:v1.17.4", "env": env}
    _daemonset(copy, "toolkit", {"nodeSelector": _OTHER_POOL, "containers": [container]})


def plugin_of_another_pool(copy: SampleCopy) -> None:
    """Let this pool's image bring its own plugin, and the DaemonSet be another pool's.

    Bottlerocket's refuses the list of devices as a variable, which its own plugin does not use.
    """

    def select(daemonset: dict[str, Any]) -> None:
        daemonset["spec"]["template"]["spec"]["nodeSelector"] = _OTHER_POOL

    each_object(copy, "daemonsets", select)
    names = [each["metadata"]["name"] for each in _items(copy, "daemonsets")]

    def drop(pods: dict[str, Any]) -> None:
        pods["items"] = [
            pod for pod in pods["items"] if not pod["metadata"]["name"].startswith(tuple(names))
        ]

    copy.edit_yaml(copy.folder / "kubernetes/pods.yaml", drop)
    config = copy.node / "files/etc/nvidia-container-runtime/config.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text("accept-nvidia-visible-devices-envvar-when-unprivileged = false\n")


def _items(copy: SampleCopy, plural: str) -> list[dict[str, Any]]:
    text = (copy.folder / f"kubernetes/{plural}.yaml").read_text()
    found: list[dict[str, Any]] = yaml_text.load(text)["items"]
    return found


def _add_handler(copy: SampleCopy, plugin: str, name: str, binary: str) -> None:
    table = f"{_PLUGINS.format(plugin)}.{name}"
    text = f"\n[{table}]\nruntime_type = 'io.containerd.runc.v2'\n[{table}.options]\n"
    copy.edit(containerd_config(copy), lambda before: f"{before}{text}BinaryName = '{binary}'\n")


def stock_handler_beside_cdi(copy: SampleCopy) -> None:
    """Let containerd's file come with an NVIDIA handler of which nothing is installed."""
    _add_handler(copy, "cri.v1.runtime", "nvidia", "nvidia-container-runtime")


def classes_nobody_names(copy: SampleCopy) -> None:
    """Let classes lead to leftover handlers: one of a removed program, one with cgroupfs."""
    binaries = {
        "nvidia-experimental": "/usr/bin/nvidia-container-runtime-experimental",
        "crun": "/usr/bin/crun",
    }
    for name, binary in binaries.items():
        _runtime_class(copy, name)
        _add_handler(copy, "grpc.v1.cri", name, binary)
    copy.edit_yaml(
        copy.node / "listing.yaml", lambda it: it["absent"].append(binaries["nvidia-experimental"])
    )


def library_of_jetson(copy: SampleCopy) -> None:
    """Let a spec mount Jetson's libcuda, whose version is not the driver's."""
    library = "/usr/lib/aarch64-linux-gnu/nvidia/libcuda.so.1.1"
    entry(copy, library, kind="file", mode="0644")
    mount = {"hostPath": library, "containerPath": library}
    copy.edit_yaml(
        copy.node / "files/run/cdi/nvidia.yaml",
        lambda spec: spec["containerEdits"].setdefault("mounts", []).append(mount),
    )
