"""The NVIDIA runtime on a node, at its usual paths."""

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
    """Yield the NVIDIA runtime that no handler starts, or the paths at which none is installed."""
    if (path := installed(node)) is not None:
        yield Evidence(source=path, text="is installed; no handler starts it")
        return
    for path in BINARIES:
        if node.evidence.entry(path) is None:
            yield Evidence(source=path, text="is not installed")


def installed(node: Node) -> str | None:
    """Return the path of an NVIDIA runtime that is installed at a usual place."""
    return next((path for path in BINARIES if known(partial(node.evidence.entry, path))), None)
