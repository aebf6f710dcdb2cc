"""Repairing a node: restores everything that the lab wrote and a test broke."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.nodes.containerd_config import NVIDIA_RUNTIME
from tests.lab.nodes.containerd_config import PATH as CONTAINERD_CONFIG
from tests.lab.nodes.daemons import wait_for
from tests.lab.nodes.fake_gpu import SMI
from tests.lab.parts.images import PAUSE, PYTHON

if TYPE_CHECKING:
    from tests.lab.nodes.node import Node

FILES = "healthy.tar"
TREES = "healthy-trees"
# What a fault may touch; Debian's own large programs are not kept twice.
KEPT = ("etc", "usr/local", "usr/lib", NVIDIA_RUNTIME.lstrip("/"), SMI.lstrip("/"))
DROP_INS = "/etc/containerd/conf.d"


def remember(folder: Path) -> None:
    """Keep the healthy state of a node that has not started yet."""
    upper = folder / "upper"
    kept = [name for name in KEPT if (upper / name).exists()]
    argv = ["/usr/bin/tar", "--create", "--file", str(folder / FILES), "--exclude=usr/lib/cni"]
    subprocess.run([*argv, *kept], check=True, cwd=upper, timeout=60)
    if (folder / "trees").exists():
        shutil.copytree(folder / "trees", folder / TREES, symlinks=True)


def heal(node: Node) -> None:
    """Put back files, device nodes, kernel trees, daemons and images.

    Files that a test added elsewhere stay. Returns when the node is Ready and its runtime serves.
    """
    before = node.run(["cat", CONTAINERD_CONFIG, *_drop_ins(node)]).stdout
    _thaw(node)
    _restore_files(node)
    _restore_trees(node)
    _restore_devices(node)
    if node.read(CONTAINERD_CONFIG) != before and node.pids("containerd"):
        node.stop("containerd")
    if not node.pids("containerd"):
        node.start("containerd")
    wait_for(lambda: node.run(["crictl", "version"]).returncode == 0, "the CRI", node.outer)
    listed = node.must("crictl", "images")
    if PAUSE not in listed or PYTHON not in listed:
        node.restore_images()
    if not node.pids("kubelet"):
        node.start_kubelet()
    node.await_ready()


def _drop_ins(node: Node) -> list[str]:
    names = node.run(["ls", DROP_INS]).stdout.split()
    return [f"{DROP_INS}/{name}" for name in names]


def _thaw(node: Node) -> None:
    if node.run(["test", "-d", node.FROZEN]).returncode == 0:
        node.thaw_nvml()


def _restore_files(node: Node) -> None:
    node.must("sh", "-c", f"rm -rf {DROP_INS}/* /etc/nvidia-lab/* /etc/nvidia-container-runtime")
    with (node.folder / FILES).open("rb") as file:
        argv = node.entered(["tar", "--extract", "--overwrite", "--directory", "/"])
        subprocess.run(argv, check=True, stdin=file, timeout=60)


def _restore_trees(node: Node) -> None:
    """Fill the mounted folders and files anew; they themselves must stay the same ones."""
    healthy = node.folder / TREES
    for kept in healthy.iterdir() if healthy.exists() else ():
        shown = node.folder / "trees" / kept.name
        if kept.is_file():
            shown.write_bytes(kept.read_bytes())
            continue
        for path in shown.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        shutil.copytree(kept, shown, symlinks=True, dirs_exist_ok=True)


def _restore_devices(node: Node) -> None:
    for name, major, minor in node.spec.gpus.device_nodes() if node.spec.gpus else ():
        if node.run(["test", "-e", f"/dev/{name}"]).returncode:
            node.must("mknod", "--mode=666", f"/dev/{name}", "c", str(major), str(minor))
