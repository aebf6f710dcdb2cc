"""How to regenerate a CDI spec: which component does it depends on who owns the spec."""

from __future__ import annotations

import posixpath

from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.cdi.requests import DEFAULT_KIND, DRA_KIND, MANAGEMENT_KIND, PLUGIN_KIND
from pytest_gpu.stack.gpu import libraries
from pytest_gpu.stack.gpu.driver import driver_of
from pytest_gpu.stack.kube import device_plugin
from pytest_gpu.stack.kube.restart import restart_daemonset, restart_plugin
from pytest_gpu.stack.toolkit.instructions import INSTALL_DIR, toolkit_of
from pytest_gpu.steps import Step, Steps, typed
from pytest_gpu.text.shell import Command, command

UNITS = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
REFRESH = "nvidia-cdi-refresh.service"
"""Of nvidia-container-toolkit from 1.18 on (deployments/systemd in its repository)."""
REFRESHED = "/var/run/cdi/nvidia.yaml"
CTK = ("/usr/bin/nvidia-ctk", f"{INSTALL_DIR}/nvidia-ctk")


def remake(node: Node, path: str, kind: str) -> Steps:
    """Return the steps that regenerate a spec."""
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
    if _refreshed(node):
        return _refresh(node, path)
    return (typed("node", generate(node, path)),)


def _refresh(node: Node, path: str) -> Steps:
    """Return how the toolkit's own unit regenerates its spec, and what to do with another one."""
    restart = typed("node", command("sudo systemctl restart {unit}", unit=REFRESH))
    if node.evidence.resolve(path) == node.evidence.resolve(REFRESHED):
        return (restart,)
    said = f"It writes {REFRESHED}; remove the copy that nothing updates:"
    return (restart, Step("words", said), typed("node", command("sudo rm {path}", path=path)))


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


def _refreshed(node: Node) -> bool:
    """Say whether the toolkit's own unit keeps the spec of this node up to date."""
    return any(
        known(lambda folder=folder: node.evidence.entry(f"{folder}/{REFRESH}"))  # type: ignore[misc] # bound now
        for folder in UNITS
    )


def _toolkit(node: Node) -> Steps:
    """Return how to restart the operator's toolkit, which writes the management spec."""
    daemonset = toolkit_of(node).daemonset
    if daemonset is None:
        said = "The GPU operator's toolkit writes this file when it starts; by hand:"
        return (Step("words", said),)
    line = restart_daemonset(daemonset)
    said = "The toolkit writes this file when it starts; restart it:"
    return (Step("words", said), typed("cluster", line), Step("words", "Or by hand:"))
