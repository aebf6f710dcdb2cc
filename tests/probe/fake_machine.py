"""A machine made of a recorded node: its files in a folder, its commands as small programs."""

from __future__ import annotations

import os
import shlex
import shutil
import stat
import subprocess
from collections import defaultdict
from pathlib import Path, PurePosixPath

from pytest_gpu.cluster.recording.recorded_node import RecordedNode
from pytest_gpu.evidence import CommandResult, Entry

MOCK = Path(__file__).parent / "mock_nvml.c"


def build(node: RecordedNode, root: Path) -> Path:
    """Write all that is recorded of a node below ``root``; return it.

    ELF files are programs of this machine, NVML's library is the mock, and a command prints what
    it printed on the node.
    """
    for path in node.view.directories | node.view.complete:
        _at(root, path).mkdir(parents=True, exist_ok=True)
    for entry in node.view.entries.values():
        _put(root, entry)
    for path in node.view.files:
        _write(_at(root, path), node.read(path) or b"")
    for path in node.view.elves:
        _copy(root, path)
    for path in node.view.complete:
        _at(root, path).mkdir(parents=True, exist_ok=True)
    _commands(root, node.commands)
    return root


def _at(root: Path, path: str) -> Path:
    return root / path.lstrip("/")


def _put(root: Path, entry: Entry) -> None:
    place = _at(root, entry.path)
    place.parent.mkdir(parents=True, exist_ok=True)
    if entry.kind == "directory":
        place.mkdir(exist_ok=True)
    elif entry.target is not None:
        place.symlink_to(entry.target)
    elif entry.device is not None:
        kind = stat.S_IFCHR if entry.kind == "char" else stat.S_IFBLK
        os.mknod(place, kind | (entry.mode or 0o600), os.makedev(*entry.device))
    else:
        place.write_bytes(b"")
        if entry.mtime is not None:
            os.utime(place, (entry.mtime, entry.mtime))


def _write(place: Path, content: bytes) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    known = place.stat().st_mtime if place.exists() else None
    place.write_bytes(content)
    if known is not None:
        os.utime(place, (known, known))


def _copy(root: Path, path: str) -> None:
    real = "/lib/x86_64-linux-gnu/libc.so.6" if PurePosixPath(path).name.startswith("libc.") else ""
    shutil.copy(real or "/bin/true", _at(root, path))


def _commands(root: Path, commands: tuple[CommandResult, ...]) -> None:
    by_program: dict[str, list[CommandResult]] = defaultdict(list)
    for result in commands:
        program = result.argv[0]
        by_program[program if program.startswith("/") else f"/usr/bin/{program}"].append(result)
    for program, results in by_program.items():
        place = _at(root, program)
        place.parent.mkdir(parents=True, exist_ok=True)
        lines = ["#!/bin/sh", 'case "$*" in']
        for at, result in enumerate(results):
            printed = place.with_name(f".{place.name}.{at}")
            printed.write_text(result.stdout)
            what = shlex.quote(" ".join(result.argv[1:]))
            lines.append(f"{what}) /bin/cat {shlex.quote(str(printed))}; exit {result.exit};;")
        place.write_text("\n".join([*lines, "esac", "exit 1", ""]))
        place.chmod(0o755)


def with_nvml(root: Path, library: str, version: str, second: int) -> None:
    """Put the mock of NVML where a library is; ``second`` is the bus of its second GPU."""
    place = _at(root, library)
    defines = [f'-DVERSION="{version}"', f"-DSECOND={second:#x}"]
    flags = ["-shared", "-fPIC", "-o", str(place), *defines]
    subprocess.run([shutil.which("cc") or "cc", *flags, str(MOCK)], check=True)
