"""How to regenerate a CDI spec: which component does it depends on who owns the spec."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from pytest_gpu.causes import Evidence
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.cdi.refresh import (
    ENV,
    REFRESH,
    is_installed,
    makes,
    refreshed_path,
    settings,
    why_not_made,
)
from pytest_gpu.stack.cdi.requests import DEFAULT_KIND, DRA_KIND, MANAGEMENT_KIND, PLUGIN_KIND
from pytest_gpu.stack.gpu import libraries
from pytest_gpu.stack.gpu.driver import driver_of
from pytest_gpu.stack.kube import device_plugin
from pytest_gpu.stack.kube.restart import restart_daemonset, restart_plugin
from pytest_gpu.stack.toolkit.instructions import INSTALL_DIR, toolkit_of
from pytest_gpu.stack.units.advice import advice
from pytest_gpu.stack.units.companions import CDI_REFRESH
from pytest_gpu.steps import Step, Steps, typed
from pytest_gpu.text.shell import Command, command

STRATEGIES = "NVIDIA_CTK_CDI_GENERATE_DEVICE_NAME_STRATEGIES"
"""The setting of the toolkit's own unit that sets the names in its spec."""
CTK = ("/usr/bin/nvidia-ctk", f"{INSTALL_DIR}/nvidia-ctk")


def remake(node: Node, path: str, kind: str) -> Steps:
    """Return the steps that regenerate a spec, after those that let the toolkit's unit write it."""
    failure = why_not_made(node, path)
    repair = advice(CDI_REFRESH, failure.end.said) if failure else ()
    return repair if failure and makes(node, path) else (*repair, *_again(node, path, kind))


def _again(node: Node, path: str, kind: str) -> Steps:
    vendor = kind.partition("/")[0]
    if vendor == PLUGIN_KIND.partition("/")[0] or "device-plugin" in posixpath.basename(path):
        plugin = known(lambda: device_plugin.find(node.cluster, node.name))
        line = restart_plugin(plugin) if plugin else command("kubectl get daemonsets -A")
        said = "The device plugin writes this file when it starts; restart it:"
        return (Step("words", said), typed("cluster", line))
    if vendor == MANAGEMENT_KIND.partition("/")[0]:
        return (*_toolkit(node), typed("node", generate(node, path, kind)))
    if vendor == DRA_KIND.partition("/")[0]:
        said = (
            "The DRA driver writes this file when it prepares a claim; restart its kubelet plugin:"
        )
        look = command("kubectl get pods -A | grep dra")
        return (Step("words", said), typed("cluster", look))
    if is_installed(node):
        return _refresh(node, path)
    return (typed("node", generate(node, path)),)


def _refresh(node: Node, path: str) -> Steps:
    """Return how the toolkit's own unit regenerates its spec, and what to do with another one."""
    restart = typed("node", command("sudo systemctl restart {unit}", unit=REFRESH))
    if makes(node, path):
        return (restart,)
    said = f"It writes {refreshed_path(node)}; remove the copy that nothing updates:"
    return (restart, Step("words", said), typed("node", command("sudo rm {path}", path=path)))


def name_both(node: Node, path: str, kind: str) -> Steps:
    """Return the steps that regenerate a spec with the indices and the UUIDs of the GPUs as names.

    Toolkits that know one strategy only take the last that is given.
    """
    if is_installed(node) and makes(node, path):
        restart = typed("node", command("sudo systemctl restart {unit}", unit=REFRESH))
        said = f"{REFRESH} writes {path} at every boot; set the names in its own file:"
        return (Step("words", said), typed("node", _set_strategies(node)), restart)
    line = command(
        "{line} --device-name-strategy=index --device-name-strategy=uuid",
        line=generate(node, path, kind),
    )
    said = "Give the same options to whatever generates the spec at boot."
    return (typed("node", line), Step("words", said))


def _set_strategies(node: Node) -> Command:
    value = f"{STRATEGIES}=index,uuid"
    if any(settings(node, STRATEGIES)):
        return command(
            "sudo sed -i {change} {file}", change=f"s/^{STRATEGIES}=.*/{value}/", file=ENV
        )
    return command("echo {value} | sudo tee -a {file}", value=value, file=ENV)


def strategies_told(node: Node, path: str) -> Iterator[Evidence]:
    """Yield the line that sets the names in a spec which the toolkit's own unit writes."""
    return settings(node, STRATEGIES) if makes(node, path) else iter(())


def generate(node: Node, path: str, kind: str = DEFAULT_KIND) -> Command:
    """Return the command that generates a spec by hand, for the root of this node's driver."""
    line = command("sudo {ctk} cdi generate --output={path}", ctk=generator(node), path=path)
    root = known(lambda: driver_of(node).directory) or ""
    if root.startswith(libraries.OPERATOR_ROOT):
        line = command("{line} --driver-root={root}", line=line, root=libraries.OPERATOR_ROOT)
    if kind == MANAGEMENT_KIND:
        line = command("{line} --mode=management", line=line)
    if kind != DEFAULT_KIND:
        vendor, _, class_ = kind.partition("/")
        line = command(
            "{line} --vendor={vendor} --class={class_}", line=line, vendor=vendor, class_=class_
        )
    return line


def generator(node: Node) -> str:
    """Return the command nvidia-ctk, with its full path if the operator installed it."""
    for path in CTK:
        if known(lambda path=path: node.evidence.entry(path)):  # type: ignore[misc] # bound now
            return path if path.startswith(INSTALL_DIR) else "nvidia-ctk"
    return "nvidia-ctk"


def _toolkit(node: Node) -> Steps:
    """Return how to restart the operator's toolkit, which writes the management spec."""
    daemonset = toolkit_of(node).daemonset
    if daemonset is None:
        said = "The GPU operator's toolkit writes this file when it starts; by hand:"
        return (Step("words", said),)
    line = restart_daemonset(daemonset)
    said = "The toolkit writes this file when it starts; restart it:"
    return (Step("words", said), typed("cluster", line), Step("words", "Or by hand:"))
