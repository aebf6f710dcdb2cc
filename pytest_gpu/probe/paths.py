"""Where the node's files are here: below a root, with symbolic links followed inside it."""

import errno
import os
from typing import Dict, List, NamedTuple, Optional

MAX_LINKS = 40
"""Symbolic links followed in one path, as many as Linux follows (path_resolution(7))."""

_NETWORK = "/proc/net/"


class Place(NamedTuple):
    """A path of the node with its links followed.

    ``real`` is that path, ``here`` is the path at which this process can open it, and ``links``
    are the symbolic links on the way, each with its text.
    """

    real: str
    here: str
    links: Dict[str, str]


class Root:
    """The node's root directory as this process sees it: ``/``, or where a pod has it mounted.

    ``pid`` is a process of the node if this one has its own network: /proc/net is a link to what
    the reading process can see.
    """

    def __init__(self, path: str = "/", pid: Optional[int] = None) -> None:
        self.path = path.rstrip("/")
        self.network = _NETWORK if pid is None else f"/proc/{pid}/net/"

    def find(self, path: str, last: bool = True) -> Place:
        """Return where a path leads, following its last part only if asked.

        Raises:
            OSError: its links are circular.
        """
        links: Dict[str, str] = {}
        if path.startswith(_NETWORK):
            return Place(path, self.path + self.network + path[len(_NETWORK) :], links)
        todo, done, hops = _parts(path), "", 0
        while todo:
            part = todo.pop()
            if part == "..":
                done = done.rpartition("/")[0]
                continue
            done = f"{done}/{part}"
            target = self._target(done) if todo or last else None
            if target is not None:
                hops += 1
                if hops > MAX_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                links[done] = target
                done = "" if target.startswith("/") else done.rpartition("/")[0]
                todo.extend(_parts(target))
        return Place(real=done or "/", here=self.here(done or "/"), links=links)

    def here(self, path: str) -> str:
        """Return the path at which this process opens a path without links."""
        return self.path + path

    def _target(self, path: str) -> Optional[str]:
        try:
            return os.readlink(self.here(path))
        except OSError:
            return None


def _parts(path: str) -> List[str]:
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]
