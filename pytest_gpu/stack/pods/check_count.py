"""Checks that a node advertises exactly the GPUs it has, as multiplied by sharing and MIG."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.checks import check
from pytest_gpu.errors import NotInEvidence, Unproven
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.gpu.check_driver import needs_no_nvml
from pytest_gpu.stack.gpu.nvml import NvmlDevice, nvml_of
from pytest_gpu.stack.gpu.pci import pci_of
from pytest_gpu.stack.kube import device_plugin as plugins
from pytest_gpu.stack.kube import sharing
from pytest_gpu.stack.kube.device_plugin import DevicePlugin, advertised
from pytest_gpu.stack.kube.objects import object_of
from pytest_gpu.stack.kube.restart import restart_plugin
from pytest_gpu.stack.kube.sharing import Sharing
from pytest_gpu.stack.operands.check_operands import offering_culprit, sharing_culprit
from pytest_gpu.stack.pods.check_plugin import expect_gpus, of
from pytest_gpu.text.naming import count, listed
from pytest_gpu.text.shell import command

_PROFILE = re.compile(r"(?<!\d)(?:\d++c\.)?\d++g\.\d+gb(?:\+\w+)*")
_SHOWN_GPUS = 4


@check("pods/not-registered", visit=False)
def not_registered(node: Node) -> Finding | None:
    """Find a node that advertises no GPU: the plugin did not register, or registered none."""
    plugin = of(node)
    capacity = advertised(object_of(node))
    if any(capacity.values()) or plugins.dra_gpus(node.cluster, node.name):
        return None
    expect_gpus(node)
    cause = "device-plugin/advertises-zero" if capacity else "device-plugin/not-registered"
    shown = ", ".join(f"{key}: {amount}" for key, amount in capacity.items())
    text = f"capacity: {shown or 'no key nvidia.com/gpu'}"
    symptom = Evidence(source=f"node {node.name}", text=text)
    if finding := offering_culprit(node, symptom):
        return finding
    return Finding.of(
        cause,
        symptom,
        Evidence(source=plugin.name, text="runs" if plugin.running else "does not run"),
        plugin=plugin.name,
        restart_plugin=restart_plugin(plugin),
    )


@check("pods/unhealthy", visit=False)
def unhealthy(node: Node) -> Finding | None:
    """Find GPUs that the kubelet counts but no longer allocates: the plugin says unhealthy."""
    capacity = advertised(object_of(node))
    allocatable = advertised(object_of(node), "allocatable")
    lost = {key: n - allocatable.get(key, 0) for key, n in capacity.items()}
    lines = [
        f"{key}: capacity {capacity[key]}, allocatable {allocatable.get(key, 0)}"
        for key, missing in lost.items()
        if missing > 0
    ]
    if not lines:
        return None
    symptom = [Evidence(source=f"node {node.name}", text=line) for line in lines]
    if not any(allocatable.values()) and (finding := sharing_culprit(node, *symptom)):
        return finding
    return Finding.of(
        "device-plugin/unhealthy-devices",
        *symptom,
        lost=", ".join(f"{n} of {capacity[key]} {key}" for key, n in lost.items() if n > 0),
        restart_plugin=restart_plugin(of(node)),
    )


@check("pods/miscounts", visit=False)
def miscounts(node: Node) -> Finding | None:
    """Find a node whose capacity does not match its GPUs and the plugin's configuration.

    Raises:
        Unproven: the plugin counts by its own rules.
    """
    in_slices = plugins.dra_gpus(node.cluster, node.name)
    plugin = of(node)
    if in_slices is not None and plugin.kind == "none":
        return _slices_differ(node, in_slices)
    if plugin.kind == "other":
        raise Unproven(f"{plugin.name} counts GPUs by its own rules, which are not checked")
    told = sharing.read(node.cluster, object_of(node), plugin)
    if told.missing:
        return _no_config(node, plugin, told)
    wanted = told.apply(counts(node, plugin, told))
    shown = {key: n for key, n in advertised(object_of(node)).items() if n or key in wanted}
    if shown == dict(wanted):
        return None
    if plugin.kind == "none" and not shown:
        raise Unproven("nothing offers the node's GPUs, so there is no count to compare")
    if plugin.kind == "none":
        raise Unproven(f"the node advertises {_list(shown)} through a plugin with unknown rules")
    node.cluster.objects("clusterpolicies")  # if it was not read, it may explain this count
    return _mismatch(node, plugin, told, wanted, shown)


def _slices_differ(node: Node, in_slices: int) -> Finding | None:
    gpus = len(_visible_gpus(node, {}))
    if in_slices in {gpus, 0}:
        return None
    return Finding.of(
        "device-plugin/count-mismatch",
        Evidence(source=f"resourceslices of node {node.name}", text=count(in_slices, "GPU")),
        *_gpu_lines(node),
        wanted=count(gpus, "GPU"),
        shown=f"{count(in_slices, 'GPU')} in its ResourceSlices",
        restart_plugin=command(
            "kubectl get pods -A | grep dra   # restart the kubelet plugin of DRA"
        ),
    )


def _no_config(node: Node, plugin: DevicePlugin, told: Sharing) -> Finding:
    return Finding.of(
        "device-plugin/config-missing",
        Evidence(source=plugin.name, text=f"asks for {told.missing}"),
        Evidence(source="kubectl get configmaps -A", text="there is no such configuration"),
        wanted=told.missing,
        restart_plugin=restart_plugin(plugin),
    )


def counts(node: Node, plugin: DevicePlugin, told: Sharing) -> Mapping[str, int]:
    """Return the number of unshared devices by the resource name that the plugin uses."""
    found: dict[str, int] = {}
    for profiles in _visible_gpus(node, plugin.env):
        for resource in _resources(profiles, told.mig):
            found[resource] = found.get(resource, 0) + 1
    return found


def _resources(profiles: tuple[str, ...] | None, strategy: str) -> Iterator[str]:
    """Yield the resource of each device of one GPU; ``None``: the GPU is not in MIG mode."""
    if profiles is None or strategy == "none":
        yield "nvidia.com/gpu"
        return
    for profile in profiles:
        shown = profile.replace("+", ".")
        yield "nvidia.com/gpu" if strategy == "single" else f"nvidia.com/mig-{shown}"


def _visible_gpus(node: Node, env: Mapping[str, str]) -> list[tuple[str, ...] | None]:
    """Return the MIG profiles of each GPU that the plugin can see (``None``: a whole GPU)."""
    if needs_no_nvml(node):
        return [None]  # the one GPU of a Tegra
    try:
        gpus = [_profiles(device) for device in nvml_of(node).asked()]
    except NotInEvidence:
        gpus = [None for _ in pci_of(node).gpus]
    chosen = env.get("NVIDIA_VISIBLE_DEVICES", "all")
    if chosen in {"", "all", "void", "none"}:
        return gpus
    return gpus[: len(chosen.split(","))]


def _profiles(device: NvmlDevice) -> tuple[str, ...] | None:
    mode = device.answers.get("mig")
    if not isinstance(mode, Mapping) or mode.get("current") != 1:
        return None
    instances = device.answers.get("mig_devices") or ()
    texts = [" ".join(map(str, each.values())) for each in instances]
    return tuple(match[0] for text in texts if (match := _PROFILE.search(text)))


def _gpu_lines(node: Node) -> Iterator[Evidence]:
    try:
        devices = nvml_of(node).asked()
    except NotInEvidence:
        found = ", ".join(gpu.address for gpu in pci_of(node).gpus)
        yield Evidence(source="PCI bus", text=f"{count(len(pci_of(node).gpus), 'GPU')}: {found}")
        return
    names = listed(map(str, devices), _SHOWN_GPUS)
    yield Evidence(source="NVML", text=f"{count(len(devices), 'GPU')}: {names}")


def _mismatch(
    node: Node,
    plugin: DevicePlugin,
    told: Sharing,
    wanted: Mapping[str, int],
    shown: Mapping[str, int],
) -> Finding:
    return Finding.of(
        "device-plugin/count-mismatch",
        Evidence(source=f"node {node.name}", text=f"capacity: {_list(shown)}"),
        *_gpu_lines(node),
        *(told.evidence or (Evidence(source=plugin.name, text="no sharing is configured"),)),
        wanted=_list(wanted),
        shown=_list(shown),
        restart_plugin=restart_plugin(plugin),
    )


def _list(amounts: Mapping[str, int]) -> str:
    return ", ".join(f"{key}: {n}" for key, n in sorted(amounts.items())) or "no GPU resource"
