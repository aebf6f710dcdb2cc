"""Which strategies of a device plugin cannot work on a node, and what keeps them from it.

Sources: ``WithCDI`` of containerd's CRI, the toolkit's internal/config/image/cuda_image.go, and
the kubelet's feature gate DevicePluginCDIDevices (alpha in 1.28, on by default since 1.29).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pytest_gpu.causes import Evidence, join
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.cdi.cdi_off import can_be_on, cdi_off
from pytest_gpu.stack.cdi.handler_modes import PREFIX, deaf_modes, heeding, reading
from pytest_gpu.stack.containerd.release import parse_version
from pytest_gpu.stack.kube.device_plugin import (
    ANNOTATION_PREFIX,
    DevicePlugin,
    setting,
    strategy,
)
from pytest_gpu.stack.kube.objects import node_info, object_of
from pytest_gpu.stack.kubelet.runtime import runtime_of
from pytest_gpu.stack.toolkit.check_config import own_configs
from pytest_gpu.stack.toolkit.own_config import ACCEPTED_BY

OFF = "runtime/cdi-off-in-containerd"
NOT_PASSED_ON = "runtime/cdi-annotations-not-passed-on"
UNHEEDED = "runtime/cdi-annotations-unheeded"
OLD_KUBELET = "runtime/cdi-names-dropped-by-kubelet"
BESIDE_CDI = frozenset(ACCEPTED_BY)
"""Strategies of a plugin that pass devices to an NVIDIA handler only."""

_SINCE = (1, 28)


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """What keeps a strategy from working: its cause, and what shows it."""

    cause: str
    seen: tuple[Evidence, ...]


def annotation_prefix(plugin: DevicePlugin) -> str:
    """Return the prefix of the annotations that the plugin uses to name devices."""
    return setting(plugin, ANNOTATION_PREFIX.variable, ANNOTATION_PREFIX.flag) or PREFIX


def obstacles(node: Node, plugin: DevicePlugin) -> Mapping[str, Obstacle]:
    """Return what keeps each of the plugin's strategies from working, none for one that works.

    Raises:
        NotInEvidence: the configuration of a handler was not collected.
    """
    means = dict.fromkeys(strategy(node.cluster, plugin).means)
    found = {way: _obstacle(node, plugin, way) for way in means}
    return {way: obstacle for way, obstacle in found.items() if obstacle}


def _obstacle(node: Node, plugin: DevicePlugin, way: str) -> Obstacle | None:
    if way == "cdi-cri":
        return _of_names(node)
    if way == "cdi-annotations":
        return _of_annotations(node, plugin)
    return _of_handlers(node, ACCEPTED_BY[way]) if way in ACCEPTED_BY else None


def _of_names(node: Node) -> Obstacle | None:
    """Return what keeps names in the CRI's own field from being read."""
    told = str(node_info(object_of(node)).get("kubeletVersion", ""))
    version = parse_version(told)
    if version and version < _SINCE:
        text = f"kubelet {told} passes no names of CDI devices on (1.29 does)"
        return Obstacle(cause=OLD_KUBELET, seen=(Evidence(source=f"node {node.name}", text=text),))
    off = cdi_off(node)
    return Obstacle(cause=OFF, seen=off) if off else None


def _of_annotations(node: Node, plugin: DevicePlugin) -> Obstacle | None:
    """Return what keeps annotations from being read: containerd reads the standard's, else none."""
    prefix = annotation_prefix(plugin)
    standard, off = prefix == PREFIX, cdi_off(node)
    if (standard and not off) or heeding(node, prefix):
        return None
    kept = _not_passed_on(node, prefix)
    if standard and (not kept or can_be_on(node)):
        return Obstacle(cause=OFF, seen=(*off, *kept, *deaf_modes(node)))
    asked = Evidence(source=plugin.name, text=f"CDI_ANNOTATION_PREFIX={prefix}")
    if kept:
        return Obstacle(cause=NOT_PASSED_ON, seen=kept if standard else (asked, *kept))
    return Obstacle(cause=UNHEEDED, seen=(asked, _reads_its_own(node)))


def _not_passed_on(node: Node, prefix: str) -> tuple[Evidence, ...]:
    """Return the handlers that would read annotations, but do not get them."""
    return tuple(
        Evidence(
            source=handler.source.source,
            line=handler.source.line,
            text=f"{handler.source.text}  (no container_annotations for {prefix}*)",
        )
        for handler, _ in reading(node, prefix)
    )


def _reads_its_own(node: Node) -> Evidence:
    runtime = runtime_of(node)
    handlers = join(runtime.gpu_handlers) or "none"
    text = f"reads {PREFIX} only; NVIDIA handlers: {handlers}"
    return Evidence(source=runtime.name, text=text)


def _of_handlers(node: Node, switch: str) -> Obstacle | None:
    """Return the setting by which every NVIDIA handler refuses a strategy.

    Whether there is a handler at all is a question of its own.
    """
    configs = [each for each in own_configs(node) if each.mode != "csv"]
    if not configs or any(config.value(switch) for config in configs):
        return None
    return Obstacle(cause="", seen=tuple(config.evidence(switch) for config in configs))
