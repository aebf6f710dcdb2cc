"""A made-up GPU node in Kubernetes: healthy by default, and easy to break in one place."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from pytest_gpu.causes import Evidence, Finding, message
from pytest_gpu.evidence import Door
from pytest_gpu.finding_json import as_json
from pytest_gpu.run.node_face import GpuNode
from pytest_gpu.stack.containerd.live_config import LiveConfig
from pytest_gpu.stack.containerd.merge import EffectiveConfig
from pytest_gpu.stack.cri.handler import Handler
from pytest_gpu.stack.host.processes import Process, processes_of
from pytest_gpu.stack.kubelet.containerd import containerd_of
from pytest_gpu.stack.kubelet.containerd_runtime import Containerd
from pytest_gpu.stack.kubelet.kubelet import Kubelet, kubelet_of
from pytest_gpu.stack.kubelet.live_handlers import LiveHandlers
from tests.support.fake_evidence import NOON, Command, FakeCluster, FakeNode, node_object
from tests.support.told import full

CONFIG = "/etc/containerd/config.toml"
SOCKET = "/run/containerd/containerd.sock"
NVIDIA = "/usr/bin/nvidia-container-runtime"
INFO = f"/usr/bin/crictl --runtime-endpoint unix://{SOCKET} info"
GPU = "nvidia.com/gpu"
Object = dict[str, Any]

CONTAINERD = Process(pid=800, argv=("/usr/bin/containerd",), exe="/usr/bin/containerd")
KUBELET = Process(pid=900, argv=("/usr/bin/kubelet",), exe="/usr/bin/kubelet")
RUNNING = [{"name": "main", "ready": True, "restartCount": 0, "state": {"running": {}}}]


def waiting(reason: str, message: str = "", restarts: int = 0) -> list[Object]:
    """Return container statuses of one container that waits."""
    state = {"waiting": {"reason": reason, "message": message}}
    return [{"name": "main", "ready": False, "restartCount": restarts, "state": state}]


def pod(  # noqa: PLR0913 - one keyword for each thing that decides
    name: str = "train",
    *,
    namespace: str = "default",
    node: str | None = "gpu-1",
    gpus: int = 1,
    runtime_class: str | None = None,
    phase: str = "Running",
    statuses: Sequence[Object] | None = None,
    app: str = "",
    age: timedelta = timedelta(hours=1),
    **status: Any,
) -> Object:
    """Return a pod with one container, that runs unless said otherwise."""
    resources = {"limits": {GPU: str(gpus)}, "requests": {GPU: str(gpus)}} if gpus else {}
    spec: Object = {"containers": [{"name": "main", "image": "app:1", "resources": resources}]}
    if node:
        spec["nodeName"] = node
    if runtime_class:
        spec["runtimeClassName"] = runtime_class
    started = RUNNING if statuses is None and phase == "Running" else statuses or []
    return {
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-{name}",
            "creationTimestamp": (NOON - age).isoformat(),
            "labels": {"app": app} if app else {},
        },
        "spec": spec,
        "status": {"phase": phase, "containerStatuses": [dict(each) for each in started], **status},
    }


PLUGIN_CONTAINER = {
    "name": "nvidia-device-plugin-ctr",
    "image": "nvcr.io/nvidia/k8s-device-plugin:v0.17.4",
}


def plugin_pod(**changes: Any) -> Object:
    """Return the device plugin's pod; its container is ready unless said otherwise."""
    values: Object = {"namespace": "gpu-operator", "gpus": 0, "runtime_class": "nvidia"}
    found = pod("nvidia-device-plugin-x", **{**values, **changes})
    found["spec"]["containers"] = [dict(PLUGIN_CONTAINER)]
    for status in found["status"]["containerStatuses"]:
        status["name"] = PLUGIN_CONTAINER["name"]
    return found


def daemonset(spec: Mapping[str, Any] | None = None, **metadata: Any) -> Object:
    """Return the device plugin's DaemonSet."""
    template = {"containers": [dict(PLUGIN_CONTAINER)], "runtimeClassName": "nvidia"}
    return {
        "metadata": {"name": "nvidia-device-plugin", "namespace": "gpu-operator", **metadata},
        "spec": {"template": {"spec": template if spec is None else dict(spec)}},
    }


def log_of(pod: Object, text: str, restarts: int = 0) -> dict[str, str]:
    """Return the log of a pod's only container as a file of its node."""
    about, [container] = pod["metadata"], pod["spec"]["containers"]
    folder = f"{about['namespace']}_{about['name']}_{about['uid']}"
    return {f"/var/log/pods/{folder}/{container['name']}/{restarts}.log": text}


def runtime_class(name: str = "nvidia", handler: str | None = None) -> Object:
    """Return a RuntimeClass; its handler has its name unless given."""
    return {"metadata": {"name": name}, "handler": handler or name}


def event(
    about: Object, reason: str, message: str, ago: timedelta = timedelta(minutes=1)
) -> Object:
    """Return a warning about an object that was last seen some time ago."""
    return {
        "type": "Warning",
        "reason": reason,
        "message": message,
        "lastTimestamp": (NOON - ago).isoformat(),
        "involvedObject": {
            "name": about["metadata"]["name"],
            "namespace": about["metadata"]["namespace"],
        },
    }


def run(role: str, handler: str = "", error: str = "", **more: Any) -> Object:
    """Return one sandbox run: fine, or ended by an error."""
    paths = ["/dev/nvidia0", "/dev/nvidiactl", "/dev/nvidia-uvm"]
    paths += [f"/usr/lib/x86_64-linux-gnu/{name}.so.1" for name in ("libcuda", "libnvidia-ml")]
    fine = {"exit": 0, "output": "\n".join(paths) if role == "gpu" else ""}
    failed = {"exit": 1, "stderr": error}
    return {"role": role, "handler": handler, **(failed if error else fine), **more}


def sandbox(*runs: Object, text: str = "{}", origin: str = "shipped", **more: Any) -> Object:
    """Return the outcome of the sandboxes; both are fine unless runs are given."""
    return {
        "crictl": {"path": "/usr/bin/crictl", "endpoint": f"unix://{SOCKET}"},
        "files": {"origin": origin, "pod_config": {"source": "/root/pod.json", "text": text}},
        "runs": list(runs or (run("control"), run("gpu", "nvidia"))),
        **more,
    }


def report(**changes: Any) -> Object:
    """Return what a container of the suite's pod reports."""
    cuda = {"init": 0, "count": 1, "compute": "ok"}
    seen = {"devices": ["/dev/nvidia0", "/dev/nvidiactl"], "visible": "void", "cuda": cuda}
    return {"exit": 0, "output": json.dumps({**seen, **changes})}


def suite_pod(gpu: Object | None = None, none: Object | None = None, **more: Any) -> Object:
    """Return the outcome of the suite's pod: all is well unless said otherwise."""
    reports = {"gpu": gpu or report(), "none": none or report(devices=[], cuda={})}
    return {
        "pod": pod("suite", runtime_class="nvidia", phase="Succeeded"),
        "containers": reports,
        **more,
    }


def nvml(*gpus: Object) -> Object:
    """Return NVML's answers for so many GPUs; one plain one if none is given."""
    found = [{"index": i, "name": "A10", **gpu} for i, gpu in enumerate(gpus or ({},))]
    return {"library": "/usr/lib/libnvidia-ml.so.1", "init": {"error": None}, "devices": found}


@dataclass
class Machine:
    """One GPU node.

    ``live`` are the handlers that its running containerd knows, ``passed_on`` the annotations of
    containers that it passes to its GPU handlers.
    """

    handlers: dict[str, str | None] = field(
        default_factory=lambda: {"runc": None, "nvidia": NVIDIA}
    )
    default: str = "runc"
    live: Sequence[str] = ("runc", "nvidia")
    loaded: LiveConfig | None = None
    cdi_enabled: bool = False
    passed_on: tuple[str, ...] = ()
    systemd: bool = True
    serves: bool = True
    kubelet: Process | None = KUBELET
    runtime: str = "containerd"
    pods: list[Object] = field(default_factory=lambda: [plugin_pod()])
    daemonsets: list[Object] = field(default_factory=lambda: [daemonset()])
    classes: list[Object] = field(default_factory=lambda: [runtime_class()])
    objects: dict[str, list[Object]] = field(default_factory=dict)
    capacity: dict[str, str] = field(default_factory=lambda: {GPU: "1"})
    allocatable: dict[str, str] | None = None
    labels: dict[str, str] = field(default_factory=dict)
    taints: list[dict[str, str]] = field(default_factory=list)
    ready: str = "True"
    message: str = ""
    kubelet_version: str = ""
    outcomes: dict[str, Object] = field(
        default_factory=lambda: {"sandbox": sandbox(), "pod": suite_pod()}
    )
    nvml: Object | None = field(default_factory=nvml)
    files: dict[str, str] = field(default_factory=dict)
    listed: Sequence[str] = ()
    commands: list[Command] = field(default_factory=list)
    door: Door | None = None
    processes: tuple[Process, ...] = (CONTAINERD, KUBELET)

    def node(self) -> GpuNode:
        """Return the node as it is now."""
        cluster = FakeCluster(nodes={"gpu-1": self._evidence()}, objects=self._objects())
        node = GpuNode("gpu-1", cluster)
        node.memory.recall(containerd_of, self._containerd)
        node.memory.recall(kubelet_of, self._kubelet)
        node.memory.recall(processes_of, lambda: self.processes)
        return node

    def _evidence(self) -> FakeNode:
        return FakeNode(
            files=self.files,
            devices={"/dev/nvidia0": (195, 0), "/dev/nvidiactl": (195, 255)},
            complete=["/dev", *self.listed],
            commands=self.commands,
            nvml=self.nvml,
            outcomes=self.outcomes,
            door=self.door,
        )

    def _objects(self) -> dict[str, list[Object]]:
        node = node_object(capacity=self.capacity, allocatable=self.allocatable, labels=self.labels)
        condition = {"type": "Ready", "status": self.ready, "message": self.message}
        node["status"]["conditions"] = [condition]
        node["status"]["nodeInfo"]["kubeletVersion"] = self.kubelet_version
        node["spec"] = {"taints": self.taints}
        return {
            "nodes": [node],
            "pods": self.pods,
            "daemonsets": self.daemonsets,
            "clusterpolicies": [],
            "resourceslices": [],
            "runtimeclasses": self.classes,
            **self.objects,
        }

    def _containerd(self) -> Containerd:
        runtimes = {
            name: Handler(
                name=name,
                runtime_type="io.containerd.runc.v2",
                binary=binary,
                systemd_cgroup=self.systemd,
                source=Evidence(source=CONFIG, text=f"runtimes.{name}"),
                container_annotations=self.passed_on if binary else (),
            )
            for name, binary in self.handlers.items()
        }
        config = EffectiveConfig(
            path=CONFIG,
            files=(),
            version=2,
            runtimes=runtimes,
            default_runtime=self.default,
            cdi_enabled=self.cdi_enabled,
            cdi_dirs=(),
            disabled=(),
            imports=(),
            problems=(),
        )
        live = LiveHandlers(
            handlers=frozenset(self.live),
            default=self.default,
            error="" if self.serves else "connection refused",
            command=INFO,
            config=self.loaded,
        )
        return Containerd(
            tell_version=lambda: (1, 7, 24),
            tell_config=lambda: config,
            process=self.processes[0] if self.serves else None,
            config_path=CONFIG,
            socket=SOCKET,
            live=live,
        )

    def _kubelet(self) -> Kubelet:
        driver = "systemd" if self.systemd else "cgroupfs"
        return Kubelet(
            process=self.kubelet,
            argv=(),
            socket=SOCKET,
            runtime=self.runtime,
            cgroup_driver=driver,
        )


def cause(finding: Finding | None) -> str | None:
    """Return a finding's cause, after every text of it was filled in; ``None`` if all is well."""
    return str(as_json(full(finding))["cause"]) if finding else None


def told(finding: Finding | None) -> str:
    """Return all that a finding says: title, evidence, fix."""
    assert finding is not None
    return message(full(finding))
