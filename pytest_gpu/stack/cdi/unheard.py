"""A device plugin of whose strategies none can work on the node."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.cdi.cdi_off import cdi_off, off_values, switch_on
from pytest_gpu.stack.cdi.handler_modes import PREFIX, reading
from pytest_gpu.stack.cdi.strategies import (
    NOT_PASSED_ON,
    OFF,
    OLD_KUBELET,
    UNHEEDED,
    Obstacle,
    annotation_prefix,
    obstacles,
)
from pytest_gpu.stack.kube.device_plugin import (
    ANNOTATION_PREFIX,
    LIST_STRATEGY,
    DevicePlugin,
    strategy,
)
from pytest_gpu.stack.kube.objects import node_info, object_of
from pytest_gpu.stack.kube.plugin_settings import set_plugin
from pytest_gpu.stack.repair import config_fix
from pytest_gpu.stack.repair.file_owner import owners_first
from pytest_gpu.stack.toolkit.lasting import lasting, writes_containerds
from pytest_gpu.steps import Value

PREFIXES = "NVIDIA_CONTAINER_RUNTIME_MODES_CDI_ANNOTATION_PREFIXES"
"""The toolkit's setting that writes ``container_annotations``."""

_ORDER = (OFF, NOT_PASSED_ON, UNHEEDED, OLD_KUBELET)
"""Which obstacle is to be removed: one strategy that works is enough."""


def no_strategy_works(node: Node, plugin: DevicePlugin) -> Finding | None:
    """Find a plugin that hands CDI devices over in ways of which none works on this node.

    Raises:
        NotInEvidence: what decides it was not collected.
    """
    told = strategy(node.cluster, plugin)
    kept = obstacles(node, plugin) if told.by_cdi else {}
    if not kept or not set(told.means) <= kept.keys():
        return None
    cause = min((each.cause for each in kept.values() if each.cause), key=_ORDER.index)
    return Finding.of(cause, told.said, *_seen(kept), **_VALUES[cause](node, plugin))


def _seen(kept: Mapping[str, Obstacle]) -> tuple[Evidence, ...]:
    return tuple(dict.fromkeys(each for obstacle in kept.values() for each in obstacle.seen))


def _not_passed_on(node: Node, plugin: DevicePlugin) -> Mapping[str, Value]:
    prefix = annotation_prefix(plugin)
    handler, config = reading(node, prefix)[0]
    patterns = (*handler.container_annotations, f"{prefix}*")
    fix = config_fix.set_in_handler(node, handler.name, "container_annotations", patterns)
    rewritten = writes_containerds(node, fix.file)
    toolkits = lasting(node, fix.file, PREFIXES, prefix) if rewritten else ()
    first = toolkits or owners_first(node, fix.file)
    names = {"handler": handler.name, "prefix": prefix, "own": config.path}
    return {**names, "file": fix.file, "patch": (*first, *fix.patch)}


def _unheeded(node: Node, plugin: DevicePlugin) -> Mapping[str, Value]:
    wanted = {ANNOTATION_PREFIX: PREFIX}
    return {
        "prefix": annotation_prefix(plugin),
        "plugin": plugin.name,
        "settings": set_plugin(node.cluster, plugin, wanted),
        "change": switch_on(node) if cdi_off(node) else (),
    }


def _old_kubelet(node: Node, plugin: DevicePlugin) -> Mapping[str, Value]:
    wanted = {LIST_STRATEGY: "cdi-annotations,cdi-cri"}
    return {
        "kubelet": str(node_info(object_of(node)).get("kubeletVersion", "")),
        "plugin": plugin.name,
        "settings": set_plugin(node.cluster, plugin, wanted),
        "change": switch_on(node) if cdi_off(node) else (),
    }


_VALUES: Mapping[str, Callable[[Node, DevicePlugin], Mapping[str, Value]]] = {
    OFF: lambda node, _: off_values(node),
    NOT_PASSED_ON: _not_passed_on,
    UNHEEDED: _unheeded,
    OLD_KUBELET: _old_kubelet,
}
