"""Devices that are defined, but under other names or another kind than they are asked for.

To generate the spec again in the same way gives the same names. Sources: pkg/nvcdi/namer.go and
management.go of the NVIDIA container toolkit, internal/cdi/cdi.go of the device plugin (its own
spec has the names that it asks for).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_gpu.causes import Evidence, Finding, join
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.cdi.check_specs import Registry
from pytest_gpu.stack.cdi.device_names import ids, in_mig_mode, mig_devices
from pytest_gpu.stack.cdi.regenerate import generate, name_both, strategies_told
from pytest_gpu.stack.cdi.requests import (
    DRA_KIND,
    MANAGEMENT_KIND,
    PLUGIN_KIND,
    plugin_of,
)
from pytest_gpu.stack.cdi.specs import CdiSpec
from pytest_gpu.stack.gpu.nvml import NvmlDevice, nvml_of
from pytest_gpu.stack.kube.device_plugin import (
    ID_STRATEGY,
    LIST_STRATEGY,
    DevicePlugin,
    setting,
    strategy,
)
from pytest_gpu.stack.kube.plugin_settings import set_plugin
from pytest_gpu.stack.kubelet.runtime import runtime_of
from pytest_gpu.stack.toolkit.check_config import own_configs
from pytest_gpu.stack.toolkit.config_patch import set_own
from pytest_gpu.stack.toolkit.own_config import RUNTIME
from pytest_gpu.steps import Steps

_STYLES = {"uuid": "UUID", "index": "index", "type-index": "type and index"}


def named_otherwise(node: Node, registry: Registry, lost: Sequence[str]) -> Finding | None:
    """Find that the devices asked for are defined under other names.

    Raises:
        NotInEvidence: the MIG devices of a GPU were not collected.
    """
    kind = lost[0].partition("=")[0]
    if kind == PLUGIN_KIND or kind.startswith(DRA_KIND.partition("/")[0]):
        return None
    if kind == MANAGEMENT_KIND:
        return _only_all(node, registry, lost)
    return _other_style(node, registry, lost) or _other_kind(node, registry, lost)


def _other_style(node: Node, registry: Registry, lost: Sequence[str]) -> Finding | None:
    """Find a spec that names the same GPUs by another strategy, and none by that asked for."""
    for name in lost:
        kind, _, asked = name.partition("=")
        there = registry.specs.resolved
        styles = {style(each.partition("=")[2]) for each in there if each.startswith(f"{kind}=")}
        found = next((n for n in _synonyms(node, asked) if f"{kind}={n}" in there), None)
        if found and style(asked) not in styles:
            return _by_style(node, registry, lost, name, found)
    return None


def _by_style(
    node: Node, registry: Registry, lost: Sequence[str], name: str, found: str
) -> Finding:
    kind, _, asked = name.partition("=")
    spec = registry.specs.resolved[f"{kind}={found}"]
    plugin = _who_asks(node, asked)
    return Finding.of(
        "runtime/cdi-names-differ",
        registry.told(name),
        *([_id_strategy(plugin)] if plugin else []),
        *_unresolvable(lost, spec),
        Evidence(source="NVML", text=f"{asked} and {found} are the same device"),
        *strategies_told(node, spec.path),
        reader=registry.reader,
        path=spec.path,
        asked=_STYLES[style(asked)],
        offered=_STYLES[style(found)],
        rename=name_both(node, spec.path, kind),
        settings=_by_plugin(node, plugin, style(found)),
    )


def _unresolvable(lost: Sequence[str], spec: CdiSpec) -> Iterator[Evidence]:
    yield Evidence(source="a container would say", text=f"unresolvable CDI devices {join(lost)}")
    names = join([name.partition("=")[2] for name in spec.devices])
    yield Evidence(source=spec.path, text=f"defines {spec.kind} {names}")


def style(name: str) -> str:
    """Return the strategy by which a device is named, ``""`` if by none that is known."""
    if name.startswith(("GPU-", "MIG-")):
        return "uuid"
    bare = name.removeprefix("gpu").removeprefix("mig")
    if not bare.replace(":", "", 1).isdecimal():
        return ""
    return "index" if bare == name else "type-index"


def _synonyms(node: Node, asked: str) -> tuple[str, ...]:
    """Return the other names of the GPU or MIG device with a name."""
    for device in nvml_of(node).devices:
        for names in _names(device):
            if asked in names:
                return tuple(name for name in names if name != asked)
    return ()


def _names(device: NvmlDevice) -> Iterator[tuple[str, ...]]:
    if not in_mig_mode(device):
        yield _all_names(str(device.index), "gpu", device.answers.get("uuid"))
        return
    for at, instance in enumerate(mig_devices(device)):
        yield _all_names(f"{device.index}:{at}", "mig", instance.get("uuid"))


def _all_names(index: str, kind: str, uuid: object) -> tuple[str, ...]:
    return (*([uuid] if isinstance(uuid, str) else []), index, f"{kind}{index}")


def _who_asks(node: Node, asked: str) -> DevicePlugin | None:
    """Return the plugin if it uses a name itself; pods may ask by others."""
    plugin = plugin_of(node)
    return plugin if plugin and plugin.kind == "nvidia" and asked in ids(node, plugin) else None


def _id_strategy(plugin: DevicePlugin) -> Evidence:
    told = setting(plugin, ID_STRATEGY.variable, ID_STRATEGY.flag)
    name = ID_STRATEGY.variable
    text = f"{name}={told}" if told else f"{name} is not set (default: uuid)"
    return Evidence(source=plugin.name, text=text)


def _by_plugin(node: Node, plugin: DevicePlugin | None, offered: str) -> Steps:
    """Return how the plugin uses the names that are there; it knows no other strategies."""
    if plugin is None or offered not in {"uuid", "index"}:
        return ()
    return set_plugin(node.cluster, plugin, {ID_STRATEGY: offered})


def _only_all(node: Node, registry: Registry, lost: Sequence[str]) -> Finding | None:
    """Find a plugin that asks for single GPUs by a kind that is for all of them at once."""
    there = f"{MANAGEMENT_KIND}=all"
    spec, plugin = registry.specs.resolved.get(there), plugin_of(node)
    if spec is None or plugin is None or there in lost:
        return None
    return Finding.of(
        "runtime/cdi-kind-of-management",
        strategy(node.cluster, plugin).said,
        registry.told(lost[0]),
        *_unresolvable(lost, spec),
        device=lost[0],
        plugin=plugin.name,
        settings=set_plugin(node.cluster, plugin, {LIST_STRATEGY: "cdi-annotations,cdi-cri"}),
        patch=_default_kind(node, MANAGEMENT_KIND, "nvidia.com/gpu"),
    )


def _default_kind(node: Node, now: str, wanted: str) -> Steps:
    """Return the patch of the NVIDIA runtime's configuration that has a default kind."""
    name = f"{RUNTIME}.modes.cdi.default-kind"
    for config in own_configs(node):
        if config.value(name) == now:
            return set_own(node, config, name, wanted)
    return ()


def _other_kind(node: Node, registry: Registry, lost: Sequence[str]) -> Finding | None:
    """Find a spec of another vendor or class that defines the devices by the same names."""
    kind, _, asked = lost[0].partition("=")
    ours = (kind, PLUGIN_KIND, MANAGEMENT_KIND)
    for name, spec in registry.specs.resolved.items():
        other = registry.reader != runtime_of(node).name and spec.kind not in ours
        if other and name.partition("=")[2] == asked and not spec.kind.startswith("k8s."):
            return Finding.of(
                "runtime/cdi-kind-differs",
                registry.told(lost[0]),
                *_unresolvable(lost, spec),
                reader=registry.reader,
                path=spec.path,
                kind=kind,
                offered=spec.kind,
                generate=generate(node, f"{spec.path.rpartition('/')[0]}/nvidia.yaml", kind),
                patch=_default_kind(node, kind, spec.kind),
            )
    return None
