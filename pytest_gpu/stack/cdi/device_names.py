"""The names that a device plugin uses for each GPU and MIG device of a node.

Source: the plugin's deviceIDsFromAnnotatedDeviceIDs (internal/plugin/server.go).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pytest_gpu.errors import NotInEvidence
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.gpu.nvml import NvmlDevice, nvml_of
from pytest_gpu.stack.kube.device_plugin import ID_STRATEGY, DevicePlugin, setting


def ids(node: Node, plugin: DevicePlugin) -> tuple[str, ...]:
    """Return the names that a plugin uses for each GPU and MIG device.

    Raises:
        NotInEvidence: NVML was not asked.
        Unproven: NVML does not answer.
    """
    told = setting(plugin, ID_STRATEGY.variable, ID_STRATEGY.flag)
    strategy = setting(plugin, "MIG_STRATEGY", "--mig-strategy") or "none"
    chosen = plugin.env.get("NVIDIA_VISIBLE_DEVICES", "all")
    if nvml_of(node).missing or chosen not in {"", "all", "void", "none"}:
        return ()
    names: list[str] = []
    for device in nvml_of(node).asked():
        names += _names(device, by_index=told == "index", mig=strategy != "none")
    return tuple(names)


def _names(device: NvmlDevice, *, by_index: bool, mig: bool) -> Iterator[str]:
    if not in_mig_mode(device):
        if by_index:
            yield str(device.index)
        elif device.error is None and isinstance(uuid := device.answers.get("uuid"), str):
            yield uuid
        return
    for at, instance in enumerate(mig_devices(device) if mig else ()):
        if by_index:
            yield f"{device.index}:{at}"
        elif uuid := instance.get("uuid"):
            yield str(uuid)


def in_mig_mode(device: NvmlDevice) -> bool:
    """Say whether a GPU is split into MIG devices."""
    mode_now = device.answers.get("mig")
    return isinstance(mode_now, Mapping) and mode_now.get("current") == 1


def mig_devices(device: NvmlDevice) -> tuple[Mapping[str, Any], ...]:
    """Return a GPU's MIG devices.

    Raises:
        NotInEvidence: they were not collected.
    """
    found = device.answers.get("mig_devices")
    if not isinstance(found, list):
        raise NotInEvidence(device.node, f"the MIG devices of GPU {device.index}")
    return tuple(each for each in found if isinstance(each, Mapping))
