"""Commands that restart pods of the GPU stack."""

from __future__ import annotations

from pytest_gpu.evidence import KubeObject
from pytest_gpu.stack.kube.device_plugin import DevicePlugin
from pytest_gpu.stack.kube.objects import path_of
from pytest_gpu.text.shell import Command, command


def restart_daemonset(daemonset: KubeObject) -> Command:
    """Return the command that restarts the pods of a DaemonSet."""
    namespace, _, name = path_of(daemonset).partition("/")
    return command(
        "kubectl rollout restart daemonset/{name} -n {namespace}", name=name, namespace=namespace
    )


def restart_plugin(plugin: DevicePlugin) -> Command:
    """Return the command that restarts the plugin's pods."""
    if plugin.daemonsets:
        return restart_daemonset(plugin.daemonsets[0])
    if plugin.pod is not None:
        namespace, _, name = path_of(plugin.pod).partition("/")
        return command("kubectl delete pod {name} -n {namespace}", name=name, namespace=namespace)
    return command("kubectl get daemonsets -A   # restart the one that advertises the GPUs")
