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
    """How a child ended, what it printed, and what it took, with its own children."""

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
    status, usage = _waited(child)
    return Ran(
        exit=os.waitstatus_to_exitcode(status),
        printed=prints.read_bytes(),
        seconds=time.monotonic() - began,
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


def _waited(child: subprocess.Popen[bytes]) -> tuple[int, resource.struct_rusage]:
    """Return a child's status and usage, when it has ended or was killed with all it started."""
    killer = threading.Timer(KILL_AFTER, os.killpg, (child.pid, signal.SIGKILL))
    killer.start()
    try:
        _, status, usage = os.wait4(child.pid, 0)
    finally:
        killer.cancel()
    child.returncode = os.waitstatus_to_exitcode(status)
    return status, usage
