"""A recording's own folder, read as hostile input: no link is followed, nothing else is opened."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_gpu.errors import RecordingError

MAX_FILE = 64 * 2**20
"""Most bytes of one file that are read."""

MAX_FILES = 100_000
"""Most files and folders below one node."""

MAX_LEVELS = 64
"""Most levels of folders below one node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A folder and its name in messages.

    ``trusted`` is for the samples that ship with the package: installers may have linked them
    (``uv pip install --link-mode symlink``, setuptools' strict editable mode).
    """

    root: Path
    label: str
    trusted: bool = False

    def where(self, relative: str) -> str:
        """Return the name of a file of this folder for messages."""
        return f"{self.label}/{printable(relative)}"

    def locate(self, relative: str) -> os.stat_result | None:
        """Return the status of a path below the folder, ``None`` if there is none.

        Raises:
            RecordingError: the path, or a folder above it, is a symbolic link.
        """
        here, found = str(self.root), None
        for part in relative.split("/"):
            here = f"{here}/{part}"
            try:
                found = os.lstat(here)
                if stat.S_ISLNK(found.st_mode):
                    found = self._through_link(here)
            except (FileNotFoundError, NotADirectoryError):
                return None
            except (OSError, ValueError) as error:
                raise RecordingError(f"{self.where(relative)}: {_why(error)}") from None
        return found

    def read(self, relative: str) -> bytes | None:
        """Return a file's bytes, ``None`` if there is no such file.

        Raises:
            RecordingError: it is a link, not a regular file, too large, or cannot be read.
        """
        found = self.locate(relative)
        if found is None:
            return None
        if not stat.S_ISREG(found.st_mode):
            raise RecordingError(f"{self.where(relative)}: is not a regular file")
        return read_regular(f"{self.root}/{relative}", self.where(relative))

    def names(self, relative: str) -> list[str]:
        """Return the sorted names in a folder, none if there is no such folder."""
        found = self.locate(relative)
        if found is None or not stat.S_ISDIR(found.st_mode):
            return []
        return sorted(path.name for path in (self.root / relative).iterdir())

    def walk(self, relative: str) -> Iterator[tuple[str, bool]]:
        """Yield every path below a folder, relative to it, and whether it is a folder itself.

        Raises:
            RecordingError: there is a link, a special file or a file that is too large, or there
                are too many files or levels of folders.
        """
        found = self.locate(relative)
        if found is None:
            return
        if not stat.S_ISDIR(found.st_mode):
            raise RecordingError(f"{self.where(relative)}: must be a folder")
        count = 0
        todo = [("", 0)]
        while todo:
            prefix, level = todo.pop()
            if level > MAX_LEVELS:
                raise RecordingError(f"{self.where(relative)}: is deeper than {MAX_LEVELS} folders")
            for name, is_folder in self._scan(f"{relative}{prefix}"):
                count += 1
                if count > MAX_FILES:
                    raise RecordingError(f"{self.where(relative)}: more than {MAX_FILES:,} files")
                yield f"{prefix}/{name}", is_folder
                if is_folder:
                    todo.append((f"{prefix}/{name}", level + 1))

    def _scan(self, relative: str) -> Iterator[tuple[str, bool]]:
        try:
            with os.scandir(f"{self.root}/{relative}") as found:
                for entry in found:
                    is_folder = entry.is_dir(follow_symlinks=self.trusted)
                    if not is_folder and not entry.is_file(follow_symlinks=self.trusted):
                        self._refuse(f"{relative}/{entry.name}", entry.is_symlink())
                    if not self.trusted and not is_folder:
                        check_size(entry.stat().st_size, self.where(f"{relative}/{entry.name}"))
                    yield entry.name, is_folder
        except OSError as error:
            raise RecordingError(f"{self.where(relative)}: {_why(error)}") from None

    def _through_link(self, path: str) -> os.stat_result:
        if not self.trusted:
            self._refuse(os.path.relpath(path, self.root), is_link=True)
        return os.stat(path)  # noqa: PTH116 - this is hot, and a Path is slow to make

    def _refuse(self, relative: str, is_link: bool) -> None:
        if not is_link:
            raise RecordingError(f"{self.where(relative)}: is not a regular file")
        raise RecordingError(
            f"{self.where(relative)}: is a symbolic link, which a recording must not hold; "
            "write a link of the node in listing.yaml"
        )


def read_regular(path: str, where: str) -> bytes:
    """Return the bytes of a file that :class:`Folder` has found to be regular.

    Raises:
        RecordingError: it is too large or cannot be read; the message begins with ``where``.
    """
    try:
        # It may have been replaced since it was found: never wait on a pipe.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:  # noqa: PTH123
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise RecordingError(f"{where}: {_why(error)}") from None
    check_size(len(data), where)
    return data


def check_size(size: int, where: str) -> None:
    """Check the size of a file.

    Raises:
        RecordingError: it is too large; the message begins with ``where``.
    """
    if size > MAX_FILE:
        raise RecordingError(f"{where}: is larger than {MAX_FILE >> 20} MiB")


def printable(name: str) -> str:
    """Return a name without characters that would break a line or control a terminal."""
    return name if name.isprintable() else ascii(name)[1:-1]


def _why(error: OSError | ValueError) -> str:
    return getattr(error, "strerror", None) or str(error)
