"""A control group of the lab in every hierarchy of the machine (cgroup v1).

All processes of a lab live below its group: that is how a killed lab is found and ended whole.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.lab.parts.debian import Missing

PREFIX = "pytest-gpu-lab-"
SECONDS = 20.0

# Joins the groups named before "--", then becomes the command named behind it.
_JOIN = (
    'while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs" || exit 1; shift; done; shift; exec "$@"'
)


def hierarchies() -> tuple[Path, ...]:
    """Return where the machine mounts its cgroup hierarchies.

    Raises:
        Missing: the machine has cgroup v2 only; the lab's nodes are made for v1.
    """
    rows = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    found = tuple(Path(row[1]) for row in rows if row[2] in {"cgroup", "cgroup2"})
    if not any(path.name == "memory" for path in found):
        raise Missing("needs the cgroup v1 hierarchies (memory, cpu, pids, …)")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Cgroup:
    """One group, at the same path in every hierarchy; ``name`` is that path, such as ``a/b``."""

    name: str

    @property
    def folders(self) -> tuple[Path, ...]:
        """The group's directory in each hierarchy."""
        return tuple(root / self.name for root in hierarchies())

    def create(self) -> None:
        """Make the group; a cpuset needs processors and memory before anyone can join."""
        for folder in self.folders:
            folder.mkdir(exist_ok=True)
            for name in ("cpuset.cpus", "cpuset.mems"):
                if (folder / name).exists():
                    (folder / name).write_text((folder.parent / name).read_text())
            if (folder / "cgroup.clone_children").exists():
                (folder / "cgroup.clone_children").write_text("1")

    def joined(self, argv: list[str]) -> list[str]:
        """Return the command that runs ``argv`` in this group."""
        return ["/bin/sh", "-c", _JOIN, "sh", *map(str, self.folders), "--", *argv]

    def pids(self) -> set[int]:
        """Return all processes in this group and below it."""
        return {pid for folder in self.folders for pid in _pids(folder)}

    def remove(self) -> None:
        """End every process in the group, also frozen ones, and remove it.

        Raises:
            TimeoutError: processes are left.
        """
        deadline = time.monotonic() + SECONDS
        while pids := self.pids():
            if time.monotonic() > deadline:
                raise TimeoutError(f"processes of {self.name} do not end: {sorted(pids)}")
            self._thaw()
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        for folder in self.folders:
            for below in _depth_first(folder):
                _rmdir(below, deadline)

    def _thaw(self) -> None:
        """A frozen process does not die before it is thawed."""
        for folder in self.folders:
            for state in folder.rglob("freezer.state"):
                with suppress(OSError):
                    state.write_text("THAWED")


def _pids(folder: Path) -> Iterator[int]:
    for file in folder.rglob("cgroup.procs"):
        with suppress(OSError):
            yield from map(int, file.read_text().split())


def _depth_first(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    below = [Path(path) for path, _, _ in os.walk(folder)]
    return sorted(below, key=lambda path: len(path.parts), reverse=True)


def _rmdir(folder: Path, deadline: float) -> None:
    """Remove one directory; the kernel needs a moment after the last process is gone."""
    while True:
        try:
            return folder.rmdir()
        except FileNotFoundError:
            return None
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
