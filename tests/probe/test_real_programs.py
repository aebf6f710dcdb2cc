"""Real programs: what is said of one before it runs is what the kernel and the loader then do."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_gpu.cluster.visits.sent import elf_of
from pytest_gpu.evidence import ElfSummary
from pytest_gpu.looks import first_of
from pytest_gpu.stack.toolkit import check_executable, check_libraries, check_programs
from tests.probe.probing import Probe
from tests.stack.runtime.runtime_machine import HOST, LIBRARY_FOLDERS, NVIDIA, Machine

pytestmark = pytest.mark.skipif(
    shutil.which("gcc") is None or platform.machine() != "x86_64",
    reason="needs gcc on x86-64",
)
CHECKS = (
    check_programs.binary_missing,
    check_executable.not_executable,
    check_executable.on_noexec_mount,
    check_executable.damaged,
    check_executable.wrong_architecture,
    check_libraries.interpreter_missing,
    check_libraries.library_missing,
    check_libraries.glibc_too_old,
)
MAIN = '#include <stdio.h>\nint own(void);\nint main(void) { puts("ran"); return OWN; }\n'


def build(folder: Path, *options: str, own: str = "0", name: str = "program") -> Path:
    """Return a compiled program; ``own`` is what it returns, a call into a library perhaps."""
    source = folder / "main.c"
    source.write_text(MAIN)
    path = folder / name
    argv = ["gcc", f"-DOWN={own}", "-o", str(path), str(source), *options]
    subprocess.run(argv, check=True, capture_output=True)
    return path


def library(folder: Path, name: str, *options: str) -> Path:
    """Return a compiled library that defines ``own``."""
    source, path = folder / "own.c", folder / name
    source.write_text("int own(void) { return 0; }\n")
    argv = ["gcc", "-shared", "-fPIC", "-o", str(path), str(source), *options]
    subprocess.run(argv, check=True, capture_output=True)
    return path


def plain(folder: Path) -> Path:
    """Build a program as any other."""
    return build(folder)


def static(folder: Path) -> Path:
    """Build one without loader and libraries."""
    return build(folder, "-static")


def beside(folder: Path) -> Path:
    """Build one that finds its library through ``$ORIGIN``."""
    library(folder, "libown.so")
    return build(folder, f"-L{folder}", "-lown", "-Wl,-rpath,$ORIGIN", own="own()")


def without_library(folder: Path) -> Path:
    """Build one whose library is gone afterwards."""
    gone = library(folder, "libown.so")
    path = build(folder, f"-L{folder}", "-lown", own="own()")
    gone.unlink()
    return path


def newer_glibc(folder: Path) -> Path:
    """Build one, and let it ask libc.so.6 for a version that no glibc has."""
    path = build(folder)
    data = path.read_bytes()
    assert b"GLIBC_2.34\0" in data
    path.write_bytes(data.replace(b"GLIBC_2.34\0", b"GLIBC_2.99\0"))
    return path


def other_processor(folder: Path) -> Path:
    """Build one, and let its header say aarch64."""
    path = build(folder)
    data = bytearray(path.read_bytes())
    data[18:20] = (183).to_bytes(2, "little")
    path.write_bytes(data)
    return path


def cut_off(folder: Path) -> Path:
    """Build one, and copy half of it."""
    path = build(folder)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 5])
    return path


def empty(folder: Path) -> Path:
    """Make a file of no bytes that may be executed."""
    path = folder / "program"
    path.touch(mode=0o755)
    return path


def text(folder: Path) -> Path:
    """Make one that holds a page of an error message instead."""
    path = folder / "program"
    path.write_text("<html>404</html>\n")
    path.chmod(0o755)
    return path


def script(folder: Path) -> Path:
    """Make a script for a shell that is here."""
    return written(folder, "/bin/sh -e")


def script_without_shell(folder: Path) -> Path:
    """Make a script for one that is not."""
    return written(folder, "/bin/gone-sh")


def written(folder: Path, interpreter: str) -> Path:
    """Return a script."""
    path = folder / "program"
    path.write_text(f"#! {interpreter}\necho ran\n")
    path.chmod(0o755)
    return path


def not_executable(folder: Path) -> Path:
    """Build one that nobody may execute."""
    path = build(folder)
    path.chmod(0o644)
    return path


def without_loader(folder: Path) -> Path:
    """Build one for a loader that is not here, as on a host with musl."""
    return build(folder, "-Wl,--dynamic-linker=/lib64/gone-linux.so.2")


def summaries_of(*paths: Path) -> dict[str, ElfSummary]:
    """Return what the real probe says of files."""
    with tempfile.TemporaryDirectory() as folder:
        answers = Probe(folder=Path(folder)).ask({"elf": [str(path) for path in paths]})
    return {each["elf"]: elf_of(each["elf"], each["summary"]) for each in answers}


def _beside(path: Path) -> list[str]:
    """Return what a test put beside a program."""
    return [str(each) for each in path.parent.iterdir()] if path.name == "program" else []


def machine_of(path: Path) -> Machine:
    """Return a node with this machine's libraries and the program as its runtime."""
    machine = Machine(binaries=())
    machine.files["/etc/nvidia-container-runtime/config.toml"] = (
        '[nvidia-container-runtime]\nmode = "cdi"\n'
    )
    libc = next(p for f in LIBRARY_FOLDERS if (p := Path(f"{f}/libc.so.6")).exists())
    machine.elf = summaries_of(libc, path)
    wanted = [each for found in machine.elf.values() for each in found.needed]
    places = [f"{folder}/{name}" for folder in LIBRARY_FOLDERS for name in wanted]
    places += [str(each.interpreter) for each in machine.elf.values() if each.interpreter]
    machine.host = {
        each: HOST[each] for each in ("/proc/1/mountinfo", "/proc/1/cmdline", "/etc/ld.so.conf")
    }
    real = [*(each for each in places if Path(each).exists()), *_beside(path)]
    machine.host |= dict.fromkeys(real, "ELF")
    machine.listed = ["/bin", str(path.parent)]
    return machine


@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (plain, None),
        (static, None),
        (beside, None),
        (script, None),
        (without_library, "runtime/library-missing"),
        (newer_glibc, "runtime/toolkit-glibc-too-new"),
        (other_processor, "runtime/binary-wrong-architecture"),
        (cut_off, "runtime/binary-damaged"),
        (empty, "runtime/binary-damaged"),
        (text, "runtime/binary-damaged"),
        (script_without_shell, "runtime/interpreter-missing"),
        (without_loader, "runtime/interpreter-missing"),
        (not_executable, "runtime/binary-not-executable"),
    ],
)
def test_what_is_said_is_what_happens(
    tmp_path: Path, make: Callable[[Path], Path], cause: str | None
) -> None:
    """A program that is found good runs, one that is found bad does not."""
    path = make(tmp_path)
    assert judged(path) == cause
    assert runs(path) == (cause is None)


def judged(path: Path) -> str | None:
    """Return the cause that is named for a program where it lies."""
    machine = machine_of(path)
    name = str(path)
    machine.modes[name] = path.stat().st_mode & 0o777
    machine.host[name] = "ELF" if path.stat().st_size else ""
    machine.links[NVIDIA] = name
    finding = first_of(machine.node(), *CHECKS)
    return finding.cause if finding else None


def runs(path: Path) -> bool:
    """Say whether a program starts and ends well."""
    try:
        done = subprocess.run([path], capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return False
    return done.returncode == 0 and done.stdout == "ran\n"


INSIDE = """
set -e
mount -t tmpfs -o noexec,mode=0755 none "$1"
cp "$2" "$1/program"
cat /proc/self/mountinfo
"$1/program" >/dev/null 2>&1 && echo RAN || echo REFUSED
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_mount_without_execution_is_read_as_the_kernel_writes_it(tmp_path: Path) -> None:
    """In mount namespace of its own; the kernel refuses what is found bad."""
    path = build(tmp_path)
    place = tmp_path / "a place"
    place.mkdir()
    argv = ["unshare", "--mount", "sh", "-c", INSIDE, "sh", str(place), str(path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no mount is allowed here: {done.stderr.strip()}")
    assert done.stdout.rstrip().endswith("REFUSED")
    machine = Machine(binaries=())
    machine.files["/etc/nvidia-container-runtime/config.toml"] = (
        '[nvidia-container-runtime]\nmode = "cdi"\n'
    )
    machine.host["/proc/1/mountinfo"] = done.stdout
    machine.host[f"{place}/program"] = "ELF"
    machine.links[NVIDIA] = f"{place}/program"
    finding = check_executable.on_noexec_mount(machine.node())
    assert finding
    assert finding.values["mount"] == str(place)


def test_this_machines_own_programs_find_what_they_need() -> None:
    """No false alarm on what the distribution installed and everybody runs."""
    for name in ("sh", "ls", "mount"):
        found = shutil.which(name)
        assert found
        assert judged(Path(found).resolve()) is None, found
