"""Archives that are no recordings: ways out, links, bombs, and what is damaged."""

from __future__ import annotations

import gzip
import io
import os
import random
import tarfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.cluster.recording.test_archive import HEAD, MEMBERS, Build, add
from tests.cluster.recording.test_archive import pack as pack_recording
from tests.hostile.inputs import Input, made

Write = Callable[[Path], object]

MIB = 2**20


def _input(name: str, write: Write, says: str) -> Input:
    def make(folder: Path) -> tuple[str, ...]:
        path = folder / "recording.tar.gz"
        write(path)
        return (f"--gpu-cluster=path:{path}",)

    return Input(name=f"archive-{name}", family="recordings", start=made(make), exit=4, says=says)


def _packed(*build: Build) -> Write:
    return lambda path: pack_recording(path, *build)


def _member(number: int, name: str, kind: bytes, target: str, says: str) -> Input:
    write = _packed(lambda tar: add(tar, name, type=kind, linkname=target))
    return _input(f"member-{number}", write, says)


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../PWN", "x")
        archive.writestr("recording.yaml", HEAD)


def _cut_off(path: Path) -> None:
    pack_recording(path, lambda tar: add(tar, "x", random.Random(1).randbytes(5000)))  # noqa: S311
    os.truncate(path, path.stat().st_size - 3000)


def _turned(path: Path) -> None:
    pack_recording(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def _gzipped(text: bytes, path: Path) -> None:
    path.write_bytes(gzip.compress(text))


def _twice_packed(path: Path) -> None:
    pack_recording(path)
    path.write_bytes(gzip.compress(path.read_bytes()))


def _bomb(path: Path) -> None:
    """Write 300 MiB of zeros, a piece at a time."""
    with tarfile.open(path, "w:gz") as tar:
        add(tar, "recording.yaml", HEAD)
        zeros = bytes(MIB)
        for number in range(300):
            add(tar, f"nodes/n/files/{number}", zeros)


def _large(path: Path) -> None:
    pack_recording(path, lambda tar: add(tar, "x", bytes(65 * MIB)))


def _many(path: Path) -> None:
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        add(tar, "recording.yaml", HEAD)
        for number in range(10_000):
            tar.addfile(tarfile.TarInfo(f"{number}"), io.BytesIO())


def _long_name(path: Path) -> None:
    """Write a header that claims a name of 1 GiB."""
    member = tarfile.TarInfo("././@LongLink")
    member.type, member.size = tarfile.GNUTYPE_LONGNAME, 2**30
    path.write_bytes(gzip.compress(member.tobuf() + bytes(2**16)))


def _text(path: Path) -> None:
    path.write_text("format: 1\n")


def _pipe(path: Path) -> None:
    os.mkfifo(path)


INPUTS = (
    *(_member(number, *each) for number, each in enumerate(MEMBERS)),
    _input("zip", _zip, "is neither a folder nor a .tar.gz"),
    _input("text", _text, "is neither a folder nor a .tar.gz"),
    _input("empty", Path.touch, "is neither a folder nor a .tar.gz"),
    _input("pipe", _pipe, "there is no such folder or .tar.gz file"),
    _input("cut-off", _cut_off, "is a damaged .tar.gz: Compressed file ended"),
    _input("turned-bit", _turned, "is a damaged .tar.gz:"),
    _input(
        "gzip-of-text", partial(_gzipped, b"a: 1\n" * 200), "is a damaged .tar.gz: invalid header"
    ),
    _input(
        "gzip-of-zeros", lambda path: _gzipped(bytes(64 * MIB), path), "it has no recording.yaml"
    ),
    _input("gzip-of-nothing", partial(_gzipped, b""), "is a damaged .tar.gz: empty file"),
    _input("twice-packed", _twice_packed, "is a damaged .tar.gz: truncated header"),
    _input("bomb", _bomb, "unpacks to more than 250 times its size"),
    _input("file-of-65-MiB", _large, "'x' is larger than 64 MiB"),
    _input("10-thousand-members", _many, "the list of nodes on the cluster is not in the evidence"),
    _input("name-of-1-GiB", _long_name, "has a header larger than a file may be"),
    _input("no-manifest", lambda path: _gzipped(bytes(10240), path), "it has no recording.yaml"),
)
