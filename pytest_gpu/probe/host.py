"""How this process enters the node itself: its namespaces, or its root directory.

Only a child of its own may enter, because there is no way back.
"""

import ctypes
import os
from typing import Any, Callable, Dict, List, Optional

MODES = ("here", "root", "namespaces")
"""Already there; by chroot(2) into the root; by setns(2) into the namespaces of a process."""

# Mount first: the others only matter to programs that ask for names, sockets or queues.
_NAMESPACES = ("mnt", "uts", "ipc", "net")

_PR_SET_PDEATHSIG = 1
_SIGKILL = 9

# What NVIDIA's libraries and most programs need; the loader finds them by name once loaded.
_LIBRARIES = ("libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1")


class Host:
    """How a child enters the node. ``pid`` is a process of the node, by its ID in /proc here."""

    def __init__(self, mode: str, root: str, pid: int = 1) -> None:
        self.mode = mode
        self.root = root.rstrip("/") or "/"
        self.pid = pid
        self._libc: Any = ctypes.CDLL(None, use_errno=True)
        self._open: Dict[str, int] = {}

    def entrance(self) -> Callable[[], None]:
        """Return a function that a child calls between fork and exec; most work is done before.

        Raises:
            OSError: the namespaces of the node's process cannot be opened.
        """
        if self.mode == "here":
            return self.die_with_parent
        if self.mode == "root":
            return self._enter_root
        handles = self._namespaces()

        def enter() -> None:
            self.die_with_parent()
            for name, handle in handles.items():
                if self._libc.setns(handle, 0) != 0 and name == "mnt":
                    code = ctypes.get_errno()
                    raise OSError(code, os.strerror(code), "setns")
            os.chdir("/")

        return enter

    def die_with_parent(self) -> None:
        """Ask the kernel to end this child when the process that started it ends."""
        self._libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)

    def keep_libraries(self) -> List[Any]:
        """Load the C library's parts now: the node's own may have another version."""
        return [library for library in map(_load, _LIBRARIES) if library is not None]

    def _enter_root(self) -> None:
        self.die_with_parent()
        os.chroot(self.root)
        os.chdir("/")

    def _namespaces(self) -> Dict[str, int]:
        for name in () if self._open else _NAMESPACES:
            path = f"/proc/{self.pid}/ns/{name}"
            try:
                self._open[name] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                if name == "mnt":
                    raise
        return self._open


def _load(name: str) -> Optional[Any]:
    try:
        return ctypes.CDLL(name)
    except OSError:
        return None
