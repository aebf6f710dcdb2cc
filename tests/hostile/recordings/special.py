"""Links, pipes, sockets and devices where a file is expected, and files of absurd sizes."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

from tests.cluster.recording.test_hostile import LINKS
from tests.hostile.inputs import Input
from tests.hostile.recordings.overlays import Content, refused

IS_LINK = "is a symbolic link, which a recording must not hold"
NOT_REGULAR = "is not a regular file"


def link(target: str) -> Callable[[Path], None]:
    """Return what puts a link into a file's place."""

    def make(path: Path) -> None:
        path.unlink(missing_ok=True)
        path.symlink_to(target)

    return make


def _fifo(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        # The name of a socket has room for 108 bytes.
        short = Path(f"/proc/self/fd/{(folder := os.open(path.parent, os.O_RDONLY))}")
        server.bind(str(short / path.name))
        os.close(folder)


def sparse(size: int, start: bytes = b"") -> Callable[[Path], None]:
    """Return what writes a large file that takes no room: zeros after its start."""

    def make(path: Path) -> None:
        path.write_bytes(start)
        os.truncate(path, size)

    return make


def one_line(size: int) -> Callable[[Path], None]:
    """Return what writes one long line, a piece at a time."""

    def make(path: Path) -> None:
        with path.open("wb") as file:
            for _ in range(size >> 20):
                file.write(b"x" * 2**20)

    return make


def _linked(number: int, name: str) -> Input:
    where = name.replace("nodes/n", "nodes/gpu-1", 1)
    says = f"{where}: {IS_LINK}"
    return refused(f"link-{number}-{name.rpartition('/')[2]}", {where: link("/etc/shadow")}, says)


PLACES = ("recording.yaml", "kubernetes/pods.yaml", "N/nvml.json", "/etc/containerd/config.toml")
LARGE = 100 * 2**20


def _in_place(kind: str, content: Content, says: str) -> list[Input]:
    return [
        refused(f"{kind}-{place.rpartition('/')[2]}", {place: content}, says) for place in PLACES
    ]


INPUTS = (
    *(_linked(number, name) for number, name in enumerate(LINKS) if name != "nodes"),
    refused("link-loop", {"/etc/a": link("b"), "/etc/b": link("a")}, IS_LINK),
    refused("link-outside", {"/etc/a": link("../../../../../..")}, IS_LINK),
    refused("link-to-itself", {"kubernetes/pods.yaml": link("pods.yaml")}, IS_LINK),
    *_in_place("fifo", _fifo, NOT_REGULAR),
    refused("socket", {"/etc/containerd/config.toml": _socket}, NOT_REGULAR),
    refused("folder-for-file", {"N/nvml.json": lambda path: path.mkdir()}, NOT_REGULAR),
    *_in_place("zeros-100-MiB", sparse(LARGE), "is larger than 64 MiB"),
    refused("line-100-MiB", {"kubernetes/pods.yaml": one_line(LARGE)}, "is larger than 64 MiB"),
    refused(
        "line-60-MiB",
        {"kubernetes/pods.yaml": one_line(60 * 2**20)},
        "pods.yaml: is text, must be a mapping",
    ),
    refused(
        "zeros-60-MiB",
        {"kubernetes/pods.yaml": sparse(60 * 2**20)},
        "pods.yaml: is not valid YAML: unacceptable character",
    ),
    refused(
        "nvml-60-MiB",
        {"N/nvml.json": sparse(60 * 2**20, b'{"a": "')},
        "nvml.json: is not valid JSON: Invalid control character",
    ),
    refused("folders-without-end", {"/" + "a/" * 70 + "x": "x"}, "is deeper than 64 folders"),
)
