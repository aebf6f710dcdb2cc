"""Checks that the suite's own pod gets exactly the GPU it asked for and computes correctly."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.checks import check
from pytest_gpu.errors import Unproven
from pytest_gpu.gpu_node import Node
from pytest_gpu.message_file import Where
from pytest_gpu.messages import meanings, understood
from pytest_gpu.stack.injection.node_refusals import refused_by_node
from pytest_gpu.stack.injection.of_any_runtime import default_handler
from pytest_gpu.stack.kube import runtimeclass
from pytest_gpu.stack.kube.events import event_text
from pytest_gpu.stack.kube.objects import condition_of, path_of, spec_of, status_of
from pytest_gpu.stack.kube.pod_state import kubectl_state, messages
from pytest_gpu.stack.kube.pods import gpu_requests
from pytest_gpu.stack.pods.admission import OTHER_NAMESPACE, not_admitted, not_scheduled, rejected
from pytest_gpu.stack.pods.pod_fate import UNTAKEN, is_taken
from pytest_gpu.stack.pods.start_refusal import (
    NO_SANDBOX,
    is_of_image,
    refused_gpu_container,
    refused_sandbox,
)
from pytest_gpu.stack.pods.suite_pod import Seen, SuitePod, read
from pytest_gpu.text.naming import count

_IMAGE = "--gpu-image=IMAGE names another"
_NO_IMAGE = re.compile(r"ErrImagePull|ImagePullBackOff|Failed to pull image|InvalidImageName")


@check("pods/suite-pod-not-started", visit=False)
def not_started(node: Node) -> Finding | None:
    """Find out why a pod that asks for one GPU is not admitted or does not start.

    Raises:
        Unproven: no reason was given, or only what the suite brought was refused.
    """
    suite = read(node.evidence)
    if suite.rejected:
        return rejected(node, suite)
    if "gpu" in suite.containers:
        return None
    reason = str(status_of(suite.pod).get("reason") or "")
    if reason:
        return not_admitted(node, suite, reason)
    scheduled = condition_of(suite.pod, "PodScheduled") or {}
    if scheduled.get("status") == "False":
        return not_scheduled(node, suite, str(scheduled.get("message") or ""))
    return _start_failed(node, suite)


def _start_failed(node: Node, suite: SuitePod) -> Finding:
    state = kubectl_state(suite.pod)
    texts = list(_texts(suite))
    for each in texts:
        if finding := _known(node, suite, each):
            return finding
        if _NO_IMAGE.search(f"{state} {each.text}"):
            raise Unproven(
                f"the image of the suite's pod could not be pulled; {_IMAGE}: {each.text}"
            )
    newest_first = tuple(reversed(suite.events))
    if said := refused_sandbox(suite.pod, newest_first) or refused_gpu_container(suite.pod):
        name = path_of(suite.pod)
        return Finding.of("runtimeclass-pod/start-refused", said, pod=name, why=said.text)
    nothing = "no reason was given" if is_taken(suite.pod) else UNTAKEN
    last = texts[0].text if texts else nothing
    raise Unproven(f"the suite's pod did not start; it was last {state}: {last}; {_helps(texts)}")


def _known(node: Node, suite: SuitePod, said: Evidence) -> Finding | None:
    """Return the fault of the node that words of a refusal tell of, ``None`` if of none."""
    if found := understood(node, said.text, Where.POD):
        values = {"handler": handler_name(node, suite), **found.values}
        return Finding.of(found.cause, said, *found.evidence, **values)
    finding = refused_by_node(node, said)
    if finding and _NO_IMAGE.search(said.text) and finding.cause != "sandbox/node-disk-full":
        return None  # a registry's words, which may hold anything
    return finding


def _helps(texts: Sequence[Evidence]) -> str:
    """Return what helps where a pod does not start and the node has not refused it."""
    if any(is_of_image(said.text) for said in texts):
        return _IMAGE
    if any("CreateContainerConfigError" in said.text for said in texts):
        return OTHER_NAMESPACE
    return "the kubelet's log on the node says more"


def _texts(suite: SuitePod) -> Iterator[Evidence]:
    """Yield one line of text for each message about our pod's start, status first.

    A sandbox that was refused before one was made is no message about it any more.
    """
    name = path_of(suite.pod)
    refused = refused_sandbox(suite.pod, tuple(reversed(suite.events)))
    for where, text in messages(suite.pod):
        yield Evidence(source=f"pod {name}, {where}", text=" ".join(text.split()))
    for event in reversed(suite.events):
        if event.get("type") == "Warning" and (refused or event.get("reason") != NO_SANDBOX):
            yield Evidence(source=f"event of pod {name}", text=event_text(event))


def handler_name(node: Node, suite: SuitePod) -> str:
    """Return the name of the handler that the pod runs under."""
    by_class = runtimeclass.handlers(node.cluster)
    handler = runtimeclass.handler_of(spec_of(suite.pod), by_class)
    return handler or default_handler(node)


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
        asked=count(asked, "GPU"),
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
        said = Evidence(source=where, text=f"cuInit: {_cuda_error(code)}")
        return Finding.of(
            "runtimeclass-pod/cuda-does-not-start",
            said,
            _saw("gpu", suite, seen),
            why=_cuda_error(code),
        )
    if found := meanings(compute, Where.CUDA):
        said = Evidence(source=where, text=compute)
        return Finding.of(found[0].cause, said, why=compute)
    if not seen.cuda.get("count") or compute != "ok":
        seen_by_cuda = count(int(seen.cuda.get("count") or 0), "GPU")
        text = f"CUDA sees {seen_by_cuda}; the computation: {compute or 'no answer'}"
        said = Evidence(source=where, text=text)
        return Finding.of("runtimeclass-pod/computes-wrongly", said)
    return None


def _cuda_error(code: object) -> str:
    """Return a CUresult by its number and name (CUDA driver API reference, cuda.h)."""
    if code is None:
        return "libcuda.so.1 could not be loaded"
    names = {
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
    name = names.get(code) if isinstance(code, int) else None
    return f"error {code}, {name or 'see cuda.h'}"
