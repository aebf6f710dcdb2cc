"""Checks that the suite's own pod gets exactly the GPU it asked for and computes correctly."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.checks import check
from pytest_gpu.errors import Unproven
from pytest_gpu.gpu_node import Node
from pytest_gpu.message_file import Where
from pytest_gpu.messages import meanings, understood
from pytest_gpu.stack.kube import runtimeclass
from pytest_gpu.stack.kube.events import event_text
from pytest_gpu.stack.kube.objects import condition_of, path_of, spec_of, status_of
from pytest_gpu.stack.kube.pod_state import kubectl_state, messages
from pytest_gpu.stack.kube.pods import gpu_requests, pods_on
from pytest_gpu.stack.kube.pressure import evicted
from pytest_gpu.stack.kubelet.check_pressure import evicted_for
from pytest_gpu.stack.kubelet.runtime import runtime_of
from pytest_gpu.stack.pods.check_runtimeclasses import create_class
from pytest_gpu.stack.pods.pod_fate import UNTAKEN, is_taken
from pytest_gpu.stack.pods.suite_pod import Seen, SuitePod, read

_NO_IMAGE = re.compile(r"ErrImagePull|ImagePullBackOff|Failed to pull image|InvalidImageName")
_CAPACITY = re.compile(r"used: (?P<used>\d+), capacity: (?P<capacity>\d+)")


@check("pods/suite-pod-not-started", visit=False)
def not_started(node: Node) -> Finding | None:
    """Find out why a pod that asks for one GPU is not admitted or does not start.

    Raises:
        Unproven: the reason is unknown or is not a fault of the GPU stack.
    """
    suite = read(node.evidence)
    if suite.rejected:
        return _rejected(node, suite)
    if "gpu" in suite.containers:
        return None
    reason = str(status_of(suite.pod).get("reason") or "")
    if reason:
        return _not_admitted(node, suite, reason)
    scheduled = condition_of(suite.pod, "PodScheduled") or {}
    if scheduled.get("status") == "False":
        raise Unproven(_unschedulable(node, suite, str(scheduled.get("message") or "")))
    return _start_failed(node, suite)


def _rejected(node: Node, suite: SuitePod) -> Finding:
    if found := meanings(suite.rejected, Where.ADMISSION):
        name = found[0].values.get("runtime_class", "")
        return Finding.of(
            found[0].cause,
            Evidence(source="kube-apiserver", text=suite.rejected),
            runtime_class=name,
            users="the suite's pod",
            create=create_class(node, name),
        )
    raise Unproven(f"the suite's pod was rejected, which is not a GPU fault: {suite.rejected}")


def _not_admitted(node: Node, suite: SuitePod, reason: str) -> Finding | None:
    """Judge a pod that the kubelet refused (status.reason)."""
    if (said := evicted(suite.pod)) and (finding := evicted_for(node, said)):
        return finding
    message = str(status_of(suite.pod).get("message") or "")
    busy = _CAPACITY.search(message)
    if reason.startswith("OutOfnvidia.com/") and busy and int(busy["capacity"]):
        raise Unproven(f"all GPUs are in use by {holders(node)}: {message}")
    if reason.startswith("OutOfnvidia.com/") or "nvidia.com/" in message:
        return Finding.of(
            "device-plugin/admission-fails",
            Evidence(source=f"pod {path_of(suite.pod)}", text=f"{reason}: {message}"),
        )
    raise Unproven(f"the kubelet refused the suite's pod: {reason}: {message}")


def _unschedulable(node: Node, suite: SuitePod, message: str) -> str:
    if any(f"Insufficient {key}" in message for key in gpu_requests(spec_of(suite.pod))):
        return f"all GPUs are in use by {holders(node)}: {message}"
    return f"the suite's pod could not be scheduled: {message}"


def holders(node: Node) -> str:
    """Return the pods that hold the node's GPUs, with the resources that they hold."""
    held = [
        f"{path_of(pod)} ({', '.join(f'{key}: {n}' for key, n in requests.items())})"
        for pod in pods_on(node.cluster, node.name)
        if (requests := gpu_requests(spec_of(pod)))
    ]
    return ", ".join(held) or "pods that are not in the evidence"


def _start_failed(node: Node, suite: SuitePod) -> Finding:
    state = kubectl_state(suite.pod)
    texts = list(_texts(suite))
    for source, text in texts:
        if _NO_IMAGE.search(f"{state} {text}"):
            hint = "--gpu-image=IMAGE names another"
            raise Unproven(f"the image of the suite's pod could not be pulled; {hint}: {text}")
        if error := understood(node, text, Where.POD):
            values = {"handler": handler_name(node, suite), **error.values}
            said = Evidence(source=source, text=text)
            return Finding.of(error.cause, said, *error.evidence, **values)
    nothing = "no reason was given" if is_taken(suite.pod) else UNTAKEN
    last = texts[0][1] if texts else nothing
    raise Unproven(f"the suite's pod did not start; it was last {state}: {last}")


def _texts(suite: SuitePod) -> Iterator[tuple[str, str]]:
    """Yield (source, one line of text) for each message about our pod's start, status first."""
    name = path_of(suite.pod)
    for where, text in messages(suite.pod):
        yield f"pod {name}, {where}", " ".join(text.split())
    for event in reversed(suite.events):
        if event.get("type") == "Warning":
            yield f"event of pod {name}", event_text(event)


def handler_name(node: Node, suite: SuitePod) -> str:
    """Return the name of the handler that the pod runs under."""
    by_class = runtimeclass.handlers(node.cluster)
    handler = runtimeclass.handler_of(spec_of(suite.pod), by_class)
    return handler or runtime_of(node).default_runtime


@check("pods/suite-pod-wrong-number", visit=False)
def wrong_number(node: Node) -> Finding | None:
    """Find a container that got no GPU, or more than it asked for."""
    suite = read(node.evidence)
    seen = suite.saw("gpu")
    asked = sum(gpu_requests(spec_of(suite.pod)).values()) or 1
    got = len(seen.gpus) or int(seen.cuda.get("count") or 0)
    if 1 <= got <= asked:
        return None
    cause = "runtimeclass-pod/sees-more-gpus" if got else "runtimeclass-pod/pod-without-gpu"
    return Finding.of(
        cause,
        _saw("gpu", suite, seen),
        Evidence(source=f"pod {path_of(suite.pod)}", text=f"asks for {asked}, sees {got}"),
        handler=handler_name(node, suite),
        asked=str(asked),
        got=str(got),
    )


def _saw(name: str, suite: SuitePod, seen: Seen) -> Evidence:
    devices = ", ".join(seen.devices) or "none"
    text = f"devices: {devices}; NVIDIA_VISIBLE_DEVICES={seen.visible or '(not set)'}"
    return Evidence(source=f"pod {path_of(suite.pod)}, container {name}", text=text)


@check("pods/suite-pod-unrequested", visit=False)
def unrequested(node: Node) -> Finding | None:
    """Find a container that sees GPUs although it asked for none."""
    suite = read(node.evidence)
    seen = suite.saw("none")
    if not seen.gpus:
        return None
    return Finding.of(
        "runtimeclass-pod/sees-unrequested-gpus",
        _saw("none", suite, seen),
        handler=handler_name(node, suite),
        devices=", ".join(seen.gpus),
    )


@check("pods/suite-pod-miscomputes", visit=False)
def miscomputes(node: Node) -> Finding | None:
    """Find a pod in which CUDA does not start or computes wrongly.

    Raises:
        Unproven: CUDA was not tried.
    """
    suite = read(node.evidence)
    seen = suite.saw("gpu")
    if not seen.cuda:
        raise Unproven("CUDA was not tried in the suite's pod")
    where = f"pod {path_of(suite.pod)}, container gpu"
    compute = str(seen.cuda.get("compute") or "")
    if seen.cuda.get("hung") or seen.cuda.get("died"):
        said = Evidence(source=where, text=compute)
        return Finding.of("runtimeclass-pod/cuda-gives-no-answer", said, why=compute)
    code = seen.cuda.get("init")
    if code != 0:
        said = Evidence(source=where, text=f"cuInit returned {code}: {_cuda_error(code)}")
        return Finding.of(
            "runtimeclass-pod/cuda-does-not-start", said, _saw("gpu", suite, seen), code=str(code)
        )
    if found := meanings(compute, Where.CUDA):
        said = Evidence(source=where, text=compute)
        return Finding.of(found[0].cause, said, why=compute)
    if not seen.cuda.get("count") or compute != "ok":
        said = Evidence(source=where, text=f"CUDA: {dict(seen.cuda)}")
        return Finding.of("runtimeclass-pod/computes-wrongly", said)
    return None


def _cuda_error(code: object) -> str:
    """Return the name of a CUresult (CUDA driver API reference, cuda.h)."""
    names = {
        None: "libcuda.so.1 could not be loaded",
        3: "CUDA_ERROR_NOT_INITIALIZED",
        34: "CUDA_ERROR_STUB_LIBRARY",
        35: "CUDA driver version is insufficient",
        46: "CUDA_ERROR_DEVICE_UNAVAILABLE",
        100: "CUDA_ERROR_NO_DEVICE",
        101: "CUDA_ERROR_INVALID_DEVICE",
        802: "CUDA_ERROR_SYSTEM_NOT_READY (NVSwitch fabric)",
        803: "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
        804: "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE",
        999: "CUDA_ERROR_UNKNOWN",
    }
    return names.get(code if isinstance(code, int) else None, "see cuda.h")
