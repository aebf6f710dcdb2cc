"""The NVIDIA runtime on a node, at its usual paths, and who installs it there."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from pytest_gpu.causes import Evidence
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.cri.handler import Handler
from pytest_gpu.stack.kube.operator import change_values
from pytest_gpu.stack.toolkit.instructions import INSTALL_DIR
from pytest_gpu.steps import Step, Steps, typed
from pytest_gpu.text.shell import command

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


def owner_of(binary: str) -> str:
    """Return who installs a program that no DaemonSet of the cluster brings, as a sentence."""
    if _is_operators(binary):
        return (
            "The pod of the GPU operator's toolkit installs it there, and no DaemonSet of this"
            " cluster has such pods here."
        )
    return "No DaemonSet of this cluster installs it: a package or the node's image brings it."


def install(node: Node, runtime: Handler) -> Steps:
    """Return the steps that bring a handler's program back where no DaemonSet does it."""
    package = typed(
        "node", command("sudo apt-get install --reinstall nvidia-container-toolkit   # or: dnf")
    )
    if not _is_operators(str(runtime.binary)):
        said = (
            "Install the NVIDIA container toolkit again, which brings it, or replace the node by"
            " one from a sound image. All pods start again then, and containerd needs no restart:"
        )
        return (Step("words", said), package)
    if back := change_values(node.cluster, "toolkit.enabled", value=True):
        said = "Let the GPU operator run its toolkit, which brings it, on this node again:"
        return (Step("words", said), *back)
    said = (
        "Install the GPU operator with its toolkit on this node again, which brings it; or the"
        f" toolkit's package, and let BinaryName of runtimes.{runtime.name} name its program:"
    )
    return (Step("words", said), package)


def _is_operators(binary: str) -> bool:
    return binary.startswith(f"{INSTALL_DIR}/")
