"""Which GPUs a container sees, as one line of JSON; with ``--compute`` also whether they work.

Runs in the suite's pod, on any Python from 3.6 on, with nothing but its standard library. CUDA is
asked in a child that may hang or die: a driver can block where no signal arrives, and a hang must
still be reported.
"""

import argparse
import glob
import json
import os
import select
import signal
import sys
import time
from typing import List

from .cuda import Report, ask

DEADLINE = 60.0
"""Seconds for CUDA to compute; the first start on a big machine takes ten seconds."""

DEVICES = ("/dev/nvidia*", "/dev/nvidia-caps/*", "/dev/nvidia-caps-imex-channels/*", "/dev/dxg")
LIBRARIES = ("libcuda.so*", "libnvidia-ml.so*", "libnvidia-ptxjitcompiler.so*")
FOLDERS = ("/usr/lib/*-linux-gnu", "/usr/lib64", "/usr/lib", "/lib64", "/usr/local/nvidia/lib*")


def ask_in_time(deadline: float) -> Report:
    """Return what CUDA says and computes, or the call at which it hangs or dies."""
    here, there = os.pipe()
    pid = os.fork()
    if pid == 0:
        _serve(there)
    os.close(there)
    seen = {"step": "the loading of libcuda.so.1", "cuda": None}  # type: Report
    ended = _follow(here, seen, time.monotonic() + deadline)
    if seen.get("done"):
        return dict(seen["cuda"])
    found = dict(seen["cuda"] or {"init": None, "count": 0})
    if ended:
        found["compute"] = "the process that computed died in {}".format(seen["step"])
        found["died"] = seen["step"]
    else:
        os.kill(pid, signal.SIGKILL)
        found["compute"] = "{} did not return within {:g} s".format(seen["step"], deadline)
        found["hung"] = seen["step"]
    return found


def _serve(there: int) -> None:  # pragma: no cover - in a child without coverage
    def note(part: Report) -> None:
        os.write(there, json.dumps(part).encode("ascii") + b"\n")

    try:
        note({"cuda": ask(note), "done": True})
    finally:
        os._exit(0)


def _follow(here: int, seen: Report, until: float) -> bool:
    """Read the child's notes; return true if it ends, false if time is up."""
    rest = b""
    while not seen.get("done"):
        ready, _, _ = select.select([here], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            return False
        part = os.read(here, 1 << 16)
        if not part:
            return True
        lines = (rest + part).split(b"\n")
        rest = lines.pop()
        for line in lines:
            seen.update(json.loads(line.decode("ascii")))
    return True


def devices() -> List[str]:
    """Return the NVIDIA device nodes here."""
    return sorted(path for pattern in DEVICES for path in glob.glob(pattern) if _is_device(path))


def _is_device(path: str) -> bool:
    return not os.path.isdir(path)


def libraries() -> List[str]:
    """Return the driver's libraries here: where runtimes mount them, else in the usual folders."""
    folders = {folder for pattern in FOLDERS for folder in glob.glob(pattern)}
    folders.update(os.path.dirname(path) for path in _mount_points() if ".so" in path)
    folders.update(filter(None, os.environ.get("LD_LIBRARY_PATH", "").split(":")))
    found = {path for folder in folders for name in LIBRARIES for path in _in(folder, name)}
    return sorted(found)


def _in(folder: str, name: str) -> List[str]:
    return glob.glob(os.path.join(glob.escape(folder), name))


def _mount_points() -> List[str]:
    try:
        with open("/proc/self/mounts", encoding="utf-8", errors="replace") as mounts:
            return [line.split(" ")[1] for line in mounts if line.count(" ") > 1]
    except OSError:
        return []


def report(compute: bool, deadline: float) -> Report:
    """Return what this container sees, and with ``compute`` what CUDA does."""
    return {
        "devices": devices(),
        "libraries": libraries(),
        "visible": os.environ.get("NVIDIA_VISIBLE_DEVICES"),
        "cuda": ask_in_time(deadline) if compute else None,
    }


def main(argv: List[str]) -> None:
    """Print the report and exit at once: a child that cannot be killed is left behind."""
    parser = argparse.ArgumentParser(description="Print which GPUs a container sees, as JSON.")
    parser.add_argument("--compute", action="store_true", help="let every visible GPU compute")
    parser.add_argument("--deadline", type=float, default=DEADLINE, help="seconds for CUDA")
    parser.add_argument("--message", help="a file that gets the report as well")
    options = parser.parse_args(argv)
    text = json.dumps(report(options.compute, options.deadline)) + "\n"
    if options.message:
        with open(options.message, "w") as file:
            file.write(text)
    sys.stdout.write(text)
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
