"""NVIDIA's container runtimes, recognised by the names of their programs."""

from __future__ import annotations

import re
from posixpath import basename

from pytest_gpu.errors import Unproven

_NVIDIA = re.compile(
    r"nvidia-container-runtime(\.(cdi|legacy|experimental)|-experimental)?(\.real)?"
)

_WITHOUT_GPUS = frozenset({"", "runc", "crun", "docker-runc", "nvidia-container-runtime-hook"})


def is_nvidia(binary: str) -> bool:
    """Say whether a ``BinaryName`` is one of the NVIDIA runtimes.

    Sources: nvidia-container-toolkit ``cmd/`` and ``nvidia-ctk-installer`` (the runtimes per mode,
    and ``NAME.real`` behind a wrapper; the hook beside them is not a runtime); for nvidia-oci,
    Bottlerocket ``packages/containerd/containerd-config-toml_k8s_nvidia_containerd_sock``.
    """
    return is_bottlerockets(binary) or bool(_NVIDIA.fullmatch(basename(binary)))


def is_bottlerockets(binary: str) -> bool:
    """Say whether it is the program of older Bottlerocket: runc with NVIDIA's hook before it."""
    return basename(binary) == "nvidia-oci"


def prove_known(handler: str, binary: str) -> None:
    """Check that it is known whether a handler with NVIDIA's name starts an NVIDIA runtime.

    Raises:
        Unproven: it is not known whether the program injects GPUs.
    """
    known = is_nvidia(binary) or basename(binary) in _WITHOUT_GPUS
    if handler.startswith("nvidia") and not known:
        raise Unproven(
            f"the handler {handler} starts {binary}, a program that this version does not know"
        )
