"""Which process is responsible for a run's objects, so that leftovers of dead runs are known."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def this_process() -> str:
    """Return an identifier of this process: its place, its ID there, and when it started.

    The place is one boot of one kernel and one PID namespace: the ID is valid only there.
    """
    return f"{_place()}.{os.getpid()}.{_started(os.getpid())}"


def is_dead(owner: str) -> bool:
    """Return whether a process is known to be gone; this is never known of another place."""
    place, _, process = owner.partition(".")
    pid, _, started = process.partition(".")
    if not place or place != _place() or not pid.isdigit():
        return False
    return _started(int(pid)) != started


def pid_of(owner: str) -> int | None:
    """Return the ID of a process that runs here, ``None`` if it is gone or runs elsewhere."""
    place, _, process = owner.partition(".")
    pid, _, started = process.partition(".")
    is_here = bool(place) and place == _place() and pid.isdigit() and bool(started)
    return int(pid) if is_here and _started(int(pid)) == started else None


def _place() -> str:
    """Return a short hash of this kernel's boot and of this PID namespace, empty if unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = Path("/proc/self/ns/pid").readlink()
    except OSError:
        return ""
    return hashlib.sha256(f"{boot} {space}".encode()).hexdigest()[:12]


def _started(pid: int) -> str:
    """Return a process's start time in clock ticks since boot, empty if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    # The program's name is in brackets and may contain anything, also blanks and brackets.
    return stat.rpartition(")")[2].split()[19]
