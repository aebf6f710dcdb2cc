"""Checks of the link between GPUs and the host: PCIe lanes and the IOMMU."""

from __future__ import annotations

import re

from pytest_gpu.causes import Evidence, Finding, join
from pytest_gpu.checks import check
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.gpu.kernel_log import kernel_log_of
from pytest_gpu.stack.gpu.pci import PciGpu, pci_of

_FAULT = re.compile(r"\bnvidia [0-9a-f:.]+: AMD-Vi: Event logged \[IO_PAGE_FAULT")


@check("gpu/narrow-links")
def narrow_links(node: Node) -> Finding | None:
    """Say which GPUs use fewer PCIe lanes than they and their slot have.

    Link speed is never checked: it drops when a GPU is idle.
    """
    narrow = [gpu for gpu in pci_of(node).gpus if _is_narrow(gpu)]
    if not narrow:
        return None
    evidence = [
        Evidence(source=f"{gpu.path}/current_link_width", text=f"{gpu.width} of {gpu.max_width}")
        for gpu in narrow
    ]
    gpus = join([gpu.address for gpu in narrow])
    return Finding.of("hardware/pcie-width-reduced", *evidence, gpus=gpus)


def _is_narrow(gpu: PciGpu) -> bool:
    if gpu.width is None or gpu.max_width is None:
        return False
    return gpu.width < min(gpu.max_width, gpu.slot_width or gpu.max_width)


@check("gpu/iommu-faults")
def iommu_faults(node: Node) -> Finding | None:
    """Say that the IOMMU has refused memory accesses of a GPU since the driver was loaded."""
    line = kernel_log_of(node).find(_FAULT, "IO_PAGE_FAULT")
    return Finding.of("hardware/iommu-faults", line) if line else None
