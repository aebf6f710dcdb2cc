"""Run the shipped suite as users do: from the wheel, in an empty folder, in fresh environments.

``python tests/project/wheel_check.py`` builds the wheel, installs it four times (with and without
xdist and allure, over the oldest and newest pytest that we support) and judges two recorded
clusters with ``-W error``. mypy checks the example project of the docs against the installed wheel.
It prints a line for each run, and exits 1 if any differs from what is expected.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import venv
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = (
    "pyproject.toml",
    "setup.py",
    "README.md",
    "LICENSE",
    "pytest_gpu",
    "conformance",
    "fixtures",
)
EXAMPLE = ROOT / "docs/example"
SECONDS = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """One environment: what is installed beside the wheel, and how pytest is called."""

    name: str
    extras: str
    pytest: str
    options: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What judging a sample must come to: exit code, and words the output must hold."""

    sample: str
    exit: int
    words: str


SETUPS = (
    Setup(name="plain", extras="", pytest="pytest==9.0.*"),
    Setup(name="xdist", extras="[xdist]", pytest="pytest==9.1.*", options=["-n2"]),
    Setup(name="allure", extras="[allure]", pytest="pytest==9.0.*", options=["--alluredir=allure"]),
    Setup(
        name="xdist and allure",
        extras="[xdist,allure]",
        pytest="pytest>=9.2",
        options=["-n2", "--alluredir=allure"],
    ),
)

EXPECTED = (
    Expected(sample="healthy-kubeadm", exit=0, words="conforms"),
    Expected(sample="nouveau", exit=1, words="/nouveau"),
)


def main() -> int:
    """Return how many runs came out differently from what was expected."""
    with tempfile.TemporaryDirectory(prefix="pytest-gpu-wheel-") as folder:
        wheel = build(Path(folder))
        with ThreadPoolExecutor() as pool:
            return sum(pool.map(lambda setup: check(setup, wheel, Path(folder)), SETUPS))


def build(folder: Path) -> Path:
    """Build the wheel from a copy of the sources: nothing left by earlier builds gets in."""
    return wheel_of(sources(folder), folder)


def sources(folder: Path) -> Path:
    """Copy what the wheel is made of; return where it is."""
    source = folder / "source"
    source.mkdir()
    for name in SOURCES:
        _copy(ROOT / name, source / name)
    return source


def wheel_of(source: Path, folder: Path) -> Path:
    """Build the wheel of a copy of the sources."""
    _run([sys.executable, "-m", "pip", "-qq", "wheel", "--no-deps", "-w", folder, source])
    return next(folder.glob("*.whl"))


def _copy(path: Path, to: Path) -> None:
    if path.is_dir():
        shutil.copytree(path, to, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(path, to)


def check(setup: Setup, wheel: Path, folder: Path) -> int:
    """Judge every sample in one environment; return how many came out wrong."""
    environment = folder / setup.name.replace(" ", "-")
    python = environment / "bin/python"
    venv.create(environment, with_pip=False)
    install: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "--quiet",
        "--python",
        python,
        "install",
    ]
    _run([*install, f"{wheel}{setup.extras}", setup.pytest])
    version = _run([python, "-m", "pytest", "--version"]).stdout.strip()
    wrong = sum(_judge(setup, expected, python, version) for expected in EXPECTED)
    return wrong + (check_types(python) if setup is SETUPS[0] else 0)


def check_types(python: Path) -> int:
    """Check the example project with mypy, as a user would; return whether it found a fault."""
    with tempfile.TemporaryDirectory() as name:
        project = Path(name) / "project"
        shutil.copytree(EXAMPLE, project)
        argv: list[str | Path] = [sys.executable, "-m", "mypy", "--strict"]
        done = _run([*argv, "--python-executable", python, "."], cwd=project, check=False)
    # Its configuration has strict, too; a line of its own that ignores a fault would be one.
    ignores = [f for f in EXAMPLE.rglob("*.py") if "type: ignore" in f.read_text(encoding="utf-8")]
    result = "ok" if done.returncode == 0 and not ignores else f"WRONG\n{done.stdout}{ignores}"
    print(f"wheel, mypy --strict of docs/example: {result}")  # noqa: T201 - a script
    return int(result != "ok")


def _judge(setup: Setup, expected: Expected, python: Path, version: str) -> int:
    argv: list[str | Path] = [
        python,
        "-m",
        "pytest",
        "-W",
        "error",
        f"--gpu-cluster=sample:{expected.sample}",
    ]
    with tempfile.TemporaryDirectory() as empty:
        done = _run([*argv, *setup.options], cwd=Path(empty), check=False)
    right = done.returncode == expected.exit and expected.words in done.stdout
    result = "ok" if right else f"WRONG, exit code {done.returncode}"
    print(f"wheel, {setup.name}, {version}: {expected.sample}: {result}")  # noqa: T201 - a script
    if not right:
        print(done.stdout, done.stderr, sep="\n")  # noqa: T201 - a script
    return not right


def _run(
    argv: list[str | Path], cwd: Path | None = None, *, check: bool = True
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        argv, cwd=cwd, check=False, capture_output=True, text=True, timeout=SECONDS
    )
    if check and done.returncode:
        sys.exit(f"{' '.join(map(str, argv))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


if __name__ == "__main__":
    sys.exit(min(main(), 1))
