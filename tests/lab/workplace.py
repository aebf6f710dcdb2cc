"""The folder of one lab, and removing labs whose run was killed."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tests.lab.nodes.cgroups import PREFIX, Cgroup
from tests.lab.parts.debian import locked

BASE = Path("/var/tmp/pytest-gpu-lab")  # noqa: S108 - folders below it are root's own, mode 0700
LOCK = ".lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """All that one lab has on this machine: a folder, a cgroup, a lock held while it runs."""

    folder: Path
    lock: IO[str]
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def cgroup(self) -> Cgroup:
        """The group of all processes of this lab."""
        return group_of(self.folder)

    def log(self, name: str) -> Path:
        """Return the file for a daemon's output."""
        return self.folder / "log" / f"{name}.log"

    def close(self) -> None:
        """End and remove everything."""
        destroy(self.folder)
        for child in self.children:
            child.communicate()
        _give_up(self.folder, self.lock)


def group_of(folder: Path) -> Cgroup:
    """Return the cgroup of the lab in ``folder``."""
    return Cgroup(name=PREFIX + folder.name)


def open_workplace(base: Path = BASE) -> Workplace:
    """Sweep the labs that were killed, then make a new one's folder and cgroup."""
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(base / "sweep.lock"):
        sweep(base)
        folder = base / secrets.token_hex(2)
        lock = _lock_of(folder)
        folder.mkdir(mode=0o700)
    assert lock, f"{folder} is new and already locked"
    workplace = Workplace(folder=folder, lock=lock)
    (folder / "log").mkdir()
    workplace.cgroup.create()
    return workplace


def sweep(base: Path = BASE) -> tuple[str, ...]:
    """Remove every lab below ``base`` that nobody holds any more; return their names.

    The kernel gives up the lock of a process that dies, however it dies.
    """
    swept = []
    for folder in sorted(path for path in base.iterdir() if path.is_dir()):
        if lock := _lock_of(folder):
            if folder.exists():
                destroy(folder)
                swept.append(folder.name)
            _give_up(folder, lock)
    return tuple(swept)


def destroy(folder: Path) -> None:
    """End the processes of the lab in ``folder``, undo its mounts, remove its cgroup and files."""
    group_of(folder).remove()
    for mount in _mounts_below(folder):
        subprocess.run(["/usr/bin/umount", "--lazy", str(mount)], check=True, timeout=60)
    # Never through a mount: it might show the machine's own root.
    assert not _mounts_below(folder), f"mounts are left below {folder}"
    shutil.rmtree(folder)


def _mounts_below(folder: Path) -> list[Path]:
    """Return mounts in our own namespace, inner ones first; those of nodes end with the nodes."""
    rows = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [Path(row[1]) for row in reversed(rows) if Path(row[1]).is_relative_to(folder)]


def _lock_of(folder: Path) -> IO[str] | None:
    """Return the lock of the lab in ``folder``, ``None`` while another process holds it.

    It lies beside the folder: it has to be there until the last file of the folder is gone.
    """
    file = folder.with_suffix(LOCK)
    lock = os.fdopen(os.open(file, os.O_RDWR | os.O_CREAT, 0o600), "r+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock


def _give_up(folder: Path, lock: IO[str]) -> None:
    folder.with_suffix(LOCK).unlink(missing_ok=True)
    lock.close()
