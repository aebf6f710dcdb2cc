"""Why the suite's pod is not admitted, by who refuses it: API server, scheduler, kubelet.

What concerns only the suite (its namespace, its rights, room for one more pod) proves nothing about
the node; the message says what helps.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.errors import Unproven
from pytest_gpu.gpu_node import Node
from pytest_gpu.message_file import Where
from pytest_gpu.messages import meanings
from pytest_gpu.stack.kube.objects import (
    labels_of,
    object_of,
    optional,
    path_of,
    spec_of,
    status_of,
)
from pytest_gpu.stack.kube.pods import gpu_requests, pods_on
from pytest_gpu.stack.kube.pressure import evicted
from pytest_gpu.stack.kube.runtimeclass import class_of
from pytest_gpu.stack.kubelet.check_pressure import evicted_for
from pytest_gpu.stack.pods.check_runtimeclasses import create_class
from pytest_gpu.stack.pods.suite_pod import SuitePod
from pytest_gpu.steps import typed
from pytest_gpu.text.shell import command

_WEBHOOK = re.compile(r'webhook "(?P<webhook>[^"\s]++)"')
_CAPACITY = re.compile(r"used: (?P<used>\d+), capacity: (?P<capacity>\d+)")
_SELECTOR = re.compile(r"node affinity/selector|NodeAffinity")

OTHER_NAMESPACE = "--gpu-namespace=NAME uses a namespace where such pods are allowed"
_RIGHTS = "the shipped manifest rbac.yaml gives the suite its rights"
_WAIT = "run the suite again when one is free"
_ROOM = "free some room on the node, and run the suite again"
_BY_API: Mapping[str, str] = {
    "cannot create resource": _RIGHTS,
    "webhook": f"{OTHER_NAMESPACE}, or repair the webhook",
}
_NO_ROOM = re.compile(r"^OutOf|^Preempt|^TopologyAffinityError|\bpreempt")
_BY_SUITE: Mapping[str, str] = {
    "DeadlineExceeded": "--gpu-timeout=SECONDS gives the pod more time",
    "Evicted": OTHER_NAMESPACE,
}


def rejected(node: Node, suite: SuitePod) -> Finding:
    """Return why the API server does not create the pod.

    Raises:
        Unproven: a policy, a quota or a right of the suite is the reason.
    """
    said = Evidence(source="kube-apiserver", text=suite.rejected)
    if found := meanings(suite.rejected, Where.ADMISSION):
        name = found[0].values.get("runtime_class", "")
        create = create_class(node, name)
        values = {"runtime_class": name, "users": "the suite's pod"}
        return Finding.of(found[0].cause, said, create=create, **values)
    match = _WEBHOOK.search(suite.rejected)
    if match and "nvidia" in match["webhook"]:
        return Finding.of("runtimeclass-pod/gpu-webhook-refuses", said, webhook=match["webhook"])
    helps = next((h for word, h in _BY_API.items() if word in suite.rejected), OTHER_NAMESPACE)
    what = "the suite's pod was rejected, which is not a GPU fault"
    raise Unproven(f"{what}: {suite.rejected}; {helps}")


def not_admitted(node: Node, suite: SuitePod, reason: str) -> Finding:
    """Return why the kubelet refused the pod (status.reason).

    Raises:
        Unproven: there is no room for it, or it is the suite's own limit.
    """
    if (told := evicted(suite.pod)) and (finding := evicted_for(node, told)):
        return finding
    message = str(status_of(suite.pod).get("message") or "")
    busy = _CAPACITY.search(message)
    if reason.startswith("OutOfnvidia.com/") and busy and int(busy["capacity"]):
        raise Unproven(f"all GPUs are in use by {holders(node)}: {message}; {_WAIT}")
    refused = f"the kubelet refused the suite's pod: {reason}: {message}"
    if reason in _BY_SUITE:
        raise Unproven(f"{refused}; {_BY_SUITE[reason]}")
    if _is_about_devices(reason, message):
        return Finding.of("device-plugin/admission-fails", _said(suite, reason, message))
    if _NO_ROOM.search(reason) or _NO_ROOM.search(message):
        raise Unproven(f"{refused}; {_ROOM}")
    if finding := _kept_away(node, suite, _said(suite, reason, message)):
        return finding
    said = _said(suite, reason, message)
    return Finding.of("runtimeclass-pod/kubelet-refuses", said, why=reason)


def _said(suite: SuitePod, reason: str, message: str) -> Evidence:
    return Evidence(source=f"pod {path_of(suite.pod)}", text=f"{reason}: {message}")


def _is_about_devices(reason: str, message: str) -> bool:
    """Say whether the kubelet got no device: of the pod's resources only GPUs are devices."""
    if reason.startswith("OutOfnvidia.com/") or "nvidia.com/" in message:
        return True
    return reason == "UnexpectedAdmissionError" and not _NO_ROOM.search(message)


def not_scheduled(node: Node, suite: SuitePod, message: str) -> Finding:
    """Return why the scheduler finds no place for the pod on its node.

    Raises:
        Unproven: there is no room for it, or a queue holds it back.
    """
    said = Evidence(source=f"pod {path_of(suite.pod)}, condition PodScheduled", text=message)
    if finding := _kept_away(node, suite, said):
        return finding
    if any(f"Insufficient {key}" in message for key in gpu_requests(spec_of(suite.pod))):
        raise Unproven(f"all GPUs are in use by {holders(node)}: {message}; {_WAIT}")
    helps = OTHER_NAMESPACE if "scheduling gates" in message else _ROOM
    raise Unproven(f"the suite's pod could not be scheduled: {message}; {helps}")


def _kept_away(node: Node, suite: SuitePod, said: Evidence) -> Finding | None:
    """Find a RuntimeClass that keeps its pods away from this node by its own selector."""
    name = class_of(spec_of(suite.pod))
    lacks = _unmet(node, name) if _SELECTOR.search(said.text) else {}
    if not lacks:
        return None
    labels = [f"{key}={value}" for key, value in lacks.items()]
    wanted = ", ".join(labels)
    line = command("kubectl label node {node} {labels}", node=node.name, labels=labels)
    return Finding.of(
        "runtimeclass/keeps-pods-away",
        said,
        Evidence(source=f"runtimeclass {name}", text=f"scheduling.nodeSelector: {wanted}"),
        Evidence(source=f"node {node.name}", text=f"has no label {wanted}"),
        runtime_class=name,
        wanted=wanted,
        label=(typed("cluster", line),),
    )


def _unmet(node: Node, name: str) -> Mapping[str, Any]:
    """Return the labels that a RuntimeClass asks for and the node does not have."""
    classes = optional(node.cluster, "runtimeclasses")
    found = next((c for c in classes if (c.get("metadata") or {}).get("name") == name), {})
    asked = (found.get("scheduling") or {}).get("nodeSelector") or {}
    labels = labels_of(object_of(node))
    return {key: value for key, value in asked.items() if labels.get(key) != value}


def holders(node: Node) -> str:
    """Return the pods that hold the node's GPUs, with the resources that they hold."""
    held = [
        f"{path_of(pod)} ({', '.join(f'{key}: {n}' for key, n in requests.items())})"
        for pod in pods_on(node.cluster, node.name)
        if (requests := gpu_requests(spec_of(pod)))
    ]
    return ", ".join(held) or "pods that are not in the evidence"
