"""Files and folders that only this user can read, whatever the umask: recordings and reports.

Redaction knows names and shapes, not meanings: who may read what is left is up to the admin.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

FILE_MODE = 0o600
FOLDER_MODE = 0o700


def make_folder(path: Path) -> None:
    """Create a folder and those above it that are missing; what is there keeps its mode.

    Raises:
        OSError: it cannot be created.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(FOLDER_MODE, exist_ok=True)
    path.mkdir(FOLDER_MODE, exist_ok=True)  # says if something else is in its place


def write(path: Path, data: bytes) -> None:
    """Write a file; one that is there is replaced, and keeps its mode.

    Raises:
        OSError: it cannot be written.
    """
    with _opened(path, os.O_TRUNC) as file:
        file.write(data)


def create(path: Path) -> IO[bytes]:
    """Open a new file for writing.

    Raises:
        FileExistsError: it is already there.
        OSError: it cannot be created.
    """
    return _opened(path, os.O_EXCL)


def _opened(path: Path, flag: int) -> IO[bytes]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | flag, FILE_MODE)
    return open(descriptor, "wb")  # noqa: PTH123 - takes a descriptor
