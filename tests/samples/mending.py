"""Applying the patches of a fix: with the real programs in a folder, and in Python alone."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from pytest_gpu.steps import Step

_PATCH = re.compile(r"\$ sudo patch -d / -p1 <<'EOF'\n(.*?)EOF", re.DOTALL)
_UNIX = re.compile(r"\$ sudo sed -i 's/\\r\$//' (/\S+)")
_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


def shown(steps: Sequence[Step]) -> list[str]:
    """Return steps as a report shows them."""
    return [step.shown for step in steps]


def patches(fix: Sequence[str]) -> list[str]:
    """Return the steps of a fix that change files of the node."""
    return [step for step in fix if _PATCH.fullmatch(step) or _UNIX.fullmatch(step)]


def diffs(fix: Sequence[str]) -> list[str]:
    """Return the unified diffs of a fix."""
    return [match[1] for step in fix if (match := _PATCH.fullmatch(step))]


def apply(fix: Sequence[str], root: Path) -> None:
    """Do the patches of a fix as an admin would, with a folder for ``/``.

    Where the program patch is at hand it does them, and must agree with what Python alone makes.
    """
    for step in patches(fix):
        if match := _UNIX.fullmatch(step):
            path = Path(f"{root}{match[1]}")
            path.write_bytes(path.read_bytes().replace(b"\r\n", b"\n"))
        else:
            _patch(diffs([step])[0], root)


def _patch(diff: str, root: Path) -> None:
    path = Path(f"{root}{target(diff)}")
    wanted = applied(diff, path.read_bytes().decode() if path.exists() else "").encode()
    if program := shutil.which("patch"):
        argv = [program, "-d", str(root), "-p1"]
        done = subprocess.run(argv, input=diff, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert not {"fuzz", "offset"} & set(done.stdout.split()), done.stdout
        assert path.read_bytes() == wanted
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(wanted)


def target(diff: str) -> str:
    """Return the path of the file that a diff changes or makes."""
    match = re.search(r"^\+\+\+ (/\S+)$", diff, re.MULTILINE)
    assert match
    return match[1]


def applied(diff: str, before: str) -> str:
    """Return what a unified diff makes of a text; every context line must be there."""
    *whole, rest = before.split("\n")
    old = [f"{line}\n" for line in whole] + [rest]
    new: list[str] = []
    at = 0
    for line in _joined(diff):
        if match := _HUNK.match(line):
            start = int(match[1]) - (0 if match[2] == "0" else 1)
            new += old[at:start]
            at = start
        elif not line.startswith(("--- ", "+++ ")):
            if line[0] in " -":
                assert old[at] == line[1:]
                at += 1
            if line[0] in " +":
                new.append(line[1:])
    return "".join(new + old[at:])


def _joined(diff: str) -> list[str]:
    """Return a diff's lines; one without a line feed at its end has none."""
    lines: list[str] = []
    for line in diff.split("\n")[:-1]:
        if line.startswith("\\"):
            lines[-1] = lines[-1].removesuffix("\n")
        else:
            lines.append(line + "\n")
    return lines
