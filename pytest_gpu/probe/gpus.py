"""Asks NVML on the node, through pynvml and the node's own library.

The answers have the shape of ``nvml.json`` in a recording. Runs in a child that may hang or die.
"""

import ctypes
import os
import re
from typing import Any, Callable, Dict, List, Optional

from .host import Host
from .questions import Asker

Answer = Dict[str, Any]

SONAME = "libnvidia-ml.so.1"
DRIVER_ROOT = "/run/nvidia/driver"
"""Where the GPU operator mounts a driver that runs in a container."""

LIBRARY_NOT_FOUND = 12

# The C library of this process is at fault, not the node.
_FOREIGN = re.compile(r"version [`']\S+' not found|symbol not found|GLIBC_\S+ not defined")


def ask(libraries: List[str], host: Host, note: Callable[[Answer], None]) -> Answer:
    """Return NVML's answers; ``note`` gets what is known before each step that may hang.

    ``libraries`` are paths where the node may have the library, the most likely first.

    Raises:
        OSError: the node cannot be entered, or this process cannot load such a library.
    """
    import pynvml  # noqa: PLC0415 - only the child that asks needs it

    found: Answer = {"library": None, "init": {"error": None, "message": ""}, "hung": False}
    note(found)
    kept = host.keep_libraries()
    place = _Library(libraries, host)
    try:
        pynvml.nvmlLib = place.load()
    except OSError as error:
        if _FOREIGN.search(str(error)):
            raise
        found.update(library=place.named, init=_error(LIBRARY_NOT_FOUND, str(error)))
        return found
    found["library"] = place.loaded()
    note(found)
    Asker(pynvml, note).ask(found)
    del kept
    return found


class _Library:
    """The library of the node; making this object enters the node.

    ``path`` is what this process opens, ``None`` if there is none; ``named`` is its path on the
    node; ``before`` is a prefix that only the node's paths have, ``top`` one that only this
    process's paths have.
    """

    def __init__(self, libraries: List[str], host: Host) -> None:
        host.entrance()()
        self.before = ""
        self.top = host.root if host.mode == "here" and host.root != "/" else ""
        self.named = next((path for path in libraries if os.path.exists(self.top + path)), None)
        self.path = self._open_as(host)

    def load(self) -> Any:
        """Load the library.

        Raises:
            OSError: there is none, or it cannot be loaded.
        """
        if self.path is None:
            raise OSError(f"the node has no {SONAME}")
        return ctypes.CDLL(self.path)

    def _open_as(self, host: Host) -> Optional[str]:
        if self.named is None:
            return None if self.top else SONAME
        if self.named.startswith(DRIVER_ROOT + "/") and host.mode != "here":
            os.chroot(DRIVER_ROOT)
            os.chdir("/")
            self.before = DRIVER_ROOT
            return self.named[len(DRIVER_ROOT) :]
        return self.top + self.named

    def loaded(self) -> Optional[str]:
        """Return the file that was loaded, by its path on the node."""
        for path in self._mapped():
            if "/libnvidia-ml.so" in path and path.startswith(self.top):
                return self.before + path[len(self.top) :]
        return self.named

    def _mapped(self) -> List[str]:
        try:
            with open("/proc/self/maps") as maps:
                return [line.split(None, 5)[-1].strip() for line in maps]
        except OSError:  # a root directory without /proc
            return [os.path.realpath(self.path or "")]


def _error(code: int, message: str) -> Answer:
    return {"error": code, "message": message}
