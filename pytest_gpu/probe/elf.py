"""Summary of a program or library: what it needs in order to start.

ELF files are read as elf(5) and the gABI describe them, scripts as execve(2) starts them.

No number in a file is trusted: each read is bounded by the file, each loop by a count, and
nonsense raises ``ValueError``.
"""

import os
import struct
from typing import Any, Dict, List, Tuple

MAX_ITEMS = 10000
"""Most headers, dynamic entries and symbol versions that are read."""

MAX_STRING = 4096

MACHINES = {
    3: "x86",
    8: "mips",
    20: "ppc",
    21: "ppc64",
    22: "s390",
    40: "arm",
    62: "x86-64",
    183: "aarch64",
    243: "riscv",
    258: "loongarch",
}
"""Names of e_machine, as ``file`` and the kernel write them."""

_LOAD, _DYNAMIC, _INTERPRETER = 1, 2, 3
_NEEDED, _STRINGS, _STRINGS_SIZE, _RPATH, _RUNPATH = 1, 5, 10, 15, 29
_DEFINED, _DEFINED_COUNT, _WANTED, _WANTED_COUNT = 0x6FFFFFFC, 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF
_BASE_VERSION = 1  # VER_FLG_BASE: the file's own name, not a version


def summary(path: str) -> Dict[str, Any]:
    """Return machine, interpreter, needed libraries, wanted and defined symbol versions.

    The machine of a script is ``script``.

    Raises:
        ValueError: it is neither a script nor an ELF file, or is damaged.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        if file.read(2) == b"#!":
            return {"machine": "script", "interpreter": _interpreter(file.readline(MAX_STRING))}
        try:
            return _Elf(file, os.fstat(file.fileno()).st_size).summary()
        except (struct.error, OverflowError) as error:
            raise ValueError(f"is a damaged ELF file: {error}") from error


def _interpreter(line: bytes) -> str:
    """Return the program that execve(2) starts for a script's first line without ``#!``."""
    words = line.decode("utf-8", "replace").split(None, 1)
    return words[0] if words else ""


class _Elf:
    """One open file; ``dynamic`` holds the values of each dynamic tag, ``loads`` the segments."""

    def __init__(self, file: Any, size: int) -> None:
        self.file = file
        self.size = size
        magic = self.bytes(0, 16)
        if magic[:4] != b"\x7fELF" or magic[4] not in (1, 2) or magic[5] not in (1, 2):
            raise ValueError("is not an ELF file")
        self.wide = magic[4] == 2
        self.order = "<" if magic[5] == 1 else ">"
        self.machine = self.numbers(18, "H")[0]
        self.headers = self._headers()
        self.loads = [header for header in self.headers if header[0] == _LOAD]
        for _, place, _, length in self.loads:
            if place + length > size:  # the rest was not copied
                raise ValueError(f"is a damaged ELF file: it ends before byte {place + length}")
        self.dynamic = self._dynamic()

    def bytes(self, offset: int, count: int) -> bytes:
        """Return bytes of the file, all of them or none."""
        if offset < 0 or count < 0 or offset + count > self.size:
            raise ValueError(f"is a damaged ELF file: it ends before byte {offset + count}")
        self.file.seek(offset)
        data: bytes = self.file.read(count)
        return data

    def numbers(self, offset: int, layout: str) -> Tuple[int, ...]:
        """Return numbers in the byte order of the file, by the letters of struct."""
        layout = self.order + layout
        return struct.unpack(layout, self.bytes(offset, struct.calcsize(layout)))

    def summary(self) -> Dict[str, Any]:
        """Return the summary."""
        return {
            "machine": MACHINES.get(self.machine, f"machine {self.machine}"),
            "interpreter": self._interpreter(),
            "needed": [self.string(offset) for offset in self.dynamic.get(_NEEDED, [])],
            "runpath": self._runpath(),
            "versions": self._wanted(),
            "defines": self._defined(),
        }

    def _headers(self) -> List[Tuple[int, int, int, int]]:
        """Return (type, offset, address, size in the file) of each program header."""
        (start,) = self.numbers(32 if self.wide else 28, "Q" if self.wide else "I")
        size, count = self.numbers(54 if self.wide else 42, "HH")
        found = []
        for at in range(min(count, MAX_ITEMS)):
            offset = start + at * size
            if self.wide:
                kind, _, place, address, _, length = self.numbers(offset, "IIQQQQ")
            else:
                kind, place, address, _, length = self.numbers(offset, "IIIII")
            found.append((kind, place, address, length))
        return found

    def _dynamic(self) -> Dict[int, List[int]]:
        found: Dict[int, List[int]] = {}
        for kind, offset, _, length in self.headers:
            step = 16 if self.wide else 8
            for at in range(min(length // step, MAX_ITEMS) if kind == _DYNAMIC else 0):
                tag, value = self.numbers(offset + at * step, "QQ" if self.wide else "II")
                if tag == 0:
                    break
                found.setdefault(tag, []).append(value)
        return found

    def offset(self, address: int) -> int:
        """Return where in the file a memory address is."""
        for _, offset, start, length in self.loads:
            if start <= address < start + length:
                return offset + address - start
        raise ValueError(f"is a damaged ELF file: nothing is loaded at {address:#x}")

    def string(self, at: int) -> str:
        """Return a string of the dynamic string table."""
        if not self.dynamic.get(_STRINGS):
            raise ValueError("is a damaged ELF file: it has no strings")
        size = self.dynamic.get(_STRINGS_SIZE, [0])[0]
        if at >= size:
            raise ValueError("is a damaged ELF file: a string lies outside their table")
        start = self.offset(self.dynamic[_STRINGS][0]) + at
        return _text(self.bytes(start, min(size - at, MAX_STRING, self.size - start)))

    def _runpath(self) -> List[str]:
        """Return where its libraries are looked for first; DT_RUNPATH disables DT_RPATH."""
        found = self.dynamic.get(_RUNPATH) or self.dynamic.get(_RPATH, [])
        return [folder for at in found for folder in self.string(at).split(":") if folder]

    def _interpreter(self) -> Any:
        for kind, offset, _, length in self.headers:
            if kind == _INTERPRETER:
                return _text(self.bytes(offset, min(length, MAX_STRING)))
        return None

    def _wanted(self) -> Dict[str, List[str]]:
        """Return the symbol versions wanted of each library (.gnu.version_r)."""
        found: Dict[str, List[str]] = {}
        if not self.dynamic.get(_WANTED):
            return found
        at, left = self.offset(self.dynamic[_WANTED][0]), MAX_ITEMS
        for _ in range(min(self.dynamic.get(_WANTED_COUNT, [0])[0], MAX_ITEMS)):
            _, count, library, inner, step = self.numbers(at, "HHIII")
            names = self._names(at + inner, min(count, left))
            found.setdefault(self.string(library), []).extend(names)
            left -= len(names)
            at += step
            if not step:
                break
        return found

    def _names(self, at: int, count: int) -> List[str]:
        """Return the names in a chain of wanted versions."""
        found: List[str] = []
        for _ in range(count):
            _, _, _, name, step = self.numbers(at, "IHHII")
            found.append(self.string(name))
            at += step
            if not step:
                break
        return found

    def _defined(self) -> List[str]:
        """Return the symbol versions that the file itself offers (.gnu.version_d)."""
        found: List[str] = []
        if not self.dynamic.get(_DEFINED):
            return found
        at = self.offset(self.dynamic[_DEFINED][0])
        for _ in range(min(self.dynamic.get(_DEFINED_COUNT, [0])[0], MAX_ITEMS)):
            _, flags, _, names, _, inner, step = self.numbers(at, "HHHHIII")
            if names and not flags & _BASE_VERSION:
                found.append(self.string(self.numbers(at + inner, "I")[0]))
            at += step
            if not step:
                break
        return found


def _text(data: bytes) -> str:
    return data.split(b"\0", 1)[0].decode("utf-8", "replace")
