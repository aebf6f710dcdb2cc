"""The toolkit's own service that makes a CDI spec at every boot, and how it failed.

Source: nvidia-container-toolkit 1.18 and later, ``deployments/systemd/nvidia-cdi-refresh.service``
and ``.env``; ``cmd/nvidia-ctk/cdi/generate``.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass

from pytest_gpu.causes import Evidence
from pytest_gpu.gpu_node import Node, fact
from pytest_gpu.known import known
from pytest_gpu.stack.host.failed_units import failed_units
from pytest_gpu.stack.kubelet.unit_end import UnitEnd, end_of
from pytest_gpu.stack.operands import trouble
from pytest_gpu.stack.units.companions import CDI_REFRESH, logged

REFRESH = f"{CDI_REFRESH}.service"
REFRESHED = "/var/run/cdi/nvidia.yaml"
ENV = "/etc/nvidia-container-toolkit/nvidia-cdi-refresh.env"
UNITS = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
_OUTPUT = "NVIDIA_CTK_CDI_OUTPUT_FILE_PATH"
_OF_THE_FOLDER = frozenset({trouble.RESOURCES, trouble.PERMISSION})


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshFailure:
    """How the service failed: ``path`` is the spec that it should have made."""

    path: str
    end: UnitEnd


@fact
def refresh_failure(node: Node) -> RefreshFailure | None:
    """Return how the service failed, ``None`` if it did not, is not there, or nobody asked."""
    for unit in failed_units(node.evidence.commands):
        if unit.name == CDI_REFRESH:
            end = end_of(unit.status, logged(node, unit))
            return RefreshFailure(path=refreshed_path(node), end=end)
    return None


def is_installed(node: Node) -> bool:
    """Say whether this node has the service."""
    return refresh_failure(node) is not None or any(
        known(lambda folder=folder: node.evidence.entry(f"{folder}/{REFRESH}"))  # type: ignore[misc] # bound now
        for folder in UNITS
    )


def refreshed_path(node: Node) -> str:
    """Return the spec that the service makes: what its own settings say, else the usual one."""
    told = [line.text.partition("=")[2].strip("\"' ") for line in settings(node, _OUTPUT)]
    return next((path for path in reversed(told) if path.startswith("/")), REFRESHED)


def settings(node: Node, name: str) -> Iterator[Evidence]:
    """Yield each line of the service's own settings that sets a variable."""
    content = known(lambda: node.evidence.read(ENV))
    for number, line in enumerate((content or b"").decode(errors="replace").splitlines(), 1):
        if line.startswith(f"{name}="):
            yield Evidence(source=ENV, line=number, text=line)


def makes(node: Node, path: str) -> bool:
    """Say whether a path is where the service writes its spec."""
    return node.evidence.resolve(path) == node.evidence.resolve(refreshed_path(node))


def why_not_made(node: Node, path: str) -> RefreshFailure | None:
    """Return the service's failure if it tells why a spec is not made, ``None`` if it does not.

    That is its own spec, or one in a folder in which it could not write.
    """
    failure = refresh_failure(node)
    if failure is None:
        return None
    return failure if makes(node, path) or _could_not_write(node, failure, path) else None


def said_of(node: Node, path: str) -> tuple[Evidence, ...]:
    """Return what the service's failure says of a spec that it should have made anew."""
    failure = why_not_made(node, path)
    return failure.end.evidence if failure else ()


def _could_not_write(node: Node, failure: RefreshFailure, path: str) -> bool:
    said = failure.end.said
    written = trouble.path_in(said)
    if written is None or trouble.kind_of("", said) not in _OF_THE_FOLDER:
        return False
    folders = {node.evidence.resolve(posixpath.dirname(each)) for each in (path, written)}
    return len(folders) == 1
