"""The NVIDIA runtime on a node, where it usually is."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from pytest_gpu.causes import Evidence
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.toolkit.instructions import INSTALL_DIR

BINARIES = (
    f"{INSTALL_DIR}/nvidia-container-runtime",
    "/usr/bin/nvidia-container-runtime",
)


def binaries(node: Node) -> Iterator[Evidence]:
    """Yield the NVIDIA runtime that nobody starts, else where none is."""
    if (path := installed(node)) is not None:
        yield Evidence(source=path, text="is installed; no handler starts it")
        return
    for path in BINARIES:
        if node.evidence.entry(path) is None:
            yield Evidence(source=path, text="is not installed")


def installed(node: Node) -> str | None:
    """Return an NVIDIA runtime that is on the node, where it usually is."""
    return next((path for path in BINARIES if known(partial(node.evidence.entry, path))), None)
