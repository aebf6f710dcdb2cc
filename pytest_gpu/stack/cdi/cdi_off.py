"""Whether containerd injects CDI devices now, and how to make it do so.

Source: containerd's CRI (``enable_cdi``: unknown to 1.6, off by default in 1.7, on in 2.x).
"""

from __future__ import annotations

from collections.abc import Mapping

from pytest_gpu.causes import Evidence
from pytest_gpu.gpu_node import Node, fact
from pytest_gpu.stack.kube.manifest import env_values
from pytest_gpu.stack.kubelet.containerd import containerd_of
from pytest_gpu.stack.repair import config_fix
from pytest_gpu.stack.repair.config_fix import Fix
from pytest_gpu.stack.toolkit.instructions import Toolkit, toolkit_of
from pytest_gpu.stack.toolkit.operator_values import apply, entries
from pytest_gpu.steps import Step, Steps, Value

SWITCH = "RUNTIME_ENABLE_CDI"
"""The toolkit's setting that writes ``enable_cdi`` (cmd/nvidia-ctk-installer of the toolkit)."""


@fact
def cdi_off(node: Node) -> tuple[Evidence, ...]:
    """Return evidence that containerd injects no CDI devices, none if it does."""
    containerd = containerd_of(node)
    config, live = containerd.config, containerd.live
    if not containerd.generation.knows_cdi:
        source = f"containerd {containerd.release}"
        return (Evidence(source=source, text="does not support CDI, which came with 1.7"),)
    if not config.cdi_enabled:
        built_in = Evidence(source="containerd", text="built-in default: enable_cdi = false")
        told_off = ("enable_cdi",) in config.values
        return (config.origin("enable_cdi") if told_off else built_in,)
    if live and live.config and live.config.cdi_enabled is False:
        return (
            Evidence(source=config.path, text="enable_cdi = true"),
            Evidence(source="crictl info", text='the running containerd: "enableCDI": false'),
        )
    return ()


def off_values(node: Node) -> Mapping[str, Value]:
    """Return the values of a finding about CDI that is off in containerd."""
    containerd = containerd_of(node)
    return {
        "release": containerd.release,
        "config": containerd.config.path,
        "change": switch_on(node),
    }


def switch_on(node: Node) -> Steps:
    """Return what to change so that containerd injects CDI devices."""
    if not containerd_of(node).generation.knows_cdi:
        said = (
            "containerd 1.6 cannot do this: upgrade it to 1.7 or newer, or let the plugin pass"
            " devices to the NVIDIA runtime (DEVICE_LIST_STRATEGY=envvar)."
        )
        return (Step("words", said),)
    if containerd_of(node).config.cdi_enabled:
        said = "The file already has it, but the running containerd has not read it; restart it:"
        return (Step("words", said),)
    fix = config_fix.enable_cdi(node)
    by_hand = Step("words", f"Set enable_cdi = true in the CRI section of {fix.file}.")
    return (*_by_toolkit(node, fix), *(fix.patch or (by_hand,)))


def _by_toolkit(node: Node, fix: Fix) -> Steps:
    """Return the toolkit's setting if its next start would undo the fix of its file."""
    toolkit = toolkit_of(node)
    if not toolkit.daemonset or not _rewrites(node, toolkit, fix.file):
        return ()
    lasting = (
        f"The toolkit's pod writes {fix.file} at each start, so tell the toolkit first"
        " (toolkit-values.yaml, with the whole env list, which Helm replaces):"
    )
    values = env_values("toolkit", {**entries(node), SWITCH: "true"})
    now = Step("words", "When its pod is ready, see whether the file has it. If it does not:")
    return (Step("words", lasting), Step("file", values), *apply(node), now)


def _rewrites(node: Node, toolkit: Toolkit, path: str) -> bool:
    order = toolkit.order()
    if order is None or order.cdi:
        return False
    own = order.drop_in if toolkit.writes_drop_in else order.config
    return node.evidence.resolve(own) == node.evidence.resolve(path)
