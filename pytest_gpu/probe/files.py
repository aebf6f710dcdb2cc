"""Reads the node's file system: bytes with limits, metadata, directories, patterns."""

import base64
import errno
import fnmatch
import os
import stat
from typing import Any, Dict, List, Optional, Tuple

from .paths import Place, Root

Answer = Dict[str, Any]

MAX_ENTRIES = 20000
"""Most names that are read from one directory."""

MAX_MATCHES = 20000
"""Most paths that may match one pattern."""

_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ESRCH)
_KINDS = (
    (stat.S_ISREG, "file"),
    (stat.S_ISDIR, "directory"),
    (stat.S_ISLNK, "symlink"),
    (stat.S_ISCHR, "char"),
    (stat.S_ISBLK, "block"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISFIFO, "fifo"),
)


def entry(path: str) -> Answer:
    """Return a path's own metadata, without following a link.

    Raises:
        OSError: it cannot be read.
    """
    found = os.lstat(path)
    known: Answer = {
        "kind": next(kind for test, kind in _KINDS if test(found.st_mode)),
        "mode": stat.S_IMODE(found.st_mode),
        "mtime": found.st_mtime,
        "size": found.st_size,
    }
    if known["kind"] == "symlink":
        known["target"] = os.readlink(path)
    if known["kind"] in ("char", "block"):
        known["device"] = [os.major(found.st_rdev), os.minor(found.st_rdev)]
    return known


def read(root: Root, path: str, limit: int, tail: bool = False) -> Answer:
    """Return a regular file's first (or last) bytes, as base64.

    Anything but a regular file is never opened: a pipe would block, a device might do something.
    """
    answer: Answer = {"tail" if tail else "read": path}
    place = place_of(root, path, answer)
    if place is None:
        return answer
    if answer["entry"]["kind"] != "file":
        return failed(answer, OSError(errno.EINVAL, "is not a regular file"))
    try:
        data, truncated = _bytes(place.here, limit, tail)
    except OSError as error:
        return failed(answer, error)
    answer.update(data=base64.b64encode(data).decode("ascii"), truncated=truncated)
    return answer


def listing(root: Root, path: str) -> Answer:
    """Return the names in a directory, each with its metadata."""
    answer: Answer = {"list": path}
    place = place_of(root, path, answer)
    if place is None:
        return answer
    found: Dict[str, Any] = {}
    try:
        with os.scandir(place.here) as names:
            for name in names:
                if len(found) >= MAX_ENTRIES:
                    break
                _note(found, name.name, name.path)
            truncated = next(names, None) is not None
    except OSError as error:
        return failed(answer, error)
    answer.update(entries=found, truncated=truncated)
    return answer


def _note(found: Dict[str, Any], name: str, path: str) -> None:
    try:
        found[name] = entry(path)
    except OSError as error:
        # A process may have ended meanwhile; anything else exists, but nothing more is known.
        if error.errno not in _GONE:
            found[name] = {"error": said(error)}


def look(root: Root, path: str) -> Answer:
    """Return a path's own metadata, without following a link."""
    answer: Answer = {"stat": path}
    place_of(root, path, answer, last=False)
    return answer


def place_of(root: Root, path: str, answer: Answer, last: bool = True) -> Optional[Place]:
    """Note metadata and links in an answer; return the place, ``None`` if it has no file."""
    try:
        place = root.find(path, last)
    except OSError as error:
        failed(answer, error)
        return None
    if place.links:
        answer["links"] = place.links
    if place.real != path:
        answer["real"] = place.real
    try:
        answer["entry"] = entry(place.here)
    except OSError as error:
        failed(answer, error)
        return None
    return place


def failed(answer: Answer, error: OSError) -> Answer:
    """Note in an answer that something is absent, or why that cannot be determined."""
    if error.errno in _GONE and "entry" not in answer:
        answer["absent"] = True
    else:
        answer["error"] = said(error)
    return answer


def said(error: OSError) -> str:
    """Return an error as ``EACCES: Permission denied``."""
    code = errno.errorcode.get(error.errno or 0, "error")
    return f"{code}: {error.strerror or error}"


def _bytes(path: str, limit: int, tail: bool) -> Tuple[bytes, bool]:
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(path, flags)
    try:
        size = os.fstat(handle).st_size
        if tail and size > limit:
            os.lseek(handle, -limit, os.SEEK_END)
            return _all(handle, limit), True
        data = _all(handle, limit + 1)
        return data[:limit], len(data) > limit
    finally:
        os.close(handle)


def _all(handle: int, limit: int) -> bytes:
    parts: List[bytes] = []
    left = limit
    while left > 0:
        part = os.read(handle, min(left, 1 << 20))
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def matches(root: Root, pattern: str) -> Answer:
    """Return the paths that match a pattern, by the rules of glob(7), with links kept."""
    found = [""]
    for part in [part for part in pattern.split("/") if part]:
        found = [path for base in found for path in _below(root, base, part)][:MAX_MATCHES]
    return {"glob": pattern, "paths": found, "truncated": len(found) >= MAX_MATCHES}


def _below(root: Root, base: str, part: str) -> List[str]:
    if not any(sign in part for sign in "*?["):
        path = f"{base}/{part}"
        return [path] if _exists(root, path) else []
    try:
        names = os.listdir(root.find(base or "/").here)
    except OSError:
        return []
    hidden = part.startswith(".")
    fitting = [name for name in names if hidden or not name.startswith(".")]
    return [f"{base}/{name}" for name in sorted(fnmatch.filter(fitting, part))]


def _exists(root: Root, path: str) -> bool:
    try:
        return os.path.lexists(root.find(path, last=False).here)
    except OSError:
        return False
