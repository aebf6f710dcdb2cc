"""The release of an NVIDIA container runtime: what it prints, else what its library is called."""

from __future__ import annotations

import posixpath
import re
from functools import partial

from pytest_gpu.evidence import NodeEvidence
from pytest_gpu.known import known
from pytest_gpu.stack.host.processes import SEARCH_PATH

Version = tuple[int, ...]

SYSTEM_FOLDERS = (*SEARCH_PATH, "")
"""Where packages install programs; a handler may also name one without its folder."""

_PACKAGES = ("/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib/aarch64-linux-gnu")
_LIBRARY = "libnvidia-container.so.1"
_PRINTED = re.compile(
    r"NVIDIA Container Runtime version v?(\d{1,9})\.(\d{1,9})\.(\d{1,9})", re.ASCII
)


def version_of(evidence: NodeEvidence, binary: str) -> Version | None:
    """Return the toolkit's version, ``None`` if it is not known.

    The runtime's own word counts more than the name of the library, which is an own package and
    which a toolkit that only uses CDI does not need.
    """
    return printed_version(evidence, binary) or _version_of_library(evidence, binary)


def printed_version(evidence: NodeEvidence, binary: str) -> Version | None:
    """Return the version that an NVIDIA runtime printed, ``None`` if it was not asked.

    Source: ``internal/runtime/runtime.go``. It prints its own version before runc's; a wrapper
    prints runc's alone as long as the driver is not loaded, and a self-made build ``unknown``.
    """
    for result in evidence.commands:
        if result.argv == (binary, "--version"):
            match = _PRINTED.match(result.stdout)
            return tuple(int(number) for number in match.groups()) if match else None
    return None


def _version_of_library(evidence: NodeEvidence, binary: str) -> Version | None:
    folder = posixpath.dirname(binary)
    for place in _PACKAGES if folder in SYSTEM_FOLDERS else (folder,):
        link = known(partial(evidence.entry, f"{place}/{_LIBRARY}"))
        match = re.search(r"\.so\.(\d+)\.(\d+)\.(\d+)$", (link.target if link else None) or "")
        if match:
            return tuple(int(number) for number in match.groups())
    return None
