"""Facts of the driver that decide between the causes of one message."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_gpu.causes import Evidence
from pytest_gpu.discriminators import discriminator
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.gpu.nvml import nvml_of


@discriminator("gpu/driver-answers")
def driver_answers(node: Node) -> Iterator[Evidence]:
    """Yield that NVML answers on the host, so that only the container lacks the driver."""
    nvml = nvml_of(node)
    if nvml.answers and nvml.devices:
        yield Evidence(source="NVML on the host", text=f"answers, GPUs: {len(nvml.devices)}")
