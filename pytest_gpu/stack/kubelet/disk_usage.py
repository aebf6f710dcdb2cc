"""How full the file systems are that a kubelet watches: ``df -P`` of their folders.

Source: "Node-pressure Eviction" in the Kubernetes documentation: ``nodefs`` holds the kubelet's
folder, ``imagefs`` the images of the container runtime.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pytest_gpu.causes import Evidence
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.distributions.detect import distribution_of
from pytest_gpu.stack.host.processes import flag
from pytest_gpu.stack.kubelet.containerd import containerd_of
from pytest_gpu.stack.kubelet.containerd_runtime import Containerd
from pytest_gpu.stack.kubelet.kubelet import kubelet_of

ROOT_DIR = "/var/lib/kubelet"
CONTAINERD_ROOT = "/var/lib/containerd"

NEARLY_FULL = 85
"""Percent in use from which the kubelet's defaults evict pods (``imagefs.available<15%``)."""

_SHARE = re.compile(r"\d{1,3}%")
_COLUMNS = 6
"""Device, blocks, used, available, share in use, mount point; the last one may have spaces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSystem:
    """A file system by its mount point: the share in use, in percent, of ``what``."""

    mount: str
    used: int
    what: str
    evidence: Evidence

    def __str__(self) -> str:
        """Return what a person reads: ``/var (96% of its space in use)``."""
        return f"{self.mount} ({self.used}% of its {self.what} in use)"


def kubelet_folder(node: Node) -> str:
    """Return the folder of the kubelet's own data."""
    argv = known(lambda: kubelet_of(node).argv) or ()
    return flag(argv, "--root-dir") or ROOT_DIR


def images_folder(node: Node) -> str:
    """Return the folder of containerd's images and containers."""
    home = distribution_of(node).home
    containerd = known(lambda: containerd_of(node))
    told = containerd.process.flag("--root") if containerd and containerd.process else None
    return told or _written_root(containerd) or home or CONTAINERD_ROOT


def _written_root(containerd: Containerd | None) -> str | None:
    """Return the folder that containerd's files set, ``None`` if they set none."""
    files = (known(lambda: containerd.config.files) or ()) if containerd else ()
    written = [root for file in files if isinstance(root := file.table.get("root"), str) and root]
    return written[-1] if written else None


def questions(node: Node) -> Iterator[tuple[str, ...]]:
    """Yield the commands that show how full these file systems are, in bytes and in inodes."""
    for option in ("-P", "-Pi"):
        yield "df", option, "/", kubelet_folder(node), images_folder(node)


def fullest(node: Node) -> tuple[FileSystem, ...]:
    """Return the fullest file system of each ``df`` that was run, none where none was."""
    found: dict[str, FileSystem] = {}
    for each in _rows(node):
        if each.what not in found or each.used > found[each.what].used:
            found[each.what] = each
    return tuple(sorted(found.values(), key=lambda each: -each.used))


def _rows(node: Node) -> Iterator[FileSystem]:
    for result in node.evidence.commands:
        if result.argv[:1] != ("df",):
            continue
        what = "inodes" if "i" in result.argv[1] else "space"
        for number, line in enumerate(result.stdout.splitlines(), 1):
            columns = line.split(maxsplit=_COLUMNS - 1)
            if len(columns) == _COLUMNS and _SHARE.fullmatch(columns[4]):
                said = Evidence(source=" ".join(result.argv), line=number, text=line.strip())
                used = int(columns[4].rstrip("%"))
                yield FileSystem(mount=columns[5].strip(), used=used, what=what, evidence=said)
