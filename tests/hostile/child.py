"""A child process, run to its end or killed, and what it took."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

KILL_AFTER = 30.0
"""Seconds after which a child is killed: it is over any limit by then."""

MOST_MEMORY = 8 * 2**30
"""Address space that a child may have at most, to protect the machine."""

MOST_WRITTEN = 256 * 2**20
"""Bytes that a child may write into one file at most."""


@dataclass(frozen=True, kw_only=True)
class Ran:
    """How a child ended, what it printed, and what it took, with its own children.

    ``seconds`` is the time that passed, without the time in which it waited for a processor: the
    machine may be busy with something else. ``peak`` is at least what this process has, since the
    kernel hands that figure on.
    """

    exit: int
    printed: bytes
    seconds: float
    cpu: float
    peak: int


def run(words: Sequence[str], *, folder: Path, environment: Mapping[str, str], prints: Path) -> Ran:
    """Run a command in a folder; its standard output and error go to one file."""
    began = time.monotonic()
    with prints.open("wb") as output:
        child = subprocess.Popen(
            words,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    _limit(child.pid)
    queued = _ended(child)
    seconds = time.monotonic() - began - queued
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return Ran(
        exit=child.returncode,
        printed=prints.read_bytes(),
        seconds=seconds,
        cpu=usage.ru_utime + usage.ru_stime,
        peak=usage.ru_maxrss * 1024,
    )


def _limit(pid: int) -> None:
    for kind, most in (
        (resource.RLIMIT_AS, MOST_MEMORY),
        (resource.RLIMIT_FSIZE, MOST_WRITTEN),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.prlimit(pid, kind, (most, most))


def _ended(child: subprocess.Popen[bytes]) -> float:
    """Wait for the end of a child, or kill all it started; return how long it was queued."""
    killer = threading.Timer(KILL_AFTER, os.killpg, (child.pid, signal.SIGKILL))
    killer.start()
    try:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    finally:
        killer.cancel()
    return _queued(Path(f"/proc/{child.pid}/schedstat"))


def _queued(schedstat: Path) -> float:
    """Return how many seconds a process waited for a processor; 0 where Linux does not count."""
    try:
        return int(schedstat.read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0
