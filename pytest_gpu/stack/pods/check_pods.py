"""Checks that the GPU pods on a node can start and can see their GPUs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pytest_gpu.causes import Evidence, Finding, join
from pytest_gpu.checks import check
from pytest_gpu.errors import Unproven
from pytest_gpu.evidence import KubeObject
from pytest_gpu.gpu_node import Node
from pytest_gpu.message_file import Where
from pytest_gpu.messages import understood
from pytest_gpu.stack.injection.injected import (
    class_evidence,
    default_evidence,
    injects,
    needs_no_handler,
    prove_no_other_way,
)
from pytest_gpu.stack.kube import runtimeclass
from pytest_gpu.stack.kube.events import event_text, fresh_events
from pytest_gpu.stack.kube.nodes import readiness
from pytest_gpu.stack.kube.objects import metadata, object_of, path_of, spec_of
from pytest_gpu.stack.kube.pod_state import is_running, kubectl_state, messages
from pytest_gpu.stack.kube.pods import asks_for_cdi, gpu_requests, pods_on, uses_gpu
from pytest_gpu.stack.kubelet.runtime import runtime_of
from pytest_gpu.stack.pods.check_plugin import class_values, of
from pytest_gpu.stack.pods.check_runtimeclasses import SHOWN, User, broken_class, plugin_users, some

_NO_CNI = re.compile(r"NetworkPluginNotReady|cni plugin not initialized|cni config uninitialized")


@check("pods/not-ready", visit=False)
def not_ready(node: Node) -> Finding | None:
    """Find a node that is not Ready although every lower layer works."""
    state = readiness(object_of(node))
    if state.ready:
        return None
    if not state.status:
        raise Unproven("the Node object has no Ready condition")
    cni = _NO_CNI.search(state.message)
    return Finding.of(
        "kubernetes/cni-not-ready" if cni else "kubernetes/node-not-ready-unclaimed",
        Evidence(
            source=f"node {node.name}",
            text=f"Ready={state.status}, {state.reason}: {state.message}",
        ),
        message=state.message or state.reason or state.status,
    )


def gpu_pods(node: Node) -> tuple[KubeObject, ...]:
    """Return the pods on the node that need a GPU, except those that are being deleted."""
    found = pods_on(node.cluster, node.name)
    return tuple(p for p in found if uses_gpu(p) and not metadata(p).get("deletionTimestamp"))


@check("pods/broken-classes", visit=False)
def broken_classes(node: Node) -> Finding | None:
    """Find a RuntimeClass of the node's GPU pods that is missing or has no handler here."""
    return broken_class(node, _class_users(node))


def _class_users(node: Node) -> Iterator[User]:
    for pod in gpu_pods(node):
        yield f"pod {path_of(pod)}", spec_of(pod)
    yield from plugin_users(of(node))


@check("pods/without-gpu", visit=False)
def without_gpu(node: Node) -> Finding | None:
    """Find GPU pods with a handler (of their RuntimeClass, else the default) that injects no GPU.

    A running operand has shown that it sees GPUs; one that does not run is checked like the users'
    pods.

    Raises:
        NotInEvidence: the missing evidence could show another way in which they get GPUs.
    """
    lost = [pod for pod in gpu_pods(node) if _is_without(node, pod)]
    if not lost:
        return None
    prove_no_other_way(node)
    shown = [class_evidence(f"pod {path_of(pod)}", spec_of(pod)) for pod in lost[:SHOWN]]
    states = [
        Evidence(source=f"pod {path_of(pod)}", text=f"is {kubectl_state(pod)}")
        for pod in lost[:SHOWN]
        if not is_running(pod)
    ]
    handlers = join(runtime_of(node).gpu_handlers) or "none"
    return Finding.of(
        "runtimeclass/workload-without-runtimeclass",
        *shown,
        *states,
        *default_evidence(node),
        Evidence(source=runtime_of(node).config_path, text=f"GPU handlers: {handlers}"),
        pods=some([path_of(pod) for pod in lost]),
        **class_values(node, of(node)),
    )


def _is_without(node: Node, pod: KubeObject) -> bool:
    """Say whether a pod needs injection but its handler does not inject."""
    asks = gpu_requests(spec_of(pod))
    if asks_for_cdi(pod) or (not asks and is_running(pod)):
        return False
    name = runtimeclass.class_of(spec_of(pod))
    handler = runtimeclass.handlers(node.cluster).get(name) if name else ""
    if handler is None or injects(node, handler):
        return False
    return needs_no_handler(node) is None


@check("pods/failing-to-start", visit=False)
def failing_to_start(node: Node) -> Finding | None:
    """Find a GPU pod that fails to start now because of the GPU stack or the pod network.

    Raises:
        Unproven: a sandbox cannot be created, and the messages contain no known reason.
    """
    unknown = ""
    for pod in gpu_pods(node):
        if is_running(pod):
            continue
        for said in _texts(node, pod):
            if finding := _explained(node, pod, said):
                return finding
            if "FailedCreatePodSandBox" in said.text:
                unknown = unknown or f"pod {path_of(pod)} does not start: {said.text}"
    if unknown:
        raise Unproven(unknown)
    return None


def _explained(node: Node, pod: KubeObject, said: Evidence) -> Finding | None:
    state = Evidence(source=f"pod {path_of(pod)}", text=f"is {kubectl_state(pod)}")
    error = understood(node, said.text, Where.POD)
    if error is None:
        return None
    name = runtimeclass.class_of(spec_of(pod)) or runtime_of(node).default_runtime
    values = {"handler": name, **error.values}
    return Finding.of(error.cause, said, state, *error.evidence, **values)


def _texts(node: Node, pod: KubeObject) -> Iterator[Evidence]:
    """Yield current messages about a pod that does not start: its status, then recent warnings."""
    for where, text in messages(pod):
        yield Evidence(source=f"pod {path_of(pod)}, {where}", text=" ".join(text.split()))
    for event in fresh_events(node.cluster, pod):
        if event.get("type") == "Warning":
            yield Evidence(source=f"event of pod {path_of(pod)}", text=event_text(event))
