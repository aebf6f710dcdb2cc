"""Run the unit tests on every Python that is found, one after the other, each in its own venv.

``python tests/project/matrix.py FOLDER [WORD...]`` looks for each version on PATH and among
pyenv's, calls ``make test-unit`` with an environment below FOLDER and the words as ``ARGS``, and
prints a line for each version. It exits 1 if the tests failed on any, or if no Python was found.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = ("3.11", "3.12", "3.13", "3.14")


def main(folder: str, words: Sequence[str]) -> int:
    """Return 0 if the unit tests passed on every Python that was found, and one was."""
    pythons = {version: find(version, places()) for version in VERSIONS}
    results = {
        version: _tested(python, Path(folder).resolve() / version, words)
        for version, python in pythons.items()
        if python
    }
    for version, python in pythons.items():
        print(f"Python {version}: {results.get(version, 'not found')}", python or "")  # noqa: T201
    return int(not results or any(not text.startswith("passed") for text in results.values()))


def places() -> Iterator[Path]:
    """Return the folders that may hold Pythons: those of PATH, then pyenv's."""
    yield from map(Path, os.environ.get("PATH", "").split(os.pathsep))
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from sorted(root.glob("versions/*/bin"))


def find(version: str, folders: Iterator[Path]) -> Path | None:
    """Return the first Python of a version that starts and can make environments."""
    candidates = (folder / f"python{version}" for folder in folders)
    return next((python for python in candidates if _works(python, version)), None)


def _works(python: Path, version: str) -> bool:
    code = "import ensurepip, sys; print('%d.%d' % sys.version_info[:2])"
    if not os.access(python, os.X_OK):
        return False
    done = subprocess.run(
        [python, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode == 0 and done.stdout.strip() == version


def _tested(python: Path, venv: Path, words: Sequence[str]) -> str:
    argv = ["make", "test-unit", f"PYTHON={python}", f"VENV={venv}", f"ARGS={shlex.join(words)}"]
    print(f"=== {python}", flush=True)  # noqa: T201 - a script
    started = time.monotonic()
    done = subprocess.run(argv, cwd=ROOT, check=False)
    result = "passed" if done.returncode == 0 else f"FAILED (exit code {done.returncode})"
    return f"{result} in {time.monotonic() - started:.0f} s"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
