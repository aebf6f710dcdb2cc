"""Checks of a node's GPUs as hardware, from the bus, the log and the labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_gpu.causes import Evidence, Finding, join, unproven
from pytest_gpu.checks import check
from pytest_gpu.errors import NotInEvidence, Unproven
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.gpu import nvml as nvml_codes
from pytest_gpu.stack.gpu.driver import driver_of
from pytest_gpu.stack.gpu.kernel_log import kernel_log_of
from pytest_gpu.stack.gpu.nvml import NvmlDevice, nvml_of
from pytest_gpu.stack.gpu.pci import BUS, PciGpu, pci_of
from pytest_gpu.stack.kube.labels import without_labels
from pytest_gpu.stack.kube.objects import labels_of, object_of, status_of
from pytest_gpu.steps import typed
from pytest_gpu.text.naming import count
from pytest_gpu.text.shell import command

# Drivers that can hold a GPU instead of NVIDIA's, as sysfs names them, with the cause.
HOLDERS = {
    "nouveau": "driver/nouveau-holds-gpu",
    "NovaCore": "driver/nouveau-holds-gpu",
    "vfio-pci": "hardware/held-for-passthrough",
    "pci-stub": "hardware/held-for-passthrough",
    "xen-pciback": "hardware/held-for-passthrough",
}
_HOLDER_MODULES = frozenset({"nouveau", "nova_core", "vfio_pci", "pci_stub", "xen_pciback"})

WORKLOAD_LABEL = "nvidia.com/gpu.workload.config"
"""The GPU operator's label; ``vm-passthrough`` and ``vm-vgpu`` give GPUs to virtual machines."""

# Labels that count physical GPUs: GPU feature discovery, Karpenter on AWS, GKE.
COUNT_LABELS = (
    "nvidia.com/gpu.count",
    "karpenter.k8s.aws/instance-gpu-count",
    "cloud.google.com/gke-accelerator-count",
)

_CLAIMS = (*COUNT_LABELS, "nvidia.com/gpu.present")
"""Labels that say that the node has a GPU."""


@check("gpu/missing")
def missing(node: Node) -> Finding | None:
    """Say that the node has no GPU at all, although it is under test as a GPU node."""
    found = pci_of(node)
    if found.gpus or found.platform:
        return None
    functions = count(found.functions, "function")
    said = [f"{functions}, none is an NVIDIA GPU (vendor 0x10de, class 0x03)"]
    said += [f"{address} is an NVIDIA function but not a GPU" for address in found.others]
    evidence = [Evidence(source=BUS, text=text) for text in said]
    if windows := _windows(node):
        return Finding.of("hardware/wsl-without-adapter", *windows, *evidence, *_signs(node))
    unlabel = without_labels(object_of(node), _CLAIMS)
    return Finding.of("hardware/gpu-missing", *evidence, *_signs(node), unlabel=unlabel)


def _windows(node: Node) -> list[Evidence]:
    """Return the signs of a WSL kernel; a GPU there is behind /dev/dxg, not on a PCI bus."""
    version = (known(lambda: node.evidence.read("/proc/version")) or b"").decode(errors="replace")
    if "microsoft" not in version.lower():
        return []
    found = [Evidence(source="/proc/version", line=1, text=version.strip())]
    return [*found, Evidence(source="/dev/dxg", text="is not there: Windows shares no GPU")]


def _signs(node: Node) -> Iterator[Evidence]:
    """Yield the labels and the capacity that announce a GPU; a person may have set them."""
    labels, capacity = _labels(node), _capacity(node)
    for key in _CLAIMS:
        if key in labels:
            yield Evidence(source=f"node {node.name}", text=f"label {key}={labels[key]}")
    for key, value in capacity.items():
        if key.startswith("nvidia.com/"):
            yield Evidence(source=f"node {node.name}", text=f"capacity {key}={value}")


@check("gpu/fallen-off-the-bus")
def fallen_off_the_bus(node: Node) -> Finding | None:
    """Say which GPUs no longer answer: all-ones configuration space, XID 79, or NVML's error.

    An XID 79 no longer counts when the GPU answers on the bus and in NVML again.
    """
    seen = {**_dead(node), **_xid79(node), **_lost(node)}
    if seen:
        return Finding.of("hardware/fallen-off-the-bus", *seen.values(), gpus=join([*seen]))
    if known(lambda: kernel_log_of(node)) is None:
        silent = [gpu.address for gpu in pci_of(node).gpus if gpu.dead is None]
        silent = [address for address in silent if not _answers(node, address)]
        if silent:
            unproven(
                "neither the kernel log nor the configuration space"
                f" of {join(silent)} is in evidence"
            )
    return None


def _dead(node: Node) -> dict[str, Evidence]:
    return {
        gpu.address: Evidence(source=f"{gpu.path}/config", text="every byte is 0xff")
        for gpu in pci_of(node).gpus
        if gpu.dead
    }


def _xid79(node: Node) -> dict[str, Evidence]:
    log = known(lambda: kernel_log_of(node))
    xids = log.standing((79,)) if log else ()
    awake = {gpu.address for gpu in pci_of(node).gpus if gpu.dead is False}
    return {
        f"{xid.slot}.0": log.at(xid.index)
        for xid in xids
        if log and not (f"{xid.slot}.0" in awake and _answers(node, f"{xid.slot}.0"))
    }


def _lost(node: Node) -> dict[str, Evidence]:
    found = {}
    for device in _devices(node):
        for question, error in device.errors():
            if error.code == nvml_codes.GPU_IS_LOST:
                source = f"NVML, GPU {device.index}"
                found[device.address or str(device)] = Evidence(
                    source=source, text=f"{question}: {error}"
                )
    return found


def _answers(node: Node, address: str) -> bool:
    """Say whether NVML answers every question that the GPU at this address supports."""
    return any(
        device.address == address
        and all(error.code in nvml_codes.NOT_ASKABLE for _, error in device.errors())
        for device in _devices(node)
    )


def _devices(node: Node) -> tuple[NvmlDevice, ...]:
    found = known(lambda: nvml_of(node))
    return found.devices if found and found.answers else ()


@check("gpu/lost")
def lost(node: Node) -> Finding | None:
    """Say that the bus has fewer GPUs than the node's own labels say.

    Capacity is not used: time-slicing and MPS multiply it, MIG replaces it, and if it differs
    from the hardware, the device plugin is at fault.
    """
    gpus = pci_of(node).gpus
    for label, text in _counts(_labels(node)):
        if gpus and text.isdigit() and int(text) > len(gpus):
            said = Evidence(source=f"node {node.name}", text=f"label {label}={text}")
            seen = Evidence(source=BUS, text=f"{len(gpus)}: {join([g.address for g in gpus])}")
            found = str(len(gpus))
            return Finding.of(
                "hardware/gpu-lost", said, seen, expected=text, found=found, label=label
            )
    return None


def _counts(labels: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the labels that count boards; with MIG strategy single, one counts MIG devices."""
    product = labels.get("nvidia.com/gpu.product")
    single = labels.get("nvidia.com/mig.strategy") == "single"
    counts_mig = "MIG-" in product if product else single
    for label in COUNT_LABELS:
        if label in labels and not (counts_mig and label == COUNT_LABELS[0]):
            yield label, labels[label]


@check("gpu/held")
def held(node: Node) -> Finding | None:
    """Say which GPUs are held by another kernel driver, so that NVIDIA's driver cannot use them.

    Nouveau belongs to this layer (the bus shows it), although its cause starts with ``driver``:
    the drivers have to be fixed, not the board.
    """
    taken = [gpu for gpu in pci_of(node).gpus if _holder(node, gpu) in HOLDERS]
    if not taken or reserved_for_machines(node):
        return None
    return _held(node, taken) if not _is_split(node, taken) else None


@check("gpu/split")
def split(node: Node) -> Finding | None:
    """Say, as a note, that some GPUs are given to virtual machines and the others are not."""
    taken = [gpu for gpu in pci_of(node).gpus if _holder(node, gpu) in HOLDERS]
    return _held(node, taken) if taken and _is_split(node, taken) else None


def reserved_for_machines(node: Node) -> bool:
    """Say whether the operator's label gives this node's GPUs to virtual machines."""
    return _labels(node).get(WORKLOAD_LABEL, "").startswith("vm-")


@check("gpu/given-to-machines")
def given_to_machines(node: Node) -> None:
    """Make the node unproven if its GPUs are meant for virtual machines.

    Raises:
        Unproven: the operator's label gives this node's GPUs to virtual machines.
    """
    if reserved_for_machines(node):
        raise Unproven("the node's label gives its GPUs to virtual machines")


def _held(node: Node, taken: list[PciGpu]) -> Finding:
    holder = taken[0].driver or ""
    evidence = [Evidence(source=f"{gpu.path}/driver", text=f"-> {gpu.driver}") for gpu in taken]
    gpus = [gpu.address for gpu in taken]
    free = tuple(typed("node", command("sudo driverctl unset-override {g}", g=g)) for g in gpus)
    return Finding.of(HOLDERS[holder], *evidence, gpus=join(gpus), free=free, holder=holder)


def _is_split(node: Node, taken: list[PciGpu]) -> bool:
    """Say whether an admin split the node: these are held for virtual machines, the rest work."""
    rest = [gpu for gpu in pci_of(node).gpus if gpu not in taken]
    for_machines = all(
        HOLDERS[gpu.driver or ""] == "hardware/held-for-passthrough" for gpu in taken
    )
    return for_machines and any(gpu.driver == "nvidia" for gpu in rest)


def _holder(node: Node, gpu: PciGpu) -> str:
    """Return the driver that holds a GPU, ``""`` if no other driver can.

    Raises:
        NotInEvidence: it was not collected, and another driver is loaded that could hold it.
    """
    if gpu.driver is not None:
        return gpu.driver
    if driver_of(node).modules & _HOLDER_MODULES:
        raise NotInEvidence(node.name, f"{gpu.path}/driver")
    return ""


def _labels(node: Node) -> Mapping[str, str]:
    return labels_of(object_of(node))


def _capacity(node: Node) -> Mapping[str, str]:
    return status_of(object_of(node)).get("capacity") or {}
