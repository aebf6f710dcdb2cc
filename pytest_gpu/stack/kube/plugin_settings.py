"""How to change a setting of the device plugin, by the owner of its DaemonSet.

The GPU operator makes the DaemonSet from its ClusterPolicy, Helm from the plugin's own chart: both
would take back what is changed in the DaemonSet itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from pytest_gpu.evidence import ClusterEvidence, KubeObject
from pytest_gpu.stack.kube.daemonset_change import edit_daemonset, set_variable
from pytest_gpu.stack.kube.device_plugin import DevicePlugin, Setting, setting
from pytest_gpu.stack.kube.manifest import env_values
from pytest_gpu.stack.kube.objects import env_of, name_of
from pytest_gpu.stack.kube.operator import (
    PLUGIN_CHART,
    cluster_policy,
    helm_release,
    operator_release,
    patch_policy,
    policy_section,
)
from pytest_gpu.steps import Step, Steps, typed
from pytest_gpu.text.shell import command

Wanted = Mapping[Setting, str]


def set_plugin(cluster: ClusterEvidence, plugin: DevicePlugin, wanted: Wanted) -> Steps:
    """Return the steps that set variables of the plugin where its owner keeps them."""
    wanted = {k: v for k, v in wanted.items() if setting(plugin, k.variable, k.flag) != v}
    if not wanted:
        return ()
    daemonset = next(iter(plugin.daemonsets), None)
    if daemonset is None:
        said = f"Set {_told(wanted)} where the manifest of {plugin.name} is kept."
        return (Step("words", said),)
    if _of_operator(daemonset):
        return _in_policy(cluster, wanted)
    release = helm_release(daemonset, chart=PLUGIN_CHART)
    if release and release.chart == PLUGIN_CHART and all(each.chart for each in wanted):
        values = (f"{each.chart}={_escaped(value)}" for each, value in wanted.items())
        return (typed("helm", release.upgrade(*values)),)
    return tuple(_in_daemonset(plugin, daemonset, wanted))


def _told(wanted: Wanted) -> str:
    return " and ".join(f"{each.variable}={value}" for each, value in wanted.items())


def _escaped(value: str) -> str:
    """Return a value as ``helm --set`` takes it: a comma would begin another one."""
    return value.replace(",", "\\,")


def _of_operator(daemonset: KubeObject) -> bool:
    owners = daemonset["metadata"].get("ownerReferences") or ()
    return any(owner.get("kind") == "ClusterPolicy" for owner in owners)


def _in_policy(cluster: ClusterEvidence, wanted: Wanted) -> Steps:
    """Return the step that sets the operator's whole list of variables, which is replaced."""
    new = {each.variable: value for each, value in wanted.items()}
    env = {**env_of(policy_section(cluster, "devicePlugin")), **new}
    if release := operator_release(cluster):
        said = "As device-plugin-values.yaml, with the whole env list, which Helm replaces:"
        upgrade = command("{line} -f device-plugin-values.yaml", line=release.upgrade())
        values = Step("file", env_values("devicePlugin", env))
        return (Step("words", said), values, typed("helm", upgrade))
    policy = cluster_policy(cluster)
    entries = [{"name": name, "value": value} for name, value in env.items()]
    change = json.dumps({"spec": {"devicePlugin": {"env": entries}}})
    name = name_of(policy) if policy else "cluster-policy"
    return (typed("cluster", patch_policy(name, change)),)


def _in_daemonset(plugin: DevicePlugin, daemonset: KubeObject, wanted: Wanted) -> Iterator[Step]:
    """Yield the steps that change the DaemonSet itself; a flag overrides a variable."""
    for each, value in wanted.items():
        if setting(plugin, "", each.flag):
            yield Step("words", f"Set {each.flag}={value} in the arguments of the container:")
            yield typed("cluster", edit_daemonset(daemonset))
        else:
            yield typed("cluster", set_variable(daemonset, f"{each.variable}={value}"))
