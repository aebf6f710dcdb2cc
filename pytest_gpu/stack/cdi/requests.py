"""How containers of a node ask for CDI devices, and which component reads the specs.

Sources: the GPU operator's ``transformDevicePluginCtrForCDI`` and ``setNRIPluginAnnotation``
(controllers/object_controls.go), the device plugin's internal/cdi/cdi.go and internal/plugin/
server.go, the toolkit's internal/modifier/cdi.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pytest_gpu.causes import Evidence
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.cdi.cdi_off import cdi_off
from pytest_gpu.stack.cdi.device_names import ids
from pytest_gpu.stack.cdi.handler_modes import PREFIX, handlers_used, heeding, mode_of, spec_dirs
from pytest_gpu.stack.cdi.strategies import BESIDE_CDI, annotation_prefix, obstacles
from pytest_gpu.stack.kube import device_plugin
from pytest_gpu.stack.kube.device_plugin import DevicePlugin, strategy
from pytest_gpu.stack.kube.nodes import dra_nodes
from pytest_gpu.stack.kube.objects import annotations_of, path_of
from pytest_gpu.stack.kube.operator import policy_section
from pytest_gpu.stack.kube.pods import pods_on
from pytest_gpu.stack.kubelet.runtime import runtime_of
from pytest_gpu.stack.toolkit.own_config import RUNTIME

PLUGIN_KIND = "k8s.device-plugin.nvidia.com/gpu"
DEFAULT_KIND = "nvidia.com/gpu"
MANAGEMENT_KIND = "management.nvidia.com/gpu"
DRA_KIND = "k8s.gpu.nvidia.com/device"
AUTOMATIC_VENDOR = "runtime.nvidia.com"
"""The NVIDIA runtime itself describes devices of this vendor when a container starts."""
NRI_PREFIX = "nvidia.cdi.k8s.io/"
_NAMES = re.compile(r"(?<![\w.-])[\w.-]++/[\w.-]++=[\w.:-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class CdiRequest:
    """One way of asking for CDI devices.

    ``reader`` is what reads the specs: the container runtime, or an NVIDIA handler;
    ``directories`` are where it looks for them. ``kinds`` are the kinds asked for, ``devices`` the
    qualified names that must be defined, ``said`` the evidence that they are asked for.
    """

    reader: str
    directories: tuple[str, ...]
    kinds: frozenset[str]
    devices: tuple[str, ...]
    said: Evidence


def ways(node: Node) -> tuple[CdiRequest, ...]:
    """Return every way in which containers ask for CDI devices here.

    Raises:
        NotInEvidence: the requests, or NVML's names of the GPUs, were not collected.
    """
    return (*_by_runtimes(node), *_by_plugin(node), *_by_nri(node), *_by_dra(node))


def plugin_of(node: Node) -> DevicePlugin | None:
    """Return the device plugin, ``None`` if there is no Kubernetes.

    Raises:
        NotInEvidence: there is Kubernetes, but it was not asked.
    """
    if node.evidence.door.kind == "local":
        return known(lambda: device_plugin.find(node.cluster, node.name))
    node.cluster.objects("daemonsets")
    return device_plugin.find(node.cluster, node.name)


def _by_plugin(node: Node) -> Iterator[CdiRequest]:
    """Yield the request of a plugin that passes CDI devices to the kubelet or in annotations."""
    plugin = plugin_of(node)
    if plugin is None or plugin.kind != "nvidia":
        return
    told = strategy(node.cluster, plugin)
    words = frozenset(told.means)
    if not told.by_cdi:
        return
    kept = obstacles(node, plugin)
    by_cdi = words - BESIDE_CDI
    if by_cdi <= kept.keys() and not words <= kept.keys():
        return  # nobody reads the names: the devices come by another strategy
    reader, directories = _reader(node, plugin, words)
    yield CdiRequest(
        reader=reader,
        directories=directories,
        kinds=frozenset({PLUGIN_KIND}),
        devices=tuple(f"{PLUGIN_KIND}={name}" for name in ids(node, plugin)),
        said=told.said,
    )


def _reader(node: Node, plugin: DevicePlugin, words: frozenset[str]) -> tuple[str, tuple[str, ...]]:
    """Return which component reads the plugin's requests, and where it looks for specs.

    A runtime takes devices from the CRI and from annotations with the standard's own prefix; an
    NVIDIA handler takes them from annotations only. If none reads them, the runtime is returned.
    """
    runtime = runtime_of(node)
    heeds = "cdi-cri" in words or annotation_prefix(plugin) == PREFIX
    if (cdi_off(node) or not heeds) and "cdi-annotations" in words:
        for handler, own in heeding(node, annotation_prefix(plugin)):
            return handler.name, spec_dirs(own)
    return runtime.name, runtime.cdi_dirs


def _by_runtimes(node: Node) -> Iterator[CdiRequest]:
    """Yield the requests of NVIDIA handlers that work in cdi mode."""
    for runtime, config in handlers_used(node):
        kind = str(config.value(f"{RUNTIME}.modes.cdi.default-kind")) or DEFAULT_KIND
        if mode_of(runtime, config) != "cdi" or kind.startswith(f"{AUTOMATIC_VENDOR}/"):
            continue
        said = f'mode = "cdi" for handler {runtime.name}, default-kind = "{kind}"'
        yield CdiRequest(
            reader=runtime.name,
            directories=spec_dirs(config),
            kinds=frozenset({kind}),
            devices=(f"{kind}=all", *(f"{kind}={name}" for name in _named_by_plugin(node))),
            said=Evidence(source=config.path, text=said),
        )


def _named_by_plugin(node: Node) -> tuple[str, ...]:
    """Return the names that a plugin passes to an NVIDIA handler in a variable or by mounts."""
    plugin = plugin_of(node)
    if plugin is None or plugin.kind != "nvidia":
        return ()
    means = strategy(node.cluster, plugin).means
    return () if BESIDE_CDI.isdisjoint(means) else ids(node, plugin)


def _by_nri(node: Node) -> Iterator[CdiRequest]:
    """Yield what pods ask of the toolkit's NRI plugin, which lets the runtime inject devices."""
    if not policy_section(node.cluster, "cdi").get("nriPluginEnabled"):
        return
    for pod in known(lambda: pods_on(node.cluster, node.name)) or ():
        notes = annotations_of(pod)
        asked = [notes[key] for key in notes if key.startswith(NRI_PREFIX)]
        names = tuple(dict.fromkeys(_NAMES.findall(",".join(map(str, asked)))))
        if names:
            yield CdiRequest(
                reader=runtime_of(node).name,
                directories=runtime_of(node).cdi_dirs,
                kinds=frozenset(name.partition("=")[0] for name in names),
                devices=names,
                said=Evidence(source=f"pod {path_of(pod)}", text=f"{NRI_PREFIX}…: {asked[0]}"),
            )


def _by_dra(node: Node) -> Iterator[CdiRequest]:
    """Yield the request of DRA, whose driver writes the specs when it prepares a claim."""
    if node.name in dra_nodes(node.cluster):
        yield CdiRequest(
            reader=runtime_of(node).name,
            directories=runtime_of(node).cdi_dirs,
            kinds=frozenset({DRA_KIND}),
            devices=(),
            said=Evidence(source=f"resourceslices of node {node.name}", text="DRA offers GPUs"),
        )
