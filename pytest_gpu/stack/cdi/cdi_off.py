"""Whether the container runtime injects CDI devices now, and how to make containerd do so.

Source: containerd's CRI (``enable_cdi``: unknown to 1.6, off by default in 1.7, on in 2.x).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pytest_gpu.causes import Evidence
from pytest_gpu.gpu_node import Node, fact
from pytest_gpu.stack.containerd.config_file import CRI_V1, CRI_V2, CRI_V3, subtable
from pytest_gpu.stack.kubelet.containerd import containerd_of
from pytest_gpu.stack.kubelet.containerd_runtime import Containerd
from pytest_gpu.stack.kubelet.runtime import runtime_of
from pytest_gpu.stack.repair import config_fix
from pytest_gpu.stack.repair.file_owner import owners_first
from pytest_gpu.stack.toolkit.instructions import toolkit_of
from pytest_gpu.stack.toolkit.lasting import lasting, writes_containerds
from pytest_gpu.steps import Step, Steps, Value

CRI_NAMES = (CRI_V3, CRI_V2, CRI_V1)
SWITCH = "RUNTIME_ENABLE_CDI"
"""The toolkit's setting that writes ``enable_cdi`` (cmd/nvidia-ctk-installer of the toolkit)."""


@fact
def cdi_off(node: Node) -> tuple[Evidence, ...]:
    """Return evidence that the container runtime injects no CDI devices, none if it does."""
    runtime = runtime_of(node)
    if isinstance(runtime, Containerd):
        return _off_in_containerd(node, runtime)
    return () if runtime.cdi_enabled else (runtime.origin("cdi_enabled"),)


def _off_in_containerd(node: Node, containerd: Containerd) -> tuple[Evidence, ...]:
    config, live = containerd.config, containerd.live
    if not containerd.generation.knows_cdi:
        source = f"containerd {containerd.release}"
        return (Evidence(source=source, text="does not support CDI, which came with 1.7"),)
    if not config.cdi_enabled:
        if ("enable_cdi",) in config.values:
            return (config.origin("enable_cdi"),)
        built_in = Evidence(source="containerd", text="built-in default: enable_cdi = false")
        return (built_in, *_told_in_vain(node))
    if live and live.config and live.config.cdi_enabled is False:
        return (
            Evidence(source=config.path, text="enable_cdi = true"),
            Evidence(source="crictl info", text='the running containerd: "enableCDI": false'),
        )
    return ()


def _told_in_vain(node: Node) -> Iterator[Evidence]:
    """Yield lines that say enable_cdi where this containerd does not read it.

    It stands under the section's name of another version, in another section or spelling, or in a
    file whose section another file replaces.
    """
    for file in containerd_of(node).config.files:
        for keys in _switches(file.table):
            line = file.at(keys)
            text = f"{line.text}  (containerd {containerd_of(node).release} does not read it there)"
            yield Evidence(source=line.source, line=line.line, text=text)


def _switches(table: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield where a file says enable_cdi, in the CRI's sections or in the table below them."""
    for plugin in CRI_NAMES:
        for section in ((), ("containerd",)):
            keys = ("plugins", plugin, *section)
            value: Any = table
            for key in keys:
                value = subtable(value, key)
            yield from ((*keys, key) for key in value if key.lower() == "enable_cdi")


def can_be_on(node: Node) -> bool:
    """Say whether the container runtime can inject CDI devices if it is told to."""
    runtime = runtime_of(node)
    return not isinstance(runtime, Containerd) or runtime.generation.knows_cdi


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
    toolkits = lasting(node, fix.file, SWITCH, "true") if _rewrites(node, fix.file) else ()
    first = toolkits or owners_first(node, fix.file)
    return (*first, *(fix.patch or (by_hand,)))


def _rewrites(node: Node, path: str) -> bool:
    """Say whether the toolkit's next start writes a file again, without CDI."""
    order = toolkit_of(node).order()
    return order is not None and not order.cdi and writes_containerds(node, path)
