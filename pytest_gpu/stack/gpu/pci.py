"""NVIDIA GPUs on the PCI bus, from sysfs (sysfs-pci.rst), or the platform's own GPU."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from pytest_gpu.errors import NotInEvidence
from pytest_gpu.evidence import NodeEvidence
from pytest_gpu.gpu_node import Node, fact
from pytest_gpu.known import known

BUS = "/sys/bus/pci/devices"
NVIDIA = 0x10DE

# PCI classes (pci.ids): 0x0300 VGA and 0x0302 3D controllers are GPUs. An NVIDIA board also shows
# audio (0x0403), USB (0x0c03) and serial (0x0c80) functions; 0x0680 is an NVSwitch.
GPU_CLASSES = (0x0300, 0x0302)
NVSWITCH_CLASS = 0x0680

# Device nodes that only the driver of that platform creates. Its GPU is not on a PCI bus.
PLATFORMS = {"dxg": "WSL", "nvmap": "Tegra", "nvhost-ctrl": "Tegra", "nvgpu": "Tegra"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PciGpu:
    """One GPU on the bus; ``None`` always means that the value was not collected.

    ``address`` is domain:bus:device.function with a domain of four digits. ``driver`` is the
    kernel driver that holds it, empty if none does. ``dead``: every bit of its configuration space
    is one. Widths are numbers of lanes; ``slot_width`` is what the port above it supports.

    Attributes:
        width: the number of lanes in use.
        max_width: the number of lanes that the GPU supports.
        slot_width: the number of lanes that the port above supports.
    """

    address: str
    driver: str | None = None
    dead: bool | None = None
    width: int | None = None
    max_width: int | None = None
    slot_width: int | None = None

    @property
    def path(self) -> str:
        """The function's directory in sysfs."""
        return f"{BUS}/{self.address}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PciGpus:
    """The GPUs of a node.

    ``others`` are addresses of NVIDIA functions that are not GPUs, ``switches`` the NVSwitches
    among them; ``functions`` is the number of all functions on the bus; ``platform`` names the
    platform if its GPU is not on a PCI bus by design.

    Attributes:
        gpus: the GPUs on the bus.
    """

    gpus: tuple[PciGpu, ...] = ()
    others: tuple[str, ...] = ()
    switches: tuple[str, ...] = ()
    functions: int = 0
    platform: str | None = None


def normal(address: str) -> str:
    """Return a PCI address with a lower-case domain of four digits.

    NVML writes ``0000000F:01:00.0``, the kernel ``000f:01:00.0``. A domain that needs more digits
    keeps them.
    """
    domain, _, rest = address.lower().partition(":")
    return f"{domain.lstrip('0'):0>4}:{rest}"


def read(evidence: NodeEvidence) -> PciGpus:
    """Return the node's GPUs.

    Raises:
        NotInEvidence: the bus was not listed, or the class or vendor of a function was not read.
    """
    names = evidence.names(BUS) or ()
    nvidia = [name for name in names if _number(evidence, name, "vendor") == NVIDIA]
    gpus = [name for name in nvidia if _is_gpu(evidence, name)]
    return PciGpus(
        gpus=tuple(_gpu(evidence, name) for name in gpus),
        others=tuple(name for name in nvidia if name not in gpus),
        switches=tuple(name for name in nvidia if _class(evidence, name) == NVSWITCH_CLASS),
        functions=len(names),
        platform=None if gpus else _platform(evidence),
    )


def _is_gpu(evidence: NodeEvidence, name: str) -> bool:
    if _class(evidence, name) not in GPU_CLASSES:
        return False
    # An SR-IOV virtual function belongs to a virtual machine, so each board is counted once.
    return known(lambda: evidence.entry(f"{BUS}/{name}/physfn")) is None


def _gpu(evidence: NodeEvidence, name: str) -> PciGpu:
    config = known(lambda: evidence.read(f"{BUS}/{name}/config"))
    port = PurePosixPath(evidence.resolve(f"{BUS}/{name}")).parent
    return PciGpu(
        address=normal(name),
        driver=_driver(evidence, name),
        dead=all(byte == 0xFF for byte in config) if config else None,
        width=_lanes(evidence, f"{BUS}/{name}/current_link_width"),
        max_width=_lanes(evidence, f"{BUS}/{name}/max_link_width"),
        slot_width=_lanes(evidence, f"{port}/max_link_width"),
    )


def _driver(evidence: NodeEvidence, name: str) -> str | None:
    try:
        link = evidence.entry(f"{BUS}/{name}/driver")
    except NotInEvidence:
        return None
    return PurePosixPath(link.target or "").name if link else ""


def _class(evidence: NodeEvidence, name: str) -> int:
    """Return base class and subclass, without the lowest byte (the programming interface)."""
    return _number(evidence, name, "class") >> 8


def _number(evidence: NodeEvidence, name: str, attribute: str) -> int:
    text = (evidence.read(f"{BUS}/{name}/{attribute}") or b"").strip()
    # The kernel prints four digits of an ID and six of a class; fewer mean a truncated file.
    if not re.fullmatch(rb"0x([0-9a-f]{4}|[0-9a-f]{6})", text):
        raise NotInEvidence(evidence.name, f"{BUS}/{name}/{attribute}")
    return int(text, 16)


def _lanes(evidence: NodeEvidence, path: str) -> int | None:
    text = (known(lambda: evidence.read(path)) or b"").strip()
    # The kernel shows 0 or 255 for a link that is down or a device that is gone.
    return int(text) if text.isdigit() and 0 < int(text) < 255 else None


def _platform(evidence: NodeEvidence) -> str | None:
    nodes = evidence.names("/dev") or ()
    return next((PLATFORMS[name] for name in nodes if name in PLATFORMS), None)


@fact
def pci_of(node: Node) -> PciGpus:
    """Return the NVIDIA functions on the PCI bus, or the platform's own GPU."""
    return read(node.evidence)
