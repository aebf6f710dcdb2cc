"""Commands that change a DaemonSet itself: for one that neither an operator nor Helm writes."""

from __future__ import annotations

from pytest_gpu.evidence import KubeObject
from pytest_gpu.stack.kube.objects import path_of
from pytest_gpu.text.shell import Command, command


def edit_daemonset(daemonset: KubeObject) -> Command:
    """Return the command that opens a DaemonSet in an editor."""
    namespace, _, name = path_of(daemonset).partition("/")
    return command("kubectl edit daemonset {name} -n {namespace}", name=name, namespace=namespace)


def set_variable(daemonset: KubeObject, setting: str) -> Command:
    """Return the command that sets a variable, ``NAME=value``, in all of its containers."""
    namespace, _, name = path_of(daemonset).partition("/")
    return command(
        "kubectl set env daemonset/{name} -n {namespace} {setting}",
        name=name,
        namespace=namespace,
        setting=setting,
    )
