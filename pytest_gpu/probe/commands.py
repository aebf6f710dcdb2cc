"""Runs commands of the node by argument list, with a time limit and their output in files."""

import errno
import os
import re
import signal
import subprocess
import tempfile
import time
from typing import IO, Any, Callable, Dict, List, Optional

from .host import Host

MAX_OUTPUT = 2 << 20
"""Last bytes of output that are kept."""

MAX_PRINTED = 64 << 20
"""Bytes of output and errors at which a command is killed: they are in the node's memory."""

LOOK_EVERY = 0.1
"""Seconds between two looks at what a command has printed."""

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin",
    "HOME": "/root",
    "LC_ALL": "C",
    "TERM": "dumb",
    "SYSTEMD_COLORS": "0",
    "SYSTEMD_PAGER": "",
}

NOT_FOUND = 127
NOT_STARTED = 126
TIMED_OUT = 124

_READ_ALL = 3  # SYSLOG_ACTION_READ_ALL of syslog(2)
_LEVEL = re.compile(r"^<\d+>", re.MULTILINE)


def run(argv: List[str], timeout: float, host: Host) -> Dict[str, Any]:
    """Return what a command printed and how it ended; ``timeout`` in seconds."""
    answer: Dict[str, Any] = {"run": argv}
    began = time.monotonic()
    with _scratch() as out, _scratch() as err:
        try:
            child = _start(argv, out, err, host)
            answer.update(_finish(child, timeout, lambda: _size(out) + _size(err)))
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            answer.update(_not_started(error))
        answer["duration"] = round(time.monotonic() - began, 3)
        answer["stdout"], answer["stderr"] = _text(out), _text(err)
    if answer["exit"] == NOT_FOUND and argv == ["dmesg"]:
        return kernel_messages() or answer
    return answer


def _start(argv: List[str], out: IO[bytes], err: IO[bytes], host: Host) -> Any:
    program = host.root + argv[0] if host.mode == "here" and argv[0][:1] == "/" else argv[0]
    enter: Callable[[], None] = host.entrance()
    return subprocess.Popen(  # noqa: S603 - an argument list, no shell
        [program.replace("//", "/"), *argv[1:]],
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=err,
        cwd="/",
        env=_environment(host),
        start_new_session=True,
        preexec_fn=enter,  # noqa: PLW1509 - this process has one thread
    )


def _environment(host: Host) -> Dict[str, str]:
    if host.mode != "here" or host.root == "/":
        return ENVIRONMENT
    folders = [host.root + folder for folder in ENVIRONMENT["PATH"].split(":")]
    return dict(ENVIRONMENT, PATH=":".join(folders))


def _finish(child: Any, timeout: float, printed: Callable[[], int]) -> Dict[str, Any]:
    """Wait for a command; it is killed when it takes too long or prints too much."""
    deadline = time.monotonic() + timeout
    while printed() <= MAX_PRINTED:
        left = deadline - time.monotonic()
        try:
            return {"exit": child.wait(max(0.0, min(LOOK_EVERY, left)))}
        except subprocess.TimeoutExpired:
            if left <= LOOK_EVERY:
                _kill(child)
                return {"exit": TIMED_OUT, "timeout": True}
    _kill(child)
    return {"exit": NOT_STARTED, "error": f"cut off after {MAX_PRINTED >> 20} MiB of output"}


def _size(file: IO[bytes]) -> int:
    return os.fstat(file.fileno()).st_size


def _kill(child: Any) -> None:
    """Kill a command with everything it started; processes in D state are left behind."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait(1)
    except (OSError, subprocess.TimeoutExpired):
        child.returncode = TIMED_OUT  # it is not waited for any more


def _not_started(error: Exception) -> Dict[str, Any]:
    missing = isinstance(error, OSError) and error.errno in (errno.ENOENT, errno.ENOTDIR)
    return {"exit": NOT_FOUND if missing else NOT_STARTED, "error": str(error)}


def _scratch() -> IO[bytes]:
    """Return a file that is in no directory; in memory if Python and kernel support it."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("output"), "w+b")
    return tempfile.TemporaryFile()


def _text(file: IO[bytes]) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - MAX_OUTPUT))
    return file.read(MAX_OUTPUT).decode("utf-8", "replace")


def kernel_messages() -> Optional[Dict[str, Any]]:
    """Return what dmesg would print, from syslog(2), for a node without it; ``None`` if denied."""
    import ctypes  # noqa: PLC0415 - rarely needed

    libc = ctypes.CDLL(None)
    buffer = ctypes.create_string_buffer(MAX_OUTPUT)
    count = libc.klogctl(_READ_ALL, buffer, MAX_OUTPUT)
    if count < 0:
        return None
    text = _LEVEL.sub("", buffer.raw[:count].decode("utf-8", "replace"))
    return {"run": ["dmesg"], "exit": 0, "stdout": text, "stderr": "", "duration": 0.0}
