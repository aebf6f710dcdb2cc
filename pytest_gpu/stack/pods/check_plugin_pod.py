"""Checks that the device plugin's DaemonSet has a pod on a node, and that the pod runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.checks import check
from pytest_gpu.gpu_node import Node
from pytest_gpu.message_file import Where
from pytest_gpu.messages import meanings, understood
from pytest_gpu.stack.kube import runtimeclass
from pytest_gpu.stack.kube.device_plugin import DevicePlugin
from pytest_gpu.stack.kube.events import event_text, fresh_events
from pytest_gpu.stack.kube.nodes import show_taint, taints, tolerates
from pytest_gpu.stack.kube.objects import (
    labels_of,
    object_of,
    path_of,
    spec_of,
    template_of,
)
from pytest_gpu.stack.kube.placement import unmet
from pytest_gpu.stack.kube.pod_state import (
    container_statuses,
    has_started,
    kubectl_state,
    messages,
)
from pytest_gpu.stack.kubelet.check_pressure import refuses_pods
from pytest_gpu.stack.kubelet.runtime import runtime_of
from pytest_gpu.stack.operands.check_operands import (
    ended_plugin,
    paused_culprit,
    plugin_advice,
    plugin_by_own_words,
    plugin_culprit,
    toolkit_absent,
)
from pytest_gpu.stack.operands.fault import Fault
from pytest_gpu.stack.operands.roles import DEVICE_PLUGIN
from pytest_gpu.stack.operands.telling import advice_of
from pytest_gpu.stack.operands.words import endings, logged_by
from pytest_gpu.stack.pods.check_plugin import expect_gpus, of, offered
from pytest_gpu.stack.pods.check_runtimeclasses import rejections
from pytest_gpu.steps import Step, Steps, typed
from pytest_gpu.text.shell import command

# What the kubelet says of a crash loop: it repeats the state.
_BACK_OFF = re.compile(r"\b[Bb]ack-off \S{1,16} restarting failed|Back-off restarting failed")
_READY_FILE = "toolkit-ready"
_IMAGE = ("ImagePullBackOff", "ErrImagePull", "InvalidImageName")


@check("pods/plugin-not-scheduled", visit=False)
def not_scheduled(node: Node) -> Finding | None:
    """Find out why the plugin's DaemonSet has no pod on this node."""
    plugin = of(node)
    if plugin.pods or not plugin.daemonsets or offered(node):
        return None
    expect_gpus(node)
    if finding := refuses_pods(node):
        return finding
    if found := paused_culprit(node, DEVICE_PLUGIN):
        return found
    if gone := ended_plugin(node):
        return _ended(node, gone)
    daemonset = plugin.daemonsets[0]
    reasons = (*_repelled(node, template_of(daemonset)), *rejections(node, plugin))
    return Finding.of(
        "device-plugin/not-scheduled",
        Evidence(source=f"daemonset {path_of(daemonset)}", text="has no pod on this node"),
        *reasons,
        daemonset=path_of(daemonset),
        toleration=_toleration(node, template_of(daemonset)),
    )


def _ended(node: Node, fault: Fault) -> Finding:
    """Return the finding of a plugin's pod that has ended as a whole, and logs no more."""
    pod = fault.operand
    return Finding.of(
        "device-plugin/not-running",
        *fault.evidence,
        pod=f"{pod.namespace}/{pod.object_name}",
        namespace=pod.namespace,
        pod_name=pod.object_name,
        state=pod.state,
        advice=advice_of(node, fault),
        log=(),
    )


def _hard_taints(node: Node) -> Iterator[Mapping[str, str]]:
    """Yield the taints that keep pods away, except those that every DaemonSet tolerates."""
    for taint in taints(object_of(node)):
        own = str(taint.get("key", "")).startswith("node.kubernetes.io/")
        if taint.get("effect") in {"NoSchedule", "NoExecute"} and not own:
            yield taint


def _repelled(node: Node, template: Mapping[str, Any]) -> Iterator[Evidence]:
    """Yield the node's taints and the DaemonSet's selectors that keep the pod away."""
    where = f"node {node.name}"
    for taint in _hard_taints(node):
        if not tolerates(template.get("tolerations") or (), taint):
            yield Evidence(source=where, text=f"untolerated taint {show_taint(taint)}")
    labels = labels_of(object_of(node))
    for key, value in unmet(template, object_of(node)).items():
        has = f"{key}={labels[key]}" if key in labels else f"no label {key}"
        text = f"the DaemonSet selects {key}={value}; the node has {has}"
        yield Evidence(source=where, text=text)


def _toleration(node: Node, template: Mapping[str, Any]) -> Steps:
    """Return the tolerations that are missing, as YAML; nothing if no taint keeps the pod away."""
    given = template.get("tolerations") or ()
    missing = [taint for taint in _hard_taints(node) if not tolerates(given, taint)]
    entries = [f"- key: {t['key']}\n  operator: Exists\n  effect: {t['effect']}" for t in missing]
    return (Step("file", "\n".join(entries)),) if entries else ()


@check("pods/plugin-not-running", visit=False)
def not_running(node: Node) -> Finding | None:
    """Find out why the plugin's pod on this node does not run."""
    plugin = of(node)
    if plugin.pod is None or plugin.running:
        return None
    texts = list(_texts(node, plugin))
    for said in texts:
        if error := understood(node, said.text, Where.POD):
            handler = runtimeclass.class_of(plugin.spec) or runtime_of(node).default_runtime
            values = {"handler": handler, **error.values}
            return Finding.of(error.cause, said, *error.evidence, **values)
    if known := plugin_by_own_words(node):
        return known
    state = kubectl_state(plugin.pod)
    cause = _why(plugin, state, texts)
    waits = cause == "device-plugin/waits-for-toolkit"
    shown = Evidence(source=plugin.name, text=f"is {state}")
    if waits and (found := plugin_culprit(node, shown)):
        return found
    advice = plugin_advice(node)
    return Finding.of(
        cause,
        shown,
        *(toolkit_absent(node) if waits else ()),
        *endings(plugin.pod),
        *logged_by(node, plugin.pod)[:2],
        *[each for each in texts if not _BACK_OFF.search(each.text)][:3],
        plugin=plugin.name,
        pod=path_of(plugin.pod),
        namespace=path_of(plugin.pod).partition("/")[0],
        pod_name=path_of(plugin.pod).partition("/")[2],
        state=state,
        advice=advice,
        log=() if advice else tuple(_all_logs(plugin)),
    )


def _all_logs(plugin: DevicePlugin) -> Iterator[Step]:
    """Yield the command that shows what the plugin's pod has logged, if it ever ran."""
    if plugin.pod and has_started(plugin.pod):
        namespace, _, name = path_of(plugin.pod).partition("/")
        line = command(
            "kubectl logs {name} -n {namespace} --all-containers --tail=20",
            name=name,
            namespace=namespace,
        )
        yield typed("cluster", line)


def _why(plugin: DevicePlugin, state: str, texts: list[Evidence]) -> str:
    if any(reason in state for reason in _IMAGE):
        return "device-plugin/image-not-pulled"
    if _waits_for_toolkit(plugin):
        return "device-plugin/waits-for-toolkit"
    told = (meanings(said.text, Where.PLUGIN_POD) for said in texts)
    return next((found[0].cause for found in told if found), "device-plugin/not-running")


def _waits_for_toolkit(plugin: DevicePlugin) -> bool:
    """Say whether the init container that waits for the toolkit is running."""
    spec = spec_of(plugin.pod) if plugin.pod else {}
    waits = {
        c["name"]
        for c in spec.get("initContainers") or ()
        if c["name"] == "toolkit-validation" or _READY_FILE in str(c.get("args", ""))
    }
    statuses = container_statuses(plugin.pod) if plugin.pod else ()
    return any(s.get("name") in waits and "running" in (s.get("state") or {}) for s in statuses)


def _texts(node: Node, plugin: DevicePlugin) -> Iterator[Evidence]:
    """Yield current messages about the plugin's pod: from its status, then from recent events."""
    pod = plugin.pod
    if pod is None:
        return
    for where, text in messages(pod):
        yield Evidence(source=f"{plugin.name}, {where}", text=" ".join(text.split()))
    for event in fresh_events(node.cluster, pod):
        if event.get("type") == "Warning":
            yield Evidence(source=f"event of {plugin.name}", text=event_text(event))
