"""Seed small faults into a copy of the product, one at a time, and see whether a test fails.

    python tests/project/seeded_faults.py [WORD ...]

With words, only the faults whose layer or test has one of them are seeded.

The faults stand in ``seeded_faults.toml`` beside this file. A fault is found by its text and its
test by its name, wherever they stand, so that files may move. It ends with 1 when a fault survives,
its text is not found exactly once, or its test fails without it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

PRODUCT = "pytest_gpu"
TESTS = "tests"
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".*_cache", "__pycache__", "site", "build")
UNUSED = ("hypothesispytest", "allure_pytest", "xdist", "xdist.looponfail", "pytest-kind")
"""Plugins that the named tests do without."""
SECONDS = 300
"""A test that runs longer than this has noticed the fault, too."""


class WrongFaultError(Exception):
    """A fault cannot be seeded as it is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A text of the product, what is put in its place, and the test that must notice."""

    layer: str
    old: str
    new: str
    test: str


def faults(words: Sequence[str] = (), file: Path | None = None) -> list[Fault]:
    """Return the faults of a file whose layer or test has one of the words; all without words."""
    text = (file or Path(__file__).with_suffix(".toml")).read_text(encoding="utf-8")
    found = [Fault(**each) for each in tomllib.loads(text)["fault"]]
    return [f for f in found if not words or any(w in f"{f.layer} {f.test}" for w in words)]


def place_of(fault: Fault, root: Path) -> Path:
    """Return the file of the product that holds the fault's text.

    Raises:
        WrongFaultError: not exactly one place does, or nothing would change.
    """
    if fault.old == fault.new:
        raise WrongFaultError("it changes nothing")
    return _only(root / PRODUCT, "*.py", re.compile(re.escape(fault.old)), fault.old)


def id_of(fault: Fault, root: Path) -> str:
    """Return the ID of the fault's test, as pytest takes it.

    Raises:
        WrongFaultError: there is not exactly one test of that name.
    """
    pattern = re.compile(rf"^def {re.escape(fault.test)}\(", re.MULTILINE)
    file = _only(root / TESTS, "test_*.py", pattern, fault.test)
    return f"{file.relative_to(root)}::{fault.test}"


def _only(folder: Path, files: str, pattern: re.Pattern[str], what: str) -> Path:
    hits = [
        path
        for path in sorted(folder.rglob(files))
        for _ in pattern.finditer(path.read_text(encoding="utf-8"))
    ]
    if len(hits) != 1:
        raise WrongFaultError(f"found {len(hits)} times below {folder.name}/, not once: {what}")
    return hits[0]


class Copy:
    """A copy of the checkout in which tests are run."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root = folder / "copy"
        shutil.copytree(root, self.root, ignore=LEFT_OUT, symlinks=True)
        self._compiled = folder / "compiled"
        self._clock = 0

    def failure(self, *tests: str) -> str:
        """Return the end of what pytest says of tests that fail, empty if they pass.

        Raises:
            WrongFaultError: they could not be run at all.
        """
        unused = [word for name in UNUSED for word in ("-p", f"no:{name}")]
        argv = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *unused]
        env = {**os.environ, "PYTHONPATH": str(self.root)}
        env["PYTHONPYCACHEPREFIX"] = str(self._compiled)
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        try:
            done = subprocess.run(
                [*argv, *tests],
                cwd=self.root,
                env=env,
                capture_output=True,
                text=True,
                check=False,
                timeout=SECONDS,
            )
        except subprocess.TimeoutExpired:
            return f"no end within {SECONDS} s"
        said = f"{done.stdout}{done.stderr}"[-1000:]
        if done.returncode not in (0, 1):
            raise WrongFaultError(f"the tests do not run: {said}")
        return said if done.returncode else ""

    def survives(self, fault: Fault) -> bool:
        """Say whether the fault's test passes although the fault is there."""
        path, test = place_of(fault, self.root), id_of(fault, self.root)
        right = path.read_text(encoding="utf-8")
        self._write(path, right.replace(fault.old, fault.new))
        try:
            return not self.failure(test)
        finally:
            self._write(path, right)

    def _write(self, path: Path, text: str) -> None:
        path.write_text(text, encoding="utf-8")
        # Python tells a file by its time in seconds and its size: no two may look alike.
        self._clock += 1
        os.utime(path, (self._clock, self._clock))


def results(chosen: Sequence[Fault], copy: Copy) -> Iterator[tuple[Fault, str]]:
    """Yield what became of each fault: caught, or why not."""
    for fault in chosen:
        try:
            yield fault, "SURVIVED" if copy.survives(fault) else "caught"
        except WrongFaultError as error:
            yield fault, f"WRONG: {error}"


def main(words: Sequence[str], root: Path, file: Path | None = None) -> int:
    """Seed the chosen faults, print what became of them; return the exit code."""
    chosen = faults(words, file)
    with tempfile.TemporaryDirectory() as folder:
        copy = Copy(root, Path(folder))
        if wrong := _wrong_without(chosen, copy):
            return _say(wrong, 1)
        caught = 0
        for number, (fault, outcome) in enumerate(results(chosen, copy), 1):
            caught += outcome == "caught"
            _say(f"{number:3} {fault.layer:15} {fault.test}: {outcome}")
            if outcome != "caught":
                _say(f"    {fault.old!r} -> {fault.new!r}")
    return _say(
        f"{caught} of {len(chosen)} seeded faults caught", int(caught < len(chosen) or not caught)
    )


def _wrong_without(chosen: Sequence[Fault], copy: Copy) -> str:
    """Return what is wrong before anything is seeded, empty if nothing."""
    if not chosen:
        return "no such fault"
    try:
        for fault in chosen:
            place_of(fault, copy.root)
        failed = copy.failure(*dict.fromkeys(id_of(fault, copy.root) for fault in chosen))
    except WrongFaultError as error:
        return str(error)
    return f"a test fails without any fault: {failed}" if failed else ""


def _say(line: str, code: int = 0) -> int:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], Path(__file__).parents[2]))
