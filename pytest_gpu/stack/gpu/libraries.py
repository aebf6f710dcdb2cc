"""The driver's user-space libraries: their paths and versions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath

from pytest_gpu.errors import NotInEvidence
from pytest_gpu.evidence import NodeEvidence
from pytest_gpu.known import known
from pytest_gpu.stack.distributions import every

CUDA = "libcuda.so.1"
NVML = "libnvidia-ml.so.1"

OPERATOR_ROOT = "/run/nvidia/driver"
"""The root of a driver that runs in a container (NVIDIA GPU operator)."""

# Where distributions put the driver's libraries: Debian multiarch, lib64 (Red Hat and SUSE
# families), WSL, Tegra (L4T), and the GPU images of Container-Optimized OS.
DIRECTORIES = (
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib64",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib/wsl/lib",
    "/usr/lib/aarch64-linux-gnu/nvidia",
    "/usr/lib/aarch64-linux-gnu/tegra",
    "/home/kubernetes/bin/nvidia/lib64",
    *(f"{OPERATOR_ROOT}/usr/lib/{arch}-linux-gnu" for arch in ("x86_64", "aarch64")),
    f"{OPERATOR_ROOT}/usr/lib64",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """One library: ``path`` as the loader finds it, ``file`` after following links.

    ``version`` is the driver's version in the file's name, ``None`` if the name has none.
    """

    path: str
    file: str
    version: str | None


def find(evidence: NodeEvidence, name: str, beside: str | None = None) -> Library | None:
    """Return a library of the driver, ``None`` if it is proven absent.

    ``beside`` is a directory that holds another library of the same driver. One package installs
    both, so only that directory has to be known to prove absence; without it, all have to be known.

    Raises:
        NotInEvidence: it was not found, and the search was not complete.
    """
    directories = (beside, *DIRECTORIES) if beside else DIRECTORIES
    unknown: list[str] = []
    for directory in directories:
        try:
            if evidence.entry(f"{directory}/{name}"):
                return _library(evidence, f"{directory}/{name}")
        except NotInEvidence:
            unknown.append(directory)
    for directory in every.libraries():
        if known(partial(evidence.entry, f"{directory}/{name}")):
            return _library(evidence, f"{directory}/{name}")
    if beside in unknown or (unknown and not beside):
        raise NotInEvidence(evidence.name, f"{unknown[0]}/{name}")
    return None


def _library(evidence: NodeEvidence, path: str) -> Library:
    file = evidence.resolve(path)
    match = re.search(r"\.so\.(\d+\.\d+(?:\.\d+)*)$", PurePosixPath(file).name)
    return Library(path=path, file=file, version=match[1] if match else None)
