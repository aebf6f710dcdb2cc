"""Whether the device plugin of a node can start, runs, and runs where it can see the GPUs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.checks import check
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.injection.injected import (
    class_evidence,
    default_evidence,
    injects,
    needs_no_handler,
    prove_no_other_way,
)
from pytest_gpu.stack.injection.start_errors import gpu_error
from pytest_gpu.stack.kube import device_plugin as plugins
from pytest_gpu.stack.kube import runtimeclass
from pytest_gpu.stack.kube.device_plugin import DevicePlugin, advertised, setting
from pytest_gpu.stack.kube.events import event_text, fresh_events
from pytest_gpu.stack.kube.nodes import show_taint, taints, tolerates
from pytest_gpu.stack.kube.objects import (
    containers_of,
    labels_of,
    object_of,
    path_of,
    spec_of,
    template_of,
)
from pytest_gpu.stack.kube.operator import change_values, helm_release
from pytest_gpu.stack.kube.placement import unmet
from pytest_gpu.stack.kube.pod_state import container_statuses, has_started, kubectl_state, messages
from pytest_gpu.stack.kube.pods import asks_for_cdi
from pytest_gpu.stack.kubelet.runtime import runtime_of
from pytest_gpu.stack.pods.check_runtimeclasses import broken_class, plugin_users, rejections

_LOG = re.compile(
    r"could not load NVML library|Incompatible (strategy|platform) detected"
    r"|unsupported strategy auto|No devices found. Waiting indefinitely"
    r"|did you (configure the NVIDIA Container Toolkit|set the docker default runtime)"
)
_READY_FILE = re.compile(r"toolkit-ready|waiting for nvidia container stack")
_IMAGE = ("ImagePullBackOff", "ErrImagePull", "InvalidImageName")


def of(node: Node) -> DevicePlugin:
    """Return the device plugin of a node."""
    return plugins.find(node.cluster, node.name)


def offered(node: Node) -> bool:
    """Say whether anybody offers the node's GPUs to pods now: a plugin or NVIDIA's DRA driver."""
    amounts = advertised(object_of(node), "allocatable")
    return bool(plugins.dra_gpus(node.cluster, node.name)) or any(amounts.values())


@check("pods/plugin-not-deployed", visit=False)
def not_deployed(node: Node) -> Finding | None:
    """Find a GPU node that nobody ever meant to advertise."""
    plugin = of(node)
    if plugin.kind != "none" or offered(node):
        return None
    if plugins.dra_gpus(node.cluster, node.name) is not None:
        return None
    return Finding.of(
        "device-plugin/not-deployed",
        Evidence(source="kubectl get daemonsets -A", text="none is an NVIDIA device plugin"),
        Evidence(source=f"node {node.name}", text=f"allocatable: {_amounts(node)}"),
    )


def _amounts(node: Node) -> str:
    amounts = advertised(object_of(node), "allocatable")
    return ", ".join(f"{key}: {n}" for key, n in amounts.items()) or "no nvidia.com/gpu"


@check("pods/plugin-class-broken", visit=False)
def class_broken(node: Node) -> Finding | None:
    """Find a RuntimeClass that keeps a plugin from starting which does not run now.

    One that still runs from before is not affected: then the pods that start next are.
    """
    plugin = of(node)
    if plugin.running:
        return None
    finding = broken_class(node, plugin_users(plugin))
    if finding is None:
        return None
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
    """Find a plugin that started under a handler that injects no GPU, and so advertises none."""
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
        *_log(node),
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
    """Say whether the plugin itself can see GPUs without a handler: NRI, or a cloud's own way.

    Its naming CDI devices for others does not show it the driver; a mounted driver root does.
    """
    way = needs_no_handler(node) or ""
    return (bool(way) and "CDI devices" not in way) or _mounts_driver_root(of(node))


def _mounts_driver_root(plugin: DevicePlugin) -> bool:
    """Say whether the plugin's containers have the driver's folder (CONTAINER_DRIVER_ROOT)."""
    root = setting(plugin, "CONTAINER_DRIVER_ROOT", "--container-driver-root") or "/driver-root"
    specs = [plugin.spec, *(template_of(each) for each in plugin.daemonsets)]
    containers = (each for spec in specs for each in containers_of(spec))
    mounts = (mount for each in containers for mount in each.get("volumeMounts") or ())
    return any(mount.get("mountPath") == root for mount in mounts)


def _handlers(node: Node) -> str:
    return ", ".join(runtime_of(node).gpu_handlers) or "none"


def class_values(node: Node, plugin: DevicePlugin) -> Mapping[str, str]:
    """Return the values of the fix: the class to name, and the command that makes pods name it."""
    by_class = runtimeclass.handlers(node.cluster)
    name = runtimeclass.class_for_gpus(by_class, lambda handler: injects(node, handler))
    release = next((r for each in plugin.daemonsets if (r := helm_release(each))), None)
    if release and release.chart != "gpu-operator":
        command = release.upgrade(f"runtimeClassName={name or 'nvidia'}")
    else:
        command = change_values(node.cluster, "operator.runtimeClass", name or "nvidia")
    handler = next(iter(runtime_of(node).gpu_handlers), "nvidia")
    return {"runtime_class": name or "nvidia", "handler": handler, "set_class": command}


def _log(node: Node) -> tuple[Evidence, ...]:
    """Return the plugin's own lines about it, where its log was recorded."""
    found = []
    for result in node.evidence.commands:
        if "logs" in result.argv:
            source = " ".join(result.argv)
            lines = f"{result.stdout}\n{result.stderr}".splitlines()
            hits = [(n, line) for n, line in enumerate(lines, 1) if _LOG.search(line)]
            found += [Evidence(source=source, line=n, text=line.strip()) for n, line in hits[:2]]
    return tuple(found)


@check("pods/plugin-not-scheduled", visit=False)
def not_scheduled(node: Node) -> Finding | None:
    """Find what keeps the plugin's DaemonSet from putting a pod on this node."""
    plugin = of(node)
    if plugin.pods or not plugin.daemonsets or offered(node):
        return None
    daemonset = plugin.daemonsets[0]
    reasons = (*_repelled(node, template_of(daemonset)), *rejections(node, plugin))
    return Finding.of(
        "device-plugin/not-scheduled",
        Evidence(source=f"daemonset {path_of(daemonset)}", text="has no pod on this node"),
        *reasons,
        daemonset=path_of(daemonset),
        toleration=_toleration(node, template_of(daemonset)),
    )


def _hard_taints(node: Node) -> Iterator[Mapping[str, str]]:
    """Yield the taints that keep pods away, but those that every DaemonSet tolerates."""
    for taint in taints(object_of(node)):
        own = str(taint.get("key", "")).startswith("node.kubernetes.io/")
        if taint.get("effect") in {"NoSchedule", "NoExecute"} and not own:
            yield taint


def _repelled(node: Node, template: Mapping[str, Any]) -> Iterator[Evidence]:
    """Yield the taints and selectors of this node that do not let the pod in."""
    where = f"node {node.name}"
    for taint in _hard_taints(node):
        if not tolerates(template.get("tolerations") or (), taint):
            yield Evidence(source=where, text=f"untolerated taint {show_taint(taint)}")
    labels = labels_of(object_of(node))
    for key, value in unmet(template, object_of(node)).items():
        has = f"{key}={labels[key]}" if key in labels else f"no label {key}"
        text = f"the DaemonSet selects {key}={value}; the node has {has}"
        yield Evidence(source=where, text=text)


def _toleration(node: Node, template: Mapping[str, Any]) -> str:
    """Return the tolerations that are missing, as YAML."""
    given = template.get("tolerations") or ()
    missing = [taint for taint in _hard_taints(node) if not tolerates(given, taint)]
    entries = [f"- key: {t['key']}\n  operator: Exists\n  effect: {t['effect']}" for t in missing]
    return "\n".join(entries) or "(no taint is in the way)"


@check("pods/plugin-not-running", visit=False)
def not_running(node: Node) -> Finding | None:
    """Find why the plugin's pod on this node does not run."""
    plugin = of(node)
    if plugin.pod is None or plugin.running:
        return None
    texts = list(_texts(node, plugin))
    for said in texts:
        if known := gpu_error(said.text):
            handler = runtimeclass.class_of(plugin.spec) or runtime_of(node).default_runtime
            return Finding.of(known.cause, said, **{"handler": handler, **known.values})
    state = kubectl_state(plugin.pod)
    cause = _why(plugin, state, texts)
    return Finding.of(
        cause,
        Evidence(source=plugin.name, text=f"is {state}"),
        *texts[:3],
        *_log(node),
        plugin=plugin.name,
        pod=path_of(plugin.pod),
        namespace=path_of(plugin.pod).partition("/")[0],
        pod_name=path_of(plugin.pod).partition("/")[2],
        state=state,
    )


def _why(plugin: DevicePlugin, state: str, texts: list[Evidence]) -> str:
    if any(reason in state for reason in _IMAGE):
        return "device-plugin/image-not-pulled"
    if _waits_for_toolkit(plugin) or any(_READY_FILE.search(said.text) for said in texts):
        return "device-plugin/waits-for-toolkit"
    return "device-plugin/not-running"


def _waits_for_toolkit(plugin: DevicePlugin) -> bool:
    """Say whether the init container that waits for the toolkit is the one at work."""
    spec = spec_of(plugin.pod) if plugin.pod else {}
    waits = {
        c["name"]
        for c in spec.get("initContainers") or ()
        if c["name"] == "toolkit-validation" or _READY_FILE.search(str(c.get("args", "")))
    }
    statuses = container_statuses(plugin.pod) if plugin.pod else ()
    return any(s.get("name") in waits and "running" in (s.get("state") or {}) for s in statuses)


def _texts(node: Node, plugin: DevicePlugin) -> Iterator[Evidence]:
    """Yield what is said now about the plugin's pod: its status first, then fresh events."""
    pod = plugin.pod
    if pod is None:
        return
    for where, text in messages(pod):
        yield Evidence(source=f"{plugin.name}, {where}", text=" ".join(text.split()))
    for event in fresh_events(node.cluster, pod):
        if event.get("type") == "Warning":
            yield Evidence(source=f"event of {plugin.name}", text=event_text(event))
