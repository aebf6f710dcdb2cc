"""Run as a program: PID 1 of a node, in mount, PID, UTS, IPC, network and cgroup namespaces.

``node_init.py SPEC``: makes the node's root (an overlay over the machine's), its /dev, /run, /sys
and /proc, enters it, waits for a line on standard input (the network is there), and then keeps
the daemons of the spec running, or becomes systemd. A daemon is left alone while the file
``/run/lab/stop-NAME`` exists. Only the standard library: the machine's packages may be out of
sight in here.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

CONTROLLERS = ("cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids")
DEVICES = {
    "null": (1, 3),
    "zero": (1, 5),
    "full": (1, 7),
    "random": (1, 8),
    "urandom": (1, 9),
    "kmsg": (1, 11),
    "tty": (5, 0),
    "fuse": (10, 229),
}
LINKS = {"ptmx": "pts/ptmx", "fd": "/proc/self/fd"}
LINKS |= {name: f"fd/{number}" for number, name in enumerate(("stdin", "stdout", "stderr"))}
# The kubelet and systemd set these for the whole machine: here they set files of this node.
SYSCTLS = (
    *("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops"),
    *("kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes", "kernel/core_pattern"),
    *("kernel/pid_max", "fs/nr_open", "fs/file-max"),
)
LAB = Path("/run/lab")


def mount(*arguments: object) -> None:
    """Run the mount command."""
    subprocess.run(["/usr/bin/mount", *map(str, arguments)], check=True)


def bind(source: object, target: Path) -> None:
    """Show a file or folder at another place; the place is made if need be."""
    if not target.exists():
        if Path(str(source)).is_dir():
            target.mkdir(parents=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
    mount("--bind", source, target)


def make_root(spec: dict[str, Any]) -> Path:
    """Mount the node's root and what belongs below it; return where it is."""
    folder = Path(spec["folder"])
    root = folder / "root"
    layers = f"lowerdir=/,upperdir={folder / 'upper'},workdir={folder / 'work'}"
    mount("--make-rprivate", "/")
    mount("-t", "overlay", "overlay", "-o", layers, root)
    mount("-t", "proc", "proc", root / "proc")
    mount("-t", "sysfs", "sysfs", root / "sys")
    make_cgroups(root / "sys/fs/cgroup")
    make_devices(root / "dev", spec["devices"])
    for name in ("run", "tmp"):
        mount(
            "-t", "tmpfs", "-o", "mode=755" if name == "run" else "mode=1777", "tmpfs", root / name
        )
    for target, source in spec["binds"].items():
        bind(source, root / target.lstrip("/"))
    make_sysctls(root)
    return root


def make_cgroups(folder: Path) -> None:
    """Mount the cgroup hierarchies as the node's own cgroup namespace shows them."""
    mount("-t", "tmpfs", "tmpfs", folder)
    for name in CONTROLLERS:
        (folder / name).mkdir()
        mount("-t", "cgroup", "-o", name, "cgroup", folder / name)
    (folder / "systemd").mkdir()
    with suppress(subprocess.CalledProcessError):
        mount("-t", "cgroup", "-o", "none,name=systemd", "cgroup", folder / "systemd")
    (folder / "unified").mkdir()
    with suppress(subprocess.CalledProcessError):
        mount("-t", "cgroup2", "cgroup2", folder / "unified")


def make_devices(folder: Path, more: list[tuple[str, int, int]]) -> None:
    """Make a /dev with the usual nodes and ``more``: name, major, minor."""
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", folder)
    usual = [(name, *numbers) for name, numbers in DEVICES.items()]
    for name, major, minor in [*usual, *more]:
        os.mknod(folder / name, 0o020666, os.makedev(major, minor))
        (folder / name).chmod(0o666)
    for name in ("pts", "shm", "mqueue"):
        (folder / name).mkdir()
    mount("-t", "devpts", "-o", "newinstance,ptmxmode=0666,mode=620", "devpts", folder / "pts")
    mount("-t", "tmpfs", "tmpfs", folder / "shm")
    mount("-t", "mqueue", "mqueue", folder / "mqueue")
    for name, target in LINKS.items():
        (folder / name).symlink_to(target)


def make_sysctls(root: Path) -> None:
    """Put files of the node in the place of sysctls that are not namespaced."""
    for name in SYSCTLS:
        file = root / "run/lab/sysctl" / name.replace("/", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text((Path("/proc/sys") / name).read_text())
        bind(file, root / "proc/sys" / name)


def enter(root: Path, name: str) -> None:
    """Make ``root`` the root of this mount namespace, and forget the machine's."""
    os.chdir(root)
    Path(".old").mkdir(exist_ok=True)
    subprocess.run(["/usr/sbin/pivot_root", ".", ".old"], check=True)
    os.chdir("/")
    subprocess.run(["/usr/bin/umount", "--lazy", "/.old"], check=True)
    Path("/.old").rmdir()
    mount("--make-rshared", "/")
    subprocess.run(["/usr/bin/hostname", name], check=True)


class Supervisor:
    """Starts daemons and starts them again."""

    def __init__(self, daemons: dict[str, list[str]], environment: dict[str, str]) -> None:
        """Know the daemons: name to command."""
        self.daemons = daemons
        self.environment = environment
        self.pids: dict[str, int] = {}

    def run(self) -> None:
        """Keep them running for ever; reap every orphan, as PID 1 must."""
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        while True:
            self.reap()
            for name in self.daemons:
                if name not in self.pids and not (LAB / f"stop-{name}").exists():
                    self.start(name)
            time.sleep(0.2)

    def start(self, name: str) -> None:
        """Start one daemon; its log grows in /var/log."""
        with Path(f"/var/log/{name}.log").open("ab") as log:
            process = subprocess.Popen(
                self.daemons[name],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment,
                start_new_session=True,
            )
        # We reap everything ourselves: the object must not wait for what is gone.
        process.returncode = 0
        self.pids[name] = process.pid
        (LAB / f"{name}.pid").write_text(str(process.pid))

    def reap(self) -> None:
        """Take the exit of every child that ended."""
        with suppress(ChildProcessError):
            while (pid := os.waitpid(-1, os.WNOHANG)[0]) != 0:
                self.pids = {name: own for name, own in self.pids.items() if own != pid}


def main() -> None:
    """Be the program."""
    spec = json.loads(Path(sys.argv[1]).read_text())
    enter(make_root(spec), spec["name"])
    assert sys.stdin.readline(), "the lab went away before it made the network"
    os.environ.clear()
    os.environ.update(spec["environment"])
    if spec["systemd"]:
        arguments = ["--system", "--unit=node.target", "--log-target=journal", "--show-status=no"]
        os.execv("/lib/systemd/systemd", ["/lib/systemd/systemd", *arguments])  # noqa: S606
    Supervisor(spec["daemons"], spec["environment"]).run()


if __name__ == "__main__":
    main()
