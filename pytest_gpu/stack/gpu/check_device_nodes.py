"""Checks that the driver's device nodes exist, with the numbers that the kernel uses now."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_gpu.causes import Evidence, Finding, join
from pytest_gpu.checks import check, question
from pytest_gpu.errors import NotInEvidence
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.gpu import nvml as nvml_codes
from pytest_gpu.stack.gpu.check_driver import loaded, platform_gpu
from pytest_gpu.stack.gpu.check_hardware import HOLDERS
from pytest_gpu.stack.gpu.device_nodes import NVIDIA_MAJOR, DeviceNodes
from pytest_gpu.stack.gpu.driver import driver_of
from pytest_gpu.stack.gpu.nvml import nvml_of
from pytest_gpu.stack.gpu.pci import PciGpu, pci_of
from pytest_gpu.stack.host.failed_units import OF_DEVICE_NODES, failed_gpu_units
from pytest_gpu.text.naming import count


@question("gpu/nodes-and-majors")
def nodes(node: Node) -> object:
    """Return the device nodes and the major numbers that they must have."""
    driver = driver_of(node)
    return known(lambda: driver.nodes), driver.majors


@check("gpu/device-nodes")
def device_nodes(node: Node) -> Finding | None:
    """Say which device nodes are missing or have numbers from an earlier load of the module."""
    if platform_gpu(node):
        return None
    return _missing_nodes(node) or _missing_uvm(node) or _stale_nodes(node)


def _missing_nodes(node: Node) -> Finding | None:
    nodes = loaded(node).nodes
    wanted = ["nvidiactl"] if "nvidiactl" not in nodes.entries else []
    minors = {device.minor for device in _devices(node) if device.minor is not None}
    wanted += [f"nvidia{minor}" for minor in sorted(minors - nodes.gpus)]
    found = known(lambda: pci_of(node))
    ours = [gpu for gpu in found.gpus if gpu.driver not in HOLDERS] if found else []
    short = len(ours) - len(nodes.gpus)
    evidence = [Evidence(source=f"{nodes.directory}/{name}", text="absent") for name in wanted]
    if short > 0:
        evidence.append(Evidence(source=nodes.directory, text=_there(nodes, ours)))
    if not evidence:
        return None
    missing = join(wanted) or _for_whom(node, ours, short)
    units = failed_gpu_units(node.evidence.commands, OF_DEVICE_NODES)
    return Finding.of("driver/device-nodes-missing", *evidence, *units, missing=missing)


def _for_whom(node: Node, ours: Sequence[PciGpu], short: int) -> str:
    """Return which GPUs have no device node: those that NVML does not list, if that fits."""
    listed = {device.address for device in _devices(node)}
    silent = [gpu.address for gpu in ours if gpu.address not in listed]
    if len(silent) == short:
        return f"none for {join(silent)}"
    return f"{short} of {count(len(ours), 'GPU')} {'has' if short == 1 else 'have'} none"


def _there(nodes: DeviceNodes, ours: Sequence[PciGpu]) -> str:
    """Return which GPUs have their device node, and which GPUs are on the bus."""
    there = join([f"nvidia{minor}" for minor in sorted(nodes.gpus)]) or "no nvidiaN"
    return f"{there} for {count(len(ours), 'GPU')}: {join([gpu.address for gpu in ours])}"


def _devices(node: Node) -> tuple[nvml_codes.NvmlDevice, ...]:
    nvml = known(lambda: nvml_of(node))
    return nvml.devices if nvml and nvml.answers else ()


def _missing_uvm(node: Node) -> Finding | None:
    nodes = driver_of(node).nodes
    if "nvidia-uvm" in nodes.entries and "nvidia-uvm" in driver_of(node).majors:
        return None
    evidence = []
    if "nvidia-uvm" not in nodes.entries:
        evidence.append(Evidence(source=f"{nodes.directory}/nvidia-uvm", text="absent"))
    if "nvidia-uvm" not in (known(lambda: driver_of(node).majors) or ("nvidia-uvm",)):
        text = "no nvidia-uvm: the module nvidia_uvm is not loaded"
        evidence.append(Evidence(source="/proc/devices", text=text))
    units = failed_gpu_units(node.evidence.commands, OF_DEVICE_NODES)
    return Finding.of("driver/uvm-node-missing", *evidence, *units)


def _stale_nodes(node: Node) -> Finding | None:
    nodes, uvm = driver_of(node).nodes, driver_of(node).majors["nvidia-uvm"]
    wanted = {f"nvidia{minor}": NVIDIA_MAJOR for minor in nodes.gpus}
    wanted |= {"nvidiactl": NVIDIA_MAJOR, "nvidia-uvm": uvm}
    for name, major in wanted.items():
        device = nodes.entries[name].device
        path = f"{nodes.directory}/{name}"
        if device is None:
            raise NotInEvidence(node.name, f"the device number of {path}")
        if device[0] != major:
            seen = Evidence(source=path, text=f"major {device[0]}")
            due = Evidence(source="/proc/devices", text=f"the driver's major is {major}")
            return Finding.of("driver/device-node-stale", seen, due, path=path)
    return None
