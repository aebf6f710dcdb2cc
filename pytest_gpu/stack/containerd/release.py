"""Which release of containerd a process is, and reading a version from text."""

from __future__ import annotations

import re

from pytest_gpu.evidence import NodeEvidence
from pytest_gpu.stack.host.processes import DELETED, Process


def printed_version(process: Process, evidence: NodeEvidence) -> tuple[int, ...] | None:
    """Return what its program printed, unless that is another program now: upgraded, or k3s'."""
    if (process.exe or "").endswith(DELETED):
        return None
    for result in evidence.commands:
        if result.argv[0] in {process.exe, process.argv[0]} and result.argv[-1] == "--version":
            return parse_version(result.stdout) if "containerd" in result.stdout else None
    return None


def parse_version(text: str) -> tuple[int, ...] | None:
    """Return the first ``N.N.N`` of ``containerd … v1.7.24 …`` or ``containerd://1.7.24``."""
    match = re.search(r"\bv?(\d+)\.(\d+)\.(\d+)", text)
    return tuple(int(number) for number in match.groups()) if match else None
