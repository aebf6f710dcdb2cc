"""Whether the NVIDIA runtime accepts the devices that the device plugin requests."""

from __future__ import annotations

import re

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.checks import check
from pytest_gpu.errors import Unproven
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.kube import device_plugin
from pytest_gpu.stack.kube.device_plugin import DevicePlugin, Strategy, setting, strategy
from pytest_gpu.stack.kube.objects import judged_alone
from pytest_gpu.stack.kubelet.containerd import containerd_of
from pytest_gpu.stack.toolkit import config_patch
from pytest_gpu.stack.toolkit.check_config import own_configs
from pytest_gpu.stack.toolkit.own_config import ACCEPTED_BY, CLI, ENVVAR, ToolkitConfig

_TRUE = frozenset({"1", "t", "T", "true", "True", "TRUE"})
"""The values that Go's ``strconv.ParseBool`` reads as true."""

_CAUSES = {
    "volume-mounts": "runtime/toolkit-refuses-volume-mounts",
    "envvar": "runtime/toolkit-refuses-envvar",
}


@check("toolkit/refuses-devices")
def refuses_devices(node: Node) -> Finding | None:
    """Find a runtime that accepts none of the strategies by which the device plugin names GPUs.

    Raises:
        NotInEvidence: the pods or the runtime's configuration were not read.
        Unproven: the plugin's own configuration file may decide.
    """
    if judged_alone(node):
        return None
    configs = [each for each in own_configs(node) if each.mode != "csv"]
    plugin = device_plugin.find(node.cluster, node.name) if configs else None
    if plugin is None or plugin.kind != "nvidia":
        return None
    told = strategy(node.cluster, plugin)
    for config in configs:
        if not any(_accepts(config, way) for way in told.means):
            return _refusal(node, config, plugin, told)
    return None


def _accepts(config: ToolkitConfig, way: str) -> bool:
    # These switches do not apply to CDI devices.
    return way.startswith("cdi-") or bool(config.value(ACCEPTED_BY.get(way, ENVVAR)))


def _refusal(node: Node, config: ToolkitConfig, plugin: DevicePlugin, told: Strategy) -> Finding:
    if setting(plugin, "CONFIG_FILE", "--config-file") and not told.told:
        raise Unproven("a configuration file of the device plugin may set deviceListStrategy")
    ways = told.means
    switch = ACCEPTED_BY.get(ways[0], ENVVAR)
    return Finding.of(
        _CAUSES.get(ways[0], _CAUSES["envvar"]),
        config.evidence(switch),
        Evidence(source=plugin.name, text=f"DEVICE_LIST_STRATEGY: {','.join(ways)}"),
        path=config.path,
        patch=config_patch.set_own(node, config, switch, value=True),
    )


@check("toolkit/no-cgroups")
def no_cgroups(node: Node) -> Finding | None:
    """Find that containers may not open their GPUs, since device cgroups are not set up.

    Raises:
        Unproven: as :func:`cgroups_left_alone`.
    """
    found = cgroups_left_alone(node)
    return found if found and not passes_device_nodes(node) else None


@check("toolkit/no-cgroups-at-rest")
def no_cgroups_at_rest(node: Node) -> Finding | None:
    """Note that device cgroups are not set up, but that device nodes are allowed another way.

    Raises:
        Unproven: as :func:`cgroups_left_alone`.
    """
    found = cgroups_left_alone(node)
    return found if found and passes_device_nodes(node) else None


def cgroups_left_alone(node: Node) -> Finding | None:
    """Find a runtime set to leave device cgroups alone, which works only in rootless containers.

    Raises:
        NotInEvidence: the runtime's configuration was not read.
        Unproven: the node itself is a container, where the setting may be needed.
    """
    name = f"{CLI}.no-cgroups"
    for config in own_configs(node):
        if config.value(name) and config.by_hook and not _bears_it(node):
            return Finding.of(
                "runtime/toolkit-no-cgroups",
                config.evidence(name),
                path=config.path,
                patch=config_patch.set_own(node, config, name, value=False),
            )
    return None


def _bears_it(node: Node) -> bool:
    """Say whether containers work without device cgroups: rootless, or given the device nodes.

    In a container, setting device cgroups needs the host's permission, which only the host can
    show. Sources: systemd's CONTAINER_INTERFACE (``container=`` in the environment of PID
    1, kept in /run/systemd/container) and the NVIDIA guides for LXC.
    """
    if containerd_of(node).socket.startswith("/run/user/"):
        return True
    kind = _container(node)
    if not kind:
        return False
    if passes_device_nodes(node):
        return True
    raise Unproven(f"the node is a container ({kind}), where no-cgroups = true may be needed")


def _container(node: Node) -> str:
    """Return the kind of container that the node is, ``""`` for none; WSL also names itself."""
    told = known(lambda: node.evidence.read("/run/systemd/container")) or b""
    environment = known(lambda: node.evidence.read("/proc/1/environ")) or b""
    found = re.search(rb"(?:^|[\0\n])container=([\w.-]+)", environment)
    kind = (told.strip() or (found[1] if found else b"")).decode(errors="replace")
    return "" if kind == "wsl" else kind


def passes_device_nodes(node: Node) -> bool:
    """Say whether the plugin lets the kubelet allow the device nodes, whatever the runtime does.

    Raises:
        NotInEvidence: the pods were not read.
    """
    plugin = device_plugin.find(node.cluster, node.name)
    return setting(plugin, "PASS_DEVICE_SPECS", "--pass-device-specs") in _TRUE
