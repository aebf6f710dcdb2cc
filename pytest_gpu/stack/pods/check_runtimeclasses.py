"""Checks that the RuntimeClasses that pods name exist and have a handler on this node."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pytest_gpu.causes import Evidence, Finding, join
from pytest_gpu.errors import NotInEvidence
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.injection.injected import class_evidence
from pytest_gpu.stack.kube import runtimeclass
from pytest_gpu.stack.kube.device_plugin import DevicePlugin
from pytest_gpu.stack.kube.events import event_text, fresh_events
from pytest_gpu.stack.kube.manifest import scalar
from pytest_gpu.stack.kube.objects import path_of, spec_of, template_of
from pytest_gpu.stack.kubelet.runtime import runtime_of
from pytest_gpu.text.shell import Command, command, with_input

User = tuple[str, Mapping[str, Any]]
"""A user of a RuntimeClass: its name, such as ``pod default/train``, and its pod spec."""

SHOWN = 3


def some(items: Sequence[str]) -> str:
    """Return the first items as a readable list, and how many more there are."""
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return join(items[:SHOWN]) + more


def broken_class(node: Node, users: Iterable[User]) -> Finding | None:
    """Find a RuntimeClass that is missing or has a handler unknown to the node's runtime."""
    naming = [user for user in users if runtimeclass.class_of(user[1])]
    if not naming:
        return None
    by_class = runtimeclass.handlers(node.cluster)
    for name in sorted({runtimeclass.class_of(spec) for _, spec in naming}):
        theirs = [user for user in naming if runtimeclass.class_of(user[1]) == name]
        if name not in by_class:
            return _missing(node, name, theirs)
        if not runtime_of(node).knows(by_class[name]):
            return _handler_unknown(node, name, by_class[name], theirs)
    return None


def _missing(node: Node, name: str, users: Sequence[User]) -> Finding:
    return Finding.of(
        "runtimeclass/missing",
        *(class_evidence(where, spec) for where, spec in users[:SHOWN]),
        Evidence(source="kubectl get runtimeclasses", text=_there_are(node)),
        runtime_class=name,
        users=some([where for where, _ in users]),
        create=create_class(node, name),
    )


def _there_are(node: Node) -> str:
    found = runtimeclass.handlers(node.cluster)
    listed = [f"{name} (handler {handler})" for name, handler in sorted(found.items())]
    return f"there are: {', '.join(listed) or 'none'}"


def _handler_unknown(node: Node, name: str, handler: str, users: Sequence[User]) -> Finding:
    runtime = runtime_of(node)
    right = next(iter(runtime.gpu_handlers), "nvidia")
    return Finding.of(
        "runtimeclass/handler-unknown",
        Evidence(source=f"runtimeclass {name}", text=f"handler: {handler}"),
        Evidence(
            source=runtime.told_by,
            text=f"{runtime.name}'s handlers: {', '.join(runtime.handlers) or 'none'}",
        ),
        *(class_evidence(where, spec) for where, spec in users[:SHOWN]),
        runtime_class=name,
        handler=handler,
        users=some([where for where, _ in users]),
        known=join(runtime.handlers),
        create=create_class(node, name),
        right=right,
    )


def plugin_users(plugin: DevicePlugin) -> Iterator[User]:
    """Yield the plugin's pods and the DaemonSets that would create them again."""
    from_pods = [(f"pod {path_of(pod)}", spec_of(pod)) for pod in plugin.pods]
    yield from from_pods
    for each in plugin.daemonsets:
        yield f"daemonset {path_of(each)}", template_of(each)


def rejections(node: Node, plugin: DevicePlugin) -> tuple[Evidence, ...]:
    """Return what the DaemonSet controller says now about pods it cannot create."""
    return tuple(
        Evidence(source=f"event of daemonset {path_of(each)}", text=event_text(event))
        for each in plugin.daemonsets
        for event in fresh_events(node.cluster, each)[:1]
        if event.get("reason") == "FailedCreate"
    )


def create_class(node: Node, name: str) -> Command:
    """Return the command that creates a RuntimeClass whose handler injects GPUs on this node."""
    try:
        handler = next(iter(runtime_of(node).gpu_handlers), "nvidia")
    except NotInEvidence:
        handler = "nvidia"
    manifest = (
        "apiVersion: node.k8s.io/v1\n"
        "kind: RuntimeClass\n"
        f"metadata:\n  name: {scalar(name)}\n"
        f"handler: {scalar(handler)}\n"
    )
    return with_input(command("kubectl apply -f -"), manifest)
