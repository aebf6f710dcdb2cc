"""Which containers of a node get GPUs injected: by their handler, or without any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_gpu.causes import Evidence
from pytest_gpu.gpu_node import Node, fact
from pytest_gpu.known import known
from pytest_gpu.stack.distributions.default_runtime import configured_default
from pytest_gpu.stack.distributions.detect import distribution_of
from pytest_gpu.stack.host.processes import processes_of
from pytest_gpu.stack.kube import device_plugin
from pytest_gpu.stack.kube.nodes import dra_nodes
from pytest_gpu.stack.kube.operator import policy_section
from pytest_gpu.stack.kube.runtimeclass import class_of
from pytest_gpu.stack.kubelet.runtime import runtime_of


def injects(node: Node, handler: str) -> bool:
    """Say whether containers under a handler (``""``: the default one) get GPUs now.

    A handler that only the running program still has works until the next restart. One that
    does not lead to runc (Kata, gVisor) brings its GPUs in ways of its own.
    """
    runtime = runtime_of(node)
    name = handler or runtime.default_runtime
    found = runtime.handler(name)
    if found is None:
        return runtime.knows(name) and name.startswith("nvidia")
    if found.runtime_type and "runc" not in found.runtime_type:
        return bool(handler)
    return runtime.injects(name)


@fact
def needs_no_handler(node: Node) -> str | None:
    """Return by which other way GPUs come into containers here, ``None`` if by handlers alone."""
    return beside_the_files(node) or _named_devices(node)


def prove_no_other_way(node: Node) -> None:
    """Make sure that nothing unread could tell of another way than handlers.

    Raises:
        NotInEvidence: something could; who has no handler may then get GPUs all the same.
    """
    for resource in ("daemonsets", "clusterpolicies", "resourceslices"):
        node.cluster.objects(resource)


@fact
def beside_the_files(node: Node) -> str | None:
    """Return a way that the runtime's files and CDI specs at rest need not show."""
    if node.name in dra_nodes(node.cluster):
        return "DRA hands CDI devices to containerd"
    if device_plugin.find(node.cluster, node.name).kind == "google":
        return "Google's plugin mounts devices and driver itself"
    if policy_section(node.cluster, "cdi").get("nriPluginEnabled"):
        return "the toolkit's NRI plugin injects"
    return None


def _named_devices(node: Node) -> str | None:
    plugin = device_plugin.find(node.cluster, node.name)
    by_cdi = device_plugin.strategy(node.cluster, plugin).by_cdi
    return "the plugin names CDI devices" if by_cdi and runtime_of(node).cdi_enabled else None


def class_evidence(where: str, pod_spec: Mapping[str, Any]) -> Evidence:
    """Return the line that says which RuntimeClass a pod names."""
    return Evidence(source=where, text=f"runtimeClassName: {class_of(pod_spec) or '(none)'}")


def default_evidence(node: Node) -> tuple[Evidence, ...]:
    """Return what the default handler is now, where it stands, and what was meant to be it."""
    runtime = runtime_of(node)
    name = runtime.default_runtime
    handler = runtime.handler(name)
    binary = (handler.binary if handler else None) or "runc"
    text = f'default runtime "{name}" runs {binary}, which injects no GPU'
    return (Evidence(source=runtime.told_by, text=text), *_not_live(node, name))


def _not_live(node: Node, default: str) -> tuple[Evidence, ...]:
    """Return the line of a distribution's own settings that asks for another default than runs."""
    told = known(
        lambda: configured_default(processes_of(node), node.evidence, distribution_of(node))
    )
    if told is None or told.said is None or told.name == default:
        return ()
    said, text = told.said, f"{told.said.text}  (not live: the default is {default})"
    return (Evidence(source=said.source, line=said.line, text=text),)
