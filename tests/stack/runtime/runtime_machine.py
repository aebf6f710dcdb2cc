"""A made-up node with its containerd: healthy by default and easy to break in one place."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_gpu.evidence import ElfSummary
from pytest_gpu.run.node_face import GpuNode
from tests.stack.containerd.test_merge import CONFIG, handler
from tests.support.fake_evidence import Command, FakeCluster, FakeNode, node_object

SOCKET = "/run/containerd/containerd.sock"
NVIDIA = "/usr/bin/nvidia-container-runtime"
HEALTHY = (
    "version = 2\n" + handler("runc", systemd=True) + handler("nvidia", binary=NVIDIA, systemd=True)
)
KUBELET_CONFIG = "/var/lib/kubelet/config.yaml"
KUBELET = f"/usr/bin/kubelet --container-runtime-endpoint=unix://{SOCKET} --config={KUBELET_CONFIG}"
STARTED = 1_000_001.0
HOOK = "/usr/bin/nvidia-container-runtime-hook"
CLI = "/usr/bin/nvidia-container-cli"
LIBRARY = "/usr/lib/x86_64-linux-gnu/libnvidia-container.so.1"
LIBC = "/usr/lib/x86_64-linux-gnu/libc.so.6"
LOADER = "/lib64/ld-linux-x86-64.so.2"
ROOT = "22 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw\n"
HOST = {
    "/proc/1/mountinfo": ROOT,
    LOADER: "ELF",
    "/bin/sh": "ELF",
    "/usr/bin/runc": "ELF",
    "/usr/lib/x86_64-linux-gnu/libcap.so.2": "ELF",
    "/etc/ld.so.conf": "",
    "/proc/1/cmdline": "/sbin/init",
}
"""What every host has; a test may put something else in its place."""
LINKS = {"/proc/1/exe": "/usr/lib/systemd/systemd"}
LIBRARY_FOLDERS = (
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib64",
    "/lib/x86_64-linux-gnu",
    "/lib64",
    "/usr/lib",
    "/lib",
)
LISTED = ("/usr/local/nvidia", "/etc/nvidia-container-runtime", "/etc/cdi")


def program(path: str, **changes: Any) -> ElfSummary:
    """Return the summary of a program for this host, apart from the changes."""
    values: dict[str, Any] = {
        "path": path,
        "machine": "x86-64",
        "interpreter": LOADER,
        "needed": ("libc.so.6",),
        "versions": {"libc.so.6": ("GLIBC_2.14",)},
    }
    return ElfSummary(**{**values, **changes})


def installed() -> dict[str, ElfSummary]:
    """Return the summaries of a toolkit that a package brought, and of the host's libc."""
    library = program(LIBRARY, interpreter=None, needed=("libcap.so.2", "libc.so.6"))
    libc = program(LIBC, versions={}, needed=(), defines=("GLIBC_2.2.5", "GLIBC_2.35"))
    programs = [program(NVIDIA), program(HOOK), program(CLI), library, libc]
    return {each.path: each for each in programs}


def process(pid: int, argv: str, inode: int | None = None) -> dict[str, Any]:
    """Return a process's folder as FakeNode arguments: files and links."""
    words = argv.split()
    links = {f"/proc/{pid}/exe": words[0]}
    if inode:
        links[f"/proc/{pid}/fd/3"] = f"socket:[{inode}]"
    stat = f"{pid} (x) S 1 {pid} {pid} 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 100 0 0"
    files = {f"/proc/{pid}/cmdline": "\0".join(words), f"/proc/{pid}/stat": stat}
    return {"files": files, "links": links, "complete": [f"/proc/{pid}/fd"]}


@dataclass
class Machine:
    """The parts of a node that the runtime layer reads; tests change one and ask for the node.

    ``live`` are the handlers that crictl info names; ``loaded`` is its whole configuration instead.
    """

    files: dict[str, str] = field(default_factory=lambda: {CONFIG: HEALTHY})
    kubelet: str | None = KUBELET
    kubelet_config: str = "cgroupDriver: systemd\n"
    containerds: dict[str, str] = field(default_factory=lambda: {SOCKET: "/usr/bin/containerd"})
    others: Sequence[str] = ()
    live: Sequence[str] | None = ("nvidia", "runc")
    loaded: dict[str, Any] | None = None
    info_error: str = ""
    version: str = "1.7.24"
    binaries: Sequence[str] = (NVIDIA, HOOK, CLI)
    objects: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    elf: dict[str, ElfSummary] = field(default_factory=installed)
    host: dict[str, str] = field(default_factory=lambda: dict(HOST))
    links: dict[str, str] = field(default_factory=lambda: dict(LINKS))
    modes: dict[str, int | None] = field(default_factory=dict)
    mtimes: dict[str, float] = field(default_factory=dict)
    commands: list[Command] = field(default_factory=list)
    kubelet_version: str = "v1.31.2"
    listed: Sequence[str] = ()

    def node(self) -> GpuNode:
        """Return the node as it is now."""
        node_info = node_object("gpu-1")
        node_info["status"]["nodeInfo"] |= {
            "kubeletVersion": self.kubelet_version,
            "containerRuntimeVersion": f"containerd://{self.version}",
        }
        objects = {"nodes": [node_info], "daemonsets": [], "pods": [], **self.objects}
        return GpuNode("gpu-1", FakeCluster(nodes={"gpu-1": self._evidence()}, objects=objects))

    def _evidence(self) -> FakeNode:
        files = {**self.host, **self.files, "/proc/stat": "btime 1000000\n"}
        files["/proc/net/unix"] = self._unix()
        files[KUBELET_CONFIG] = self.kubelet_config
        files = {**dict.fromkeys(self.binaries, "ELF"), **files}
        links = {**LINKS, **self.links}
        complete = ["/proc", "/etc/containerd", "/etc/containerd/conf.d", "/usr/bin", "/etc/docker"]
        for folder in self._processes():
            files |= folder["files"]
            links |= folder["links"]
            complete += folder["complete"]
        return FakeNode(
            files=files,
            links=links,
            complete=[*complete, *self.listed, *LISTED, *LIBRARY_FOLDERS],
            absent=["/var/run/cdi"],
            elf={p: e for p, e in self.elf.items() if p in self.binaries or "/nvidia-c" not in p},
            modes=self.modes,
            mtimes=self.mtimes,
            commands=[*self.commands, *self._info()],
        )

    def _processes(self) -> list[dict[str, Any]]:
        inodes = {path: 4700 + at for at, path in enumerate(self.containerds)}
        found = [process(100 + at, argv) for at, argv in enumerate(self.others)]
        found += [process(i, self.containerds[path], i) for path, i in inodes.items()]
        return [*found, process(50, self.kubelet)] if self.kubelet else found

    def _unix(self) -> str:
        head = "Num RefCount Protocol Flags Type St Inode Path\n"
        lines = (
            f"0000: 00000002 00000000 00010000 0001 01 {4700 + at} {path}\n"
            for at, path in enumerate(self.containerds)
        )
        return head + "".join(lines)

    def _info(self) -> list[Command]:
        argv = f"/usr/local/bin/crictl --runtime-endpoint unix://{SOCKET} info"
        if self.info_error:
            return [(argv, 1, "", self.info_error)]
        if self.live is None:
            return []
        runtimes: dict[str, Any] = {name: {} for name in self.live}
        config = {"containerd": {"runtimes": runtimes}}
        info = {"config": self.loaded or config}
        return [(argv, 0, json.dumps(info), "")]
