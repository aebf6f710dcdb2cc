"""ELF summaries: against readelf on real files, and against bytes that mean harm."""

from __future__ import annotations

import random
import re
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_gpu.probe import elf

REAL = (
    "/bin/sh",
    "/bin/ls",
    "/usr/bin/env",
    "/lib/x86_64-linux-gnu/libc.so.6",
    "/lib/x86_64-linux-gnu/libm.so.6",
    "/lib/aarch64-linux-gnu/libc.so.6",
    "/lib64/libc.so.6",
)


def real_files() -> list[str]:
    """Return the ELF files of this machine that are looked at."""
    return [path for path in REAL if Path(path).exists()]


@pytest.mark.skipif(shutil.which("readelf") is None, reason="readelf is not installed here")
@pytest.mark.parametrize("path", real_files())
def test_summary_is_what_readelf_prints(path: str) -> None:
    """Needed libraries, interpreter, wanted and defined versions."""
    printed = _readelf("-dlV", path)
    found = elf.summary(path)
    assert found["needed"] == re.findall(r"\(NEEDED\).*\[(.*)\]", printed)
    assert [found["interpreter"]] == (re.findall(r"interpreter: (.*)\]", printed) or [None])
    assert found["versions"] == dict(_wanted(printed))
    assert found["defines"] == list(_defined(printed))


def _readelf(option: str, path: str) -> str:
    command = ["readelf", "-W", option, path]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _wanted(printed: str) -> Iterator[tuple[str, list[str]]]:
    section = printed.partition("Version needs section")[2]
    for part in section.split("  File: ")[1:]:
        yield part.split()[0], re.findall(r"Name: (\S+)", part)


def _defined(printed: str) -> Iterator[str]:
    section = printed.partition("Version definition section")[2].partition("Version needs")[0]
    for flags, name in re.findall(r"Flags: (.*?)  ?Index: .*Name: (\S+)", section):
        if "BASE" not in flags:
            yield name


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("order", ["<", ">"])
def test_both_widths_and_byte_orders(tmp_path: Path, wide: bool, order: str) -> None:
    """32 and 64 bit, little and big endian, built by hand."""
    path = tmp_path / "library.so"
    path.write_bytes(made_up(wide=wide, order=order))
    assert elf.summary(str(path)) == {
        "machine": "aarch64",
        "interpreter": "/ld.so",
        "needed": ["libc.so.6"],
        "versions": {"libc.so.6": ["GLIBC_2.27"]},
        "defines": ["OWN_1.0"],
        "runpath": [],
    }


def made_up(*, wide: bool, order: str) -> bytes:
    """Return a small shared library that needs and defines one version each."""
    strings = b"\0libc.so.6\0GLIBC_2.27\0OWN_1.0\0self.so\0"
    at = {name: strings.index(name) for name in (b"libc", b"GLIBC", b"OWN", b"self")}
    wanted = struct.pack(f"{order}HHIII", 1, 1, at[b"libc"], 16, 0)
    wanted += struct.pack(f"{order}IHHII", 0, 0, 2, at[b"GLIBC"], 0)
    defined = struct.pack(f"{order}HHHHIII", 1, 1, 1, 1, 0, 20, 28)
    defined += struct.pack(f"{order}II", at[b"self"], 0)
    defined += struct.pack(f"{order}HHHHIII", 1, 0, 2, 1, 0, 20, 0)
    defined += struct.pack(f"{order}II", at[b"OWN"], 0)
    base, header = 0x1000, 64 if wide else 52
    size = 56 if wide else 32
    body = header + 3 * size
    places, offset = {}, body
    for name, part in (("strings", strings), ("wanted", wanted), ("defined", defined)):
        places[name] = offset
        offset += len(part)
    tags = [
        (1, at[b"libc"]),
        (5, base + places["strings"]),
        (10, len(strings)),
        (0x6FFFFFFE, base + places["wanted"]),
        (0x6FFFFFFF, 1),
        (0x6FFFFFFC, base + places["defined"]),
        (0x6FFFFFFD, 2),
        (0, 0),
    ]
    dynamic = b"".join(struct.pack(f"{order}{'QQ' if wide else 'II'}", *tag) for tag in tags)
    segments = [
        (1, 0, base, offset),
        (2, offset, 0, len(dynamic)),
        (3, offset + len(dynamic), 0, 7),
    ]
    headers = b"".join(_segment(order, wide, segment) for segment in segments)
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    word = "Q" if wide else "I"
    rest = struct.pack(
        f"{order}HHI{word}{word}{word}IHHHHHH", 3, 183, 1, 0, header, 0, 0, header, size, 3, 0, 0, 0
    )
    return ident + rest + headers + strings + wanted + defined + dynamic + b"/ld.so\0"


def _segment(order: str, wide: bool, segment: tuple[int, int, int, int]) -> bytes:
    kind, offset, address, size = segment
    if wide:
        return struct.pack(f"{order}IIQQQQQQ", kind, 4, offset, address, address, size, size, 8)
    return struct.pack(f"{order}IIIIIIII", kind, offset, address, address, size, size, 4, 8)


def test_what_is_no_elf_file_is_said_to_be_none(tmp_path: Path) -> None:
    """Text, empty files, half a header."""
    for content in (b"", b"no program\n" * 10, b"\x7fELF", b"\x7fELF" + bytes(60)):
        path = tmp_path / "file"
        path.write_bytes(content)
        with pytest.raises(ValueError, match="ELF file"):
            elf.summary(str(path))


@pytest.mark.parametrize("wide", [True, False])
def test_damaged_files_neither_crash_nor_last(tmp_path: Path, wide: bool) -> None:
    """Every byte may be a stranger's: cut short, flipped, filled with ones."""
    whole = made_up(wide=wide, order="<")
    chance = random.Random(27)  # noqa: S311 - the same bytes each time
    began = time.monotonic()
    for at in range(len(whole)):
        assert_ends(tmp_path, whole[:at])
        assert_ends(tmp_path, whole[:at] + b"\xff" * 4 + whole[at + 4 :])
    for _ in range(2000):
        bad = bytearray(whole)
        for _ in range(chance.randint(1, 6)):
            bad[chance.randrange(16, len(bad))] = chance.choice([0, 1, 0x7F, 0x80, 0xFF])
        assert_ends(tmp_path, bytes(bad))
    assert time.monotonic() - began < 60


def assert_ends(folder: Path, content: bytes) -> None:
    """Assert that a file has a summary, or is said to be damaged."""
    path = folder / "damaged"
    path.write_bytes(content)
    found: Any = {}
    try:
        found = elf.summary(str(path))
    except ValueError as error:
        found = {"machine": str(error)}
    assert isinstance(found["machine"], str)


def test_chain_of_versions_that_bites_its_tail_ends(tmp_path: Path) -> None:
    """Offsets are unsigned, so a chain can only stand still by a zero, which ends it."""
    whole = bytearray(made_up(wide=True, order="<"))
    count = whole.index(struct.pack("<QQ", 0x6FFFFFFF, 1)) + 8
    whole[count : count + 8] = b"\xff" * 8
    path = tmp_path / "endless"
    path.write_bytes(bytes(whole))
    assert elf.summary(str(path))["versions"] == {"libc.so.6": ["GLIBC_2.27"]}
