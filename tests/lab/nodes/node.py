"""A node of the lab: a machine in namespaces, which tests can break."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tests.lab.control_plane.control_plane import ADDRESS, BRIDGE, ControlPlane
from tests.lab.nodes import node_init, sshd
from tests.lab.nodes.cgroups import Cgroup
from tests.lab.nodes.containerd_config import PATH as CONTAINERD_CONFIG
from tests.lab.nodes.daemons import Daemon, await_network, in_network, start, wait_for
from tests.lab.nodes.node_files import (
    IMAGES,
    INSIDE,
    PATHS,
    NodeSpec,
    kubelet_command,
    write_files,
)
from tests.lab.nodes.systemd_units import write_units
from tests.lab.parts import images
from tests.lab.parts.python_root import launcher, python_root
from tests.lab.rounds.healing import heal, remember
from tests.lab.workplace import Workplace

SECONDS = 60
CHECKPOINT = "/var/lib/kubelet/device-plugins/kubelet_internal_checkpoint"
"""The kubelet writes it whenever a device plugin sends its devices."""

# As the kernel cuts it.
PLUGIN_PROCESS = "nvidia-device-plugin"[:15]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A running node.

    ``init`` is the process ID of its PID 1 on the machine; ``group`` holds all its processes.
    """

    FROZEN: ClassVar = "/sys/fs/cgroup/freezer/lab-frozen"

    spec: NodeSpec
    control: ControlPlane
    outer: Daemon
    init: int
    group: Cgroup
    folder: Path

    @property
    def name(self) -> str:
        """Its name in the cluster."""
        return self.spec.name

    def run(
        self, argv: Sequence[str], *, text: str | None = None, seconds: float = SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the node, with ``text`` on its standard input; never raises on exit."""
        return subprocess.run(
            self.entered(argv),
            input=text,
            check=False,
            capture_output=True,
            text=True,
            timeout=seconds,
        )

    def entered(self, argv: Sequence[str]) -> list[str]:
        """Return the command that runs ``argv`` in the node."""
        enter = ["nsenter", f"--target={self.init}", "--all", "--root", "--wd=/", "--"]
        return [*enter, "env", "-i", f"PATH={PATHS}", "HOME=/root", *argv]

    def must(self, *argv: str, text: str | None = None) -> str:
        """Run a command that has to succeed, and return its output."""
        done = self.run(argv, text=text)
        assert done.returncode == 0, f"{self.name}: {argv}: {done.stdout}{done.stderr}"
        return done.stdout

    def read(self, path: str) -> str:
        """Return a file of the node."""
        return self.must("cat", path)

    def write(self, path: str, text: str) -> None:
        """Write a file of the node, as a program there would: never below its overlay."""
        self.must("mkdir", "-p", str(Path(path).parent))
        self.must("tee", path, text=text)

    def remove(self, *paths: str) -> None:
        """Remove files or folders of the node."""
        self.must("rm", "-rf", *paths)

    def stop(self, name: str) -> None:
        """Stop a daemon (containerd or kubelet) until it is started again."""
        if self.spec.systemd:
            self.must("systemctl", "stop", name)
        else:
            self.must("touch", f"/run/lab/stop-{name}")
            self.must("sh", "-c", f"kill $(cat /run/lab/{name}.pid) || true")
        wait_for(lambda: not self.pids(name), f"{name} to stop on {self.name}", self.outer)

    def start(self, name: str) -> None:
        """Start a daemon that was stopped."""
        if self.spec.systemd:
            self.must("systemctl", "start", name)
        else:
            self.remove(f"/run/lab/stop-{name}")
        wait_for(lambda: self.pids(name), f"{name} to start on {self.name}", self.outer)

    def start_kubelet(self) -> None:
        """Start the kubelet that was stopped, and wait until the running plugin told it the GPUs.

        Until then it rejects pods that want one, while the API still shows the old number.
        """
        ask = ["stat", "--format=%y", CHECKPOINT]
        before = self.run(ask).stdout
        self.start("kubelet")
        if self.pids(PLUGIN_PROCESS):
            wait_for(lambda: self.run(ask).stdout != before, "the device plugin", self.outer)

    def restart(self, name: str) -> None:
        """Stop and start a daemon."""
        self.stop(name)
        self.start(name)

    def pids(self, name: str) -> list[int]:
        """Return the processes of a program on the node, by their IDs there."""
        return [int(pid) for pid in self.run(["pgrep", "-x", name]).stdout.split()]

    def log(self, name: str, lines: int = 30) -> str:
        """Return the end of a daemon's log."""
        if self.spec.systemd:
            argv = ["journalctl", "--no-pager", "--lines", str(lines), "--unit", name]
        else:
            argv = ["tail", f"--lines={lines}", f"/var/log/{name}.log"]
        return self.run(argv).stdout

    def reset_containerd_config(self) -> None:
        """Put the healthy configuration back; takes effect with a restart of containerd."""
        self.must("sh", "-c", "rm -f /etc/containerd/conf.d/*")
        self.write(CONTAINERD_CONFIG, self.spec.config.text())

    def remove_image(self, name: str) -> None:
        """Take an image from the node; there is no registry to pull it from."""
        self.must("crictl", "rmi", name)

    def restore_images(self) -> None:
        """Put all images of the lab back."""
        self.remove("/var/lib/containerd/lab-imported")
        self.must(f"{INSIDE}/import-images")

    def set_nvml(self, **settings: object) -> None:
        """Set faults of the mock NVML, such as ``init=18``; none: healthy. See native/nvml.c."""
        assert self.spec.gpus, f"{self.name} has no GPUs"
        wanted = {"gpus": self.spec.gpus.count, "driver": self.spec.gpus.version, **settings}
        lines = [f"{name}={value}\n" for name, value in wanted.items()]
        self.write(self.spec.gpus.settings, "".join(lines))

    def set_plugin(self, **settings: object) -> None:
        """Set what the device plugin says, such as ``unhealthy=["0"]``; none: healthy."""
        self.write("/etc/nvidia-lab/plugin.json", json.dumps(settings))

    def freeze_nvml(self) -> None:
        """Let every process freeze for good that asks NVML from now on; not even SIGKILL helps."""
        self.must("mkdir", "-p", self.FROZEN)
        self.must("tee", f"{self.FROZEN}/freezer.state", text="FROZEN")
        self.set_nvml(hang=self.FROZEN)

    def thaw_nvml(self) -> None:
        """Heal NVML, and let what was frozen end."""
        self.set_nvml()
        self.must("sh", "-c", f"kill -KILL $(cat {self.FROZEN}/cgroup.procs) 2>/dev/null; true")
        self.must("tee", f"{self.FROZEN}/freezer.state", text="THAWED")

    def heal(self) -> None:
        """Put back whatever was broken: files, devices, kernel trees, daemons, images."""
        heal(self)

    def object(self) -> Any:
        """Return its Node object, ``None`` before the kubelet registered it."""
        return self.control.api.find(f"/api/v1/nodes/{self.name}")

    def is_ready(self) -> bool:
        """Say whether the cluster calls it Ready."""
        conditions = (self.object() or {}).get("status", {}).get("conditions", ())
        return any(x["type"] == "Ready" and x["status"] == "True" for x in conditions)

    def await_ready(self, seconds: float = 180) -> None:
        """Wait until the cluster calls it Ready."""
        wait_for(self.is_ready, f"{self.name} to be Ready", self.outer, seconds=seconds)

    def allocatable(self, resource: str = "nvidia.com/gpu") -> int:
        """Return how many of a resource the scheduler may give away here."""
        return int((self.object() or {})["status"]["allocatable"].get(resource, 0))


def start_node(spec: NodeSpec, control: ControlPlane) -> Node:
    """Start a node; it needs some seconds more to become Ready."""
    workplace = control.workplace
    folder = workplace.folder / "nodes" / spec.name
    for name in ("upper", "work", "root", "containerd", "kubelet", "log"):
        (folder / name).mkdir(parents=True)
    write_files(spec, control, folder / "upper")
    if spec.systemd:
        write_units(folder / "upper", _daemons(spec))
    (folder / "spec.json").write_text(json.dumps(_init_spec(spec, folder)))
    remember(folder)
    group = Cgroup(name=f"{workplace.cgroup.name}/{spec.name}")
    group.create()
    outer = _start_namespaces(workplace, group, folder)
    init = _child(outer)
    _connect(spec, control, outer, init)
    assert outer.process.stdin
    outer.process.stdin.write(b"go\n")
    outer.process.stdin.flush()
    return Node(spec=spec, control=control, outer=outer, init=init, group=group, folder=folder)


def _start_namespaces(workplace: Workplace, group: Cgroup, folder: Path) -> Daemon:
    kinds = ("--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup")
    # Not the Python of the tests: it may lie where a node does not look.
    python = launcher(python_root(), str(python_root()))
    program = [*python, "-I", node_init.__file__, str(folder / "spec.json")]
    argv = ["unshare", *kinds, "--fork", "--kill-child", "--", *program]
    return start(workplace, folder / "init.log", group.joined(argv), stdin=subprocess.PIPE)


def _child(outer: Daemon) -> int:
    """Return the only child of ``unshare``: the node's PID 1."""
    children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
    found = wait_for(lambda: children.read_text().split(), "the node's init", outer)
    return int(found[0])


def _connect(spec: NodeSpec, control: ControlPlane, outer: Daemon, init: int) -> None:
    """Join the node to the control plane's bridge; both ends lie in namespaces of the lab."""
    await_network(outer, init)
    inner, port = control.network.pid, f"v-{spec.name}"
    ends = ["type", "veth", "peer", "name", "eth0", "netns", str(init)]
    in_network(inner, "ip", "link", "add", port, *ends)
    in_network(inner, "ip", "link", "set", port, "master", BRIDGE, "up")
    in_network(inner, "ip", "route", "replace", spec.pods, "via", spec.address)
    in_network(init, "ip", "link", "set", "lo", "up")
    in_network(init, "ip", "address", "add", f"{spec.address}/24", "dev", "eth0")
    in_network(init, "ip", "link", "set", "eth0", "up")
    in_network(init, "ip", "route", "add", "default", "via", ADDRESS)
    # The kubelet asks clouds' metadata services where it is: it must not wait for an answer.
    in_network(init, "ip", "route", "add", "unreachable", "169.254.0.0/16")
    in_network(init, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")


def _init_spec(spec: NodeSpec, folder: Path) -> dict[str, Any]:
    trees = spec.gpus.write_trees(folder / "trees") if spec.gpus else {}
    return {
        "name": spec.name,
        "folder": str(folder),
        "systemd": spec.systemd,
        "devices": spec.gpus.device_nodes() if spec.gpus else [],
        "environment": {"PATH": PATHS, "HOME": "/root", "container": "lab"},
        "daemons": _daemons(spec),
        "binds": {
            "/var/lib/containerd": str(folder / "containerd"),
            "/var/lib/kubelet": str(_kubelet_folder(folder)),
            "/var/log": str(folder / "log"),
            IMAGES: str(images.archive().parent),
            **trees,
        },
    }


def _kubelet_folder(folder: Path) -> Path:
    """Move the kubelet's own files out of the overlay: pods' volumes want a plain file system."""
    (folder / "upper/var/lib/kubelet/config.yaml").rename(folder / "kubelet/config.yaml")
    return folder / "kubelet"


def _daemons(spec: NodeSpec) -> dict[str, list[str]]:
    """Return name and command of each daemon, in the order of their start."""
    imports = ["/bin/sh", "-c", f"{INSIDE}/import-images; exec sleep infinity"]
    return {
        "containerd": ["/usr/bin/containerd", "--config", CONTAINERD_CONFIG],
        "images": imports,
        "kubelet": kubelet_command(spec),
        "sshd": ["/bin/sh", "-c", f"mkdir -p /run/sshd; exec {' '.join(sshd.COMMAND)}"],
    }
