"""Archives of recordings: written plainly, read as hostile input.

Only regular files and folders with plain relative names are unpacked, into a private folder; every
limit is checked before anything is written. Anything else is refused with a one-line error.
"""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pytest_gpu import private_files
from pytest_gpu.cluster.recording.folder import MAX_FILE, MAX_LEVELS, printable
from pytest_gpu.errors import RecordingError

MAX_TOTAL = 1 * 2**30
"""Bytes of one archive once it is unpacked."""

MAX_MEMBERS = 250_000
"""Files and folders in one archive."""

MAX_RATIO = 250
"""Most unpacked bytes per packed byte, beyond the first :data:`RATIO_FREE` bytes.

Text of many similar nodes compresses up to 100 times, a file of zeros a thousand times.
"""

RATIO_FREE = 16 * 2**20

_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE)
_DAMAGED = (
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    ValueError,
    OverflowError,
    RecursionError,
)


def unpack(archive: Path, into: Path) -> None:
    """Unpack a .tar.gz into an empty private folder.

    Raises:
        RecordingError: it is not a .tar.gz, is damaged, holds anything but files and folders below
            its top, holds a name twice, or exceeds the limits of this module.
    """
    try:
        with archive.open("rb") as file, gzip.GzipFile(fileobj=file) as packed:
            if file.read(2) != b"\x1f\x8b":
                raise RecordingError(f"{archive}: is neither a folder nor a .tar.gz")
            file.seek(0)
            guard = _Guard(packed, archive)
            with tarfile.open(fileobj=guard, mode="r:", errorlevel=2) as tar:
                for member, parts in _members(tar, archive):
                    _write(tar, member, into.joinpath(*parts))
            guard.finish()
    except _DAMAGED as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise RecordingError(f"{archive}: is a damaged .tar.gz: {printable(why)}") from None
    except OSError as error:
        raise RecordingError(f"{archive}: cannot be unpacked: {error.strerror or error}") from None


def pack(folder: Path, archive: Path, mtime: float) -> None:
    """Write a folder as a .tar.gz that is the same for the same content, whoever packs it.

    ``mtime`` is the modification time of all files in it, in seconds since the epoch.
    """
    with (
        private_files.create(archive) as file,
        gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=mtime) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for path in sorted(folder.rglob("*")):
            member = tar.gettarinfo(path, arcname=str(path.relative_to(folder)))
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            member.mode = private_files.FOLDER_MODE if member.isdir() else private_files.FILE_MODE
            member.mtime = int(mtime)
            with path.open("rb") if member.isreg() else io.BytesIO() as content:
                tar.addfile(member, content)


def _members(tar: tarfile.TarFile, archive: Path) -> Iterator[tuple[tarfile.TarInfo, list[str]]]:
    """Yield every member that may be written, with the parts of its name."""
    seen: set[str] = set()
    total = count = 0
    while (member := tar.next()) is not None:
        # tarfile keeps each member; a quarter of a million of them take half a gigabyte.
        tar.members.clear()  # type: ignore[attr-defined]
        where = f"{archive}: {printable(member.name)!r}"
        count += 1
        if count > MAX_MEMBERS:
            raise RecordingError(f"{archive}: holds more than {MAX_MEMBERS:,} files")
        parts = _parts(member, where)
        name = "/".join(parts)
        if name in seen and not member.isdir():
            raise RecordingError(f"{where} is in the archive twice")
        seen.add(name)
        total += member.size
        _check_size(member.size, total, archive, where)
        if parts:
            yield member, parts


def _parts(member: tarfile.TarInfo, where: str) -> list[str]:
    if member.type not in (*_FILES, tarfile.DIRTYPE) or member.issparse():
        raise RecordingError(f"{where} is {_kind(member)}; it must be a file or a folder")
    if member.name.startswith("/"):
        raise RecordingError(f"{where} is an absolute path; it must stay inside the recording")
    parts = [part for part in member.name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise RecordingError(f"{where} leads out; it must stay inside the recording")
    if len(parts) > MAX_LEVELS:
        raise RecordingError(f"{where} is deeper than {MAX_LEVELS} folders")
    return parts


def _kind(member: tarfile.TarInfo) -> str:
    if member.issym():
        return "a symbolic link"
    if member.islnk():
        return "a hard link"
    if member.isdev():
        return "a device or pipe"
    return "a sparse file" if member.issparse() else "an unknown kind of member"


def _check_size(size: int, total: int, archive: Path, where: str) -> None:
    if size > MAX_FILE:
        raise RecordingError(f"{where} is larger than {MAX_FILE >> 20} MiB")
    if total > MAX_TOTAL:
        raise RecordingError(f"{archive}: unpacks to more than {MAX_TOTAL >> 20} MiB")
    if total > RATIO_FREE + MAX_RATIO * archive.stat().st_size:
        raise RecordingError(f"{archive}: unpacks to more than {MAX_RATIO} times its size")


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    if member.isdir():
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    source = tar.extractfile(member)
    content = source.read() if source else b""
    # O_EXCL: the private folder holds no links, and nothing in it is ever replaced.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with open(os.open(path, flags, 0o600), "wb") as file:  # noqa: PTH123 - takes a descriptor
        file.write(content)


class _Guard(io.RawIOBase):
    """The unpacked stream for tarfile, which trusts the lengths that a header claims.

    tarfile reads a long name or an extended header whole, whatever its length, and seeks back
    if a length is negative. Here each read and their sum are bounded, and seeking back fails.
    """

    def __init__(self, stream: BinaryIO | gzip.GzipFile, archive: Path) -> None:
        super().__init__()
        self._stream = stream
        self._archive = archive
        self._last = b""
        packed = archive.stat().st_size
        # Headers and padding of many small files add to the members' own content.
        self._most = min(MAX_TOTAL + MAX_MEMBERS * 2048, 4 * (RATIO_FREE + MAX_RATIO * packed))

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._stream.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET or offset < self._stream.tell():
            raise tarfile.ReadError("a member begins before the end of the previous one")
        self._check(offset)
        return self._stream.seek(offset)

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > MAX_FILE + tarfile.BLOCKSIZE:
            raise RecordingError(f"{self._archive}: has a header larger than a file may be")
        self._check(self._stream.tell() + size)
        self._last = self._stream.read(size)
        return self._last

    def finish(self) -> None:
        """Check that the archive ended properly.

        tarfile takes a broken or missing header for the end: everything after it would be missing
        silently, and a directory that was listed whole would prove it absent.
        """
        if self._last != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("it is truncated, or a header in it is broken")
        while chunk := self._stream.read(tarfile.RECORDSIZE):  # to the checksum of gzip
            if chunk.strip(b"\0"):
                raise tarfile.ReadError("there is data after its end")
            self._check(self._stream.tell())

    def _check(self, position: int) -> None:
        if position > self._most:
            raise RecordingError(f"{self._archive}: unpacks to more than is allowed for its size")
