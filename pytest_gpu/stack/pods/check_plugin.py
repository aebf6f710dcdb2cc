"""Checks that a node's device plugin is deployed, can start and can see the GPUs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.checks import check
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.gpu.nvml import nvml_of
from pytest_gpu.stack.gpu.pci import pci_of
from pytest_gpu.stack.injection.injected import (
    class_evidence,
    default_evidence,
    injects,
    needs_no_handler,
    prove_no_other_way,
)
from pytest_gpu.stack.kube import device_plugin as plugins
from pytest_gpu.stack.kube import runtimeclass
from pytest_gpu.stack.kube.device_plugin import DevicePlugin, advertised, setting
from pytest_gpu.stack.kube.nodes import dra_nodes, object_signs
from pytest_gpu.stack.kube.objects import (
    containers_of,
    object_of,
    path_of,
    template_of,
)
from pytest_gpu.stack.kube.operator import (
    OPERATOR_CHART,
    change_values,
    cluster_policy,
    helm_release,
    operator_release,
)
from pytest_gpu.stack.kube.pod_state import has_started, kubectl_state
from pytest_gpu.stack.kube.pods import asks_for_cdi
from pytest_gpu.stack.kubelet.runtime import runtime_of
from pytest_gpu.stack.operands.check_operands import dra_culprit, plugin_culprit
from pytest_gpu.stack.operands.words import logged_by
from pytest_gpu.stack.pods.check_runtimeclasses import broken_class, plugin_users, rejections
from pytest_gpu.steps import Steps, Value, typed
from pytest_gpu.text.shell import command


def of(node: Node) -> DevicePlugin:
    """Return the device plugin of a node."""
    return plugins.find(node.cluster, node.name)


def offered(node: Node) -> bool:
    """Say whether a plugin or NVIDIA's DRA driver offers the node's GPUs to pods now."""
    amounts = advertised(object_of(node), "allocatable")
    return bool(plugins.dra_gpus(node.cluster, node.name)) or any(amounts.values())


def expect_gpus(node: Node) -> None:
    """Make sure that the node has a GPU to offer, as far as a look at its bus is needed for that.

    A user may name any node. On one without a GPU the hardware layer fails; but where its bus was
    not looked at and nothing in Kubernetes shows a GPU, there may be none, and no plugin is needed.

    Raises:
        NotInEvidence: nothing shows whether the node has a GPU.
    """
    announced = object_signs(object_of(node)) or node.name in dra_nodes(node.cluster)
    if not announced and not known(lambda: nvml_of(node).devices):
        pci_of(node)


@check("pods/plugin-not-deployed", visit=False)
def not_deployed(node: Node) -> Finding | None:
    """Find a GPU node for which no device plugin is deployed."""
    plugin = of(node)
    if plugin.kind != "none" or offered(node):
        return None
    if plugins.dra_gpus(node.cluster, node.name) is not None:
        return None
    expect_gpus(node)
    symptom = (
        Evidence(source="kubectl get daemonsets -A", text="none is an NVIDIA device plugin"),
        Evidence(source=f"node {node.name}", text=f"allocatable: {_amounts(node)}"),
    )
    culprit = dra_culprit(node, *symptom) or plugin_culprit(node, *symptom)
    return culprit or Finding.of("device-plugin/not-deployed", *symptom)


def _amounts(node: Node) -> str:
    amounts = advertised(object_of(node), "allocatable")
    return ", ".join(f"{key}: {n}" for key, n in amounts.items()) or "no nvidia.com/gpu"


@check("pods/plugin-class-broken", visit=False)
def class_broken(node: Node) -> Finding | None:
    """Find a RuntimeClass that keeps a plugin from starting.

    A plugin that is still running is not affected; only pods that start later are.
    """
    plugin = of(node)
    if plugin.running:
        return None
    finding = broken_class(node, plugin_users(plugin))
    if finding is None:
        return None
    if plugin.pod is None:
        expect_gpus(node)
    return Finding(
        cause=finding.cause,
        evidence=(*finding.evidence, *_state(plugin), *rejections(node, plugin)),
        values=finding.values,
    )


def _state(plugin: DevicePlugin) -> tuple[Evidence, ...]:
    if plugin.pod is None:
        return (Evidence(source=plugin.name, text="has no pod on this node"),)
    return (Evidence(source=plugin.name, text=f"is {kubectl_state(plugin.pod)}"),)


@check("pods/plugin-without-gpu", visit=False)
def without_gpu(node: Node) -> Finding | None:
    """Find a plugin that started under a handler that injects no GPU, so it advertises none."""
    plugin = of(node)
    if plugin.pod is None or plugin.kind != "nvidia" or not has_started(plugin.pod):
        return None
    if (plugin.running and offered(node)) or asks_for_cdi(plugin.pod):
        return None
    if _injected(node, plugin.spec) or _other_way(node):
        return None
    prove_no_other_way(node)
    return Finding.of(
        "runtimeclass/plugin-without-runtimeclass",
        class_evidence(plugin.name, plugin.spec),
        *default_evidence(node),
        Evidence(source=runtime_of(node).config_path, text=f"GPU handlers: {_handlers(node)}"),
        *logged_by(node, plugin.pod)[:2],
        Evidence(source=f"node {node.name}", text=f"allocatable: {_amounts(node)}"),
        plugin=plugin.name,
        **class_values(node, plugin),
    )


def _injected(node: Node, pod_spec: Mapping[str, Any]) -> bool:
    name = runtimeclass.class_of(pod_spec)
    if not name:
        return injects(node, "")
    handler = runtimeclass.handlers(node.cluster).get(name)
    return handler is None or injects(node, handler)


def _other_way(node: Node) -> bool:
    """Say whether the plugin itself can see GPUs without a handler, by NRI or a cloud's own way.

    A plugin that names CDI devices for other pods does not see the driver itself; one with a
    mounted driver root does.
    """
    way = needs_no_handler(node) or ""
    return (bool(way) and "CDI devices" not in way) or _mounts_driver_root(of(node))


def _mounts_driver_root(plugin: DevicePlugin) -> bool:
    """Say whether the plugin's containers mount the driver's folder (CONTAINER_DRIVER_ROOT)."""
    root = setting(plugin, "CONTAINER_DRIVER_ROOT", "--container-driver-root") or "/driver-root"
    specs = [plugin.spec, *(template_of(each) for each in plugin.daemonsets)]
    containers = (each for spec in specs for each in containers_of(spec))
    mounts = (mount for each in containers for mount in each.get("volumeMounts") or ())
    return any(mount.get("mountPath") == root for mount in mounts)


def _handlers(node: Node) -> str:
    return ", ".join(runtime_of(node).gpu_handlers) or "none"


def class_values(node: Node, plugin: DevicePlugin) -> Mapping[str, Value]:
    """Return the values for the fix: the RuntimeClass, and the step that makes pods use it."""
    by_class = runtimeclass.handlers(node.cluster)
    name = runtimeclass.class_for_gpus(by_class, lambda handler: injects(node, handler))
    steps = _set_class(node, plugin, name or "nvidia")
    handler = next(iter(runtime_of(node).gpu_handlers), "nvidia")
    return {"runtime_class": name or "nvidia", "handler": handler, "set_class": steps}


def _set_class(node: Node, plugin: DevicePlugin, name: str) -> Steps:
    """Return the step that gives the plugin's pods a RuntimeClass, none if they have it.

    It is done by the owner of the plugin's DaemonSet.
    """
    if runtimeclass.class_of(plugin.spec) == name:
        return ()
    release = next((r for each in plugin.daemonsets if (r := helm_release(each))), None)
    if release and release.chart != OPERATOR_CHART:
        return (typed("helm", release.upgrade(f"runtimeClassName={name}")),)
    operator = cluster_policy(node.cluster) or operator_release(node.cluster)
    if operator or not plugin.daemonsets:
        return change_values(node.cluster, "operator.runtimeClass", name)
    namespace, _, daemonset = path_of(plugin.daemonsets[0]).partition("/")
    change = {"spec": {"template": {"spec": {"runtimeClassName": name}}}}
    line = command(
        "kubectl patch daemonset {daemonset} -n {namespace} --type merge -p {change}",
        daemonset=daemonset,
        namespace=namespace,
        change=json.dumps(change),
    )
    return (typed("cluster", line),)
