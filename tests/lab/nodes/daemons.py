"""Long-running processes of the lab: in its cgroup, with a log, ended with the lab."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.workplace import Workplace


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """A started process and its log."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        """The process ID on the machine."""
        return self.process.pid

    def stop(self, seconds: float = 10) -> None:
        """Ask it to end, then kill it."""
        self.process.terminate()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(seconds)

    def tail(self, lines: int = 20) -> str:
        """Return the end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def start(
    place: Workplace, log: Path, argv: Sequence[str], network: int | None = None, **popen: Any
) -> Daemon:
    """Start a daemon, named like its log.

    Args:
        place: the lab, whose cgroup it joins before anything else, and with which it ends.
        log: the file that takes its output.
        argv: the command.
        network: a process in whose network namespace it runs; ``None`` is the machine's.
        **popen: more for :class:`subprocess.Popen`, such as ``pass_fds``.
    """
    enter = [] if network is None else ["nsenter", f"--net=/proc/{network}/ns/net", "--"]
    options = {"stdin": subprocess.DEVNULL, "stderr": subprocess.STDOUT, "cwd": "/", **popen}
    with log.open("ab") as output:
        process = subprocess.Popen(
            place.cgroup.joined([*enter, *argv]), stdout=output, start_new_session=True, **options
        )
    place.children.append(process)
    return Daemon(name=log.stem, process=process, log=log)


def new_network(place: Workplace) -> Daemon:
    """Start a process that holds a new network namespace and does nothing else."""
    argv = ["unshare", "--net", "--", "sleep", "infinity"]
    holder = start(place, place.log("network"), argv)
    await_network(holder, holder.pid)
    in_network(holder.pid, "ip", "link", "set", "lo", "up")
    return holder


def await_network(daemon: Daemon, pid: int) -> None:
    """Wait until a process has a network namespace of its own."""
    own = Path("/proc/self/ns/net").readlink()
    wait_for(lambda: Path(f"/proc/{pid}/ns/net").readlink() != own, "a network namespace", daemon)


def in_network(pid: int, *argv: str) -> None:
    """Run a command in the network namespace of a process."""
    command = ["nsenter", f"--net=/proc/{pid}/ns/net", "--", *argv]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


def wait_for(
    done: Callable[[], Any], what: str, *daemons: Daemon, seconds: float = 60, pause: float = 0.1
) -> Any:
    """Return the first true answer of ``done``.

    Raises:
        TimeoutError: it did not come, or a daemon ended meanwhile; tells the end of their logs.
    """
    deadline = time.monotonic() + seconds
    while not (answer := done()):
        dead = [daemon.name for daemon in daemons if daemon.process.poll() is not None]
        if dead or time.monotonic() > deadline:
            why = f"ended: {', '.join(dead)}" if dead else f"not within {seconds:g} s"
            logs = "\n".join(f"--- {daemon.name}\n{daemon.tail()}" for daemon in daemons)
            raise TimeoutError(f"waited for {what}: {why}\n{logs}")
        time.sleep(pause)
    return answer
