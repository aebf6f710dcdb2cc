"""Files and folders that only this user can read, whatever the umask: recordings and reports.

Redaction knows names and shapes, not meanings: who may read what is left is up to the admin.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import IO

FILE_MODE = 0o600
FOLDER_MODE = 0o700


def make_folder(path: Path, *, within: Path | None = None) -> None:
    """Create a folder and those above it that are missing; what is there keeps its mode.

    Args:
        path: the folder.
        within: a folder above it that is never created: who removed it wants nothing in it.

    Raises:
        OSError: it cannot be created, or somebody else put a folder or a link there meanwhile.
    """
    above = (each for each in path.parents if within is None or within in each.parents)
    missing = [folder for folder in (path, *above) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(FOLDER_MODE, exist_ok=True)
        _refuse_foreign(folder)
    path.mkdir(FOLDER_MODE, exist_ok=True)  # says if something else is in its place


def _refuse_foreign(folder: Path) -> None:
    """Refuse a folder that is not ours: in a shared place such as /tmp anybody can make one."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "somebody else has just created it", str(folder))


def write(path: Path, data: bytes) -> None:
    """Write a file; one that is there is replaced. A link is replaced, not followed.

    Raises:
        OSError: it cannot be written.
    """
    path.unlink(missing_ok=True)
    with create(path) as file:
        file.write(data)


def create(path: Path) -> IO[bytes]:
    """Open a new file for writing.

    Raises:
        FileExistsError: it is already there, also as a link.
        OSError: it cannot be created.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    return open(descriptor, "wb")  # noqa: PTH123 - takes a descriptor
