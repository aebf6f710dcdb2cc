"""Facts that decide between the causes of one message of a sandbox."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pytest_gpu.causes import Evidence
from pytest_gpu.discriminators import discriminator
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.gpu.kernel_log import kernel_log_of

_DENIED = re.compile(r"\A(?>.*?avc:\s+denied).*nvidia")

ENFORCE = "/sys/fs/selinux/enforce"
"""``1`` where SELinux enforces its policy (selinuxfs, Documentation/admin-guide/LSM/SELinux)."""


@discriminator("sandbox/access-denied")
def access_denied(node: Node) -> Iterator[Evidence]:
    """Yield what denies containers access to the driver's devices: SELinux, the nodes' mode."""
    if (known(lambda: node.evidence.read(ENFORCE)) or b"").strip() == b"1":
        yield Evidence(source=ENFORCE, text="1: SELinux is enforcing")
    log = known(lambda: kernel_log_of(node))
    if log and (denied := log.find(_DENIED, "avc")):
        yield denied
    entry = known(lambda: node.evidence.entry("/dev/nvidiactl"))
    if entry and entry.mode is not None and entry.mode & 0o006 != 0o006:
        yield Evidence(source=entry.path, text=f"has the mode {entry.mode:04o}")
