"""Made-up operands: pods, what makes them, and what they print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from pytest_gpu.gpu_node import Node
from tests.support.fake_evidence import NOON, FakeCluster, FakeNode, node_object

Object = dict[str, Any]
CRASHED = {
    "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting"}},
    "restartCount": 4,
    "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}},
}
LOADED = "/proc/driver/nvidia/version"
READY: Object = {"state": {"running": {}}, "ready": True, "restartCount": 0}


def container(
    image: str = "", *, name: str = "main", run: Sequence[str] = (), args: Sequence[str] = ()
) -> Object:
    """Return a container of a pod spec."""
    found: Object = {"name": name, "image": image}
    return found | ({"command": list(run)} if run else {}) | ({"args": list(args)} if args else {})


def pod(
    *containers: Object,
    name: str = "x-7k2vn",
    owner: tuple[str, str] | None = ("DaemonSet", "x"),
    labels: Mapping[str, str] | None = None,
    inits: Sequence[Object] = (),
    statuses: Mapping[str, Object] | None = None,
    **status: Any,
) -> Object:
    """Return a pod on the node, whose containers are ready unless said otherwise."""
    about = {"kind": owner[0], "name": owner[1], "controller": True} if owner else None
    told = {
        each["name"]: {**READY, **(statuses or {}).get(each["name"], {})}
        for each in (*inits, *containers)
    }
    return {
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "gpu-stack",
            "uid": f"uid-{name}",
            "labels": dict(labels or {}),
            "ownerReferences": [about] if about else [],
        },
        "spec": {
            "nodeName": "gpu-1",
            "containers": list(containers),
            "initContainers": list(inits),
        },
        "status": {
            "phase": "Running",
            "containerStatuses": [_status(each, told) for each in containers],
            "initContainerStatuses": [_status(each, told) for each in inits],
            **status,
        },
    }


def _status(container: Object, told: Mapping[str, Object]) -> Object:
    return {"name": container["name"], **told[container["name"]]}


def workload(made: Object, kind: str = "DaemonSet", name: str = "x", **more: Any) -> Object:
    """Return what makes a pod."""
    template = {"metadata": {"labels": made["metadata"]["labels"]}, "spec": {**made["spec"]}}
    template["spec"].pop("nodeName", None)
    return {
        "kind": kind,
        "metadata": {"name": name, "namespace": "gpu-stack", **more.pop("metadata", {})},
        "spec": {"template": template, **more.pop("spec", {})},
        **more,
    }


def warning(about: Object, reason: str, message: str, minutes: int = 1) -> Object:
    """Return a warning about an object that was last seen some minutes ago."""
    head = about["metadata"]
    return {
        "type": "Warning",
        "reason": reason,
        "message": message,
        "lastTimestamp": (NOON - timedelta(minutes=minutes)).isoformat(),
        "involvedObject": {
            "kind": about["kind"],
            "name": head["name"],
            "namespace": head["namespace"],
        },
    }


def log_path(made: Object, container: str = "main", restarts: int = 0) -> str:
    """Return where the kubelet keeps a log."""
    head = made["metadata"]
    folder = f"{head['namespace']}_{head['name']}_{head['uid']}"
    return f"/var/log/pods/{folder}/{container}/{restarts}.log"


def node_with(
    *pods: Object,
    files: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    evidence: FakeNode | None = None,
    **objects: Sequence[Object],
) -> Node:
    """Return a node with these pods, files and further objects of its cluster; it has a driver."""
    known = {"nodes": [node_object(labels=labels)], "pods": list(pods), **objects}
    found = {
        LOADED: "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.124.06\n",
        **(files or {}),
    }
    folders = {path.rpartition("/")[0] for path in found}
    there = evidence or FakeNode(files=found, complete=["/", *folders])
    return Node("gpu-1", FakeCluster(nodes={"gpu-1": there}, objects=known))
