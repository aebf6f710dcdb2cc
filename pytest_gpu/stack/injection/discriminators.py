"""Facts that decide between the causes of one message of a container that does not start."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pytest_gpu.causes import Evidence
from pytest_gpu.discriminators import discriminator
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.gpu.kernel_log import kernel_log_of

_DENIED = re.compile(r'\A(?>.*?apparmor="DENIED").*(?:runc|nvidia)')


@discriminator("injection/apparmor-denied")
def apparmor_denied(node: Node) -> Iterator[Evidence]:
    """Yield what AppArmor denied runc or the NVIDIA runtime, by the kernel's log."""
    if denied := kernel_log_of(node).find(_DENIED, "apparmor"):
        yield denied
