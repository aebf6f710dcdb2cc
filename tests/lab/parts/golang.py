"""A Go that builds modules: the machine's, else Debian's newest, unpacked."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.lab.parts import debian

SUITE = "sid"
PACKAGES = ("golang-1.26-go", "golang-1.26-src")
ROOT = "usr/lib/go-1.26"

OLDEST = (1, 21)
"""The first release that fetches a newer Go itself where a module needs one."""

FLAGS = "-mod=readonly -buildvcs=false -trimpath -modcacherw"
SECONDS = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Go:
    """A ``go`` command; all that it fetches or builds stays below ``work``."""

    program: Path
    work: Path

    @property
    def scratch(self) -> tuple[Path, Path]:
        """The sources of modules, and Go's own cache of what it compiled."""
        return self.work / "mod", self.work / "build"

    def environment(self, cgo: bool) -> dict[str, str]:
        """Return the environment of its commands: the user's, with our flags and caches."""
        paths = dict(zip(("GOMODCACHE", "GOCACHE"), map(str, self.scratch), strict=True))
        own = {"GOFLAGS": FLAGS, "GOWORK": "off", "GOROOT": "", "CGO_ENABLED": str(int(cgo))}
        return {**os.environ, **paths, **own}

    def run(self, folder: Path, *arguments: str, cgo: bool = False) -> str:
        """Run a command of Go in the folder of a module, at low priority; return its output.

        Raises:
            Missing: it failed; the message ends with Go's own words.
        """
        done = subprocess.run(
            ["/usr/bin/nice", "-n", "19", str(self.program), *arguments],
            check=False,
            cwd=folder,
            env=self.environment(cgo),
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        if done.returncode:
            command = f"go {arguments[0]} in {folder.name}"
            raise debian.Missing(f"{command}: exit {done.returncode}: {done.stderr.strip()[-500:]}")
        return done.stdout.strip()


def find() -> Go:
    """Return the Go on the PATH, or Debian's own where there is none or it is too old.

    Raises:
        Missing: neither is to be had.
    """
    found = shutil.which("go")
    if found and is_new_enough(_version(Path(found))):
        return Go(program=Path(found), work=work())
    try:
        root = debian.unpacked(PACKAGES[0], SUITE, *PACKAGES)
    except debian.Missing as missing:
        why = f"{found} is too old" if found else "there is none on the PATH"
        oldest = ".".join(map(str, OLDEST))
        raise debian.Missing(f"needs Go {oldest} or newer: {why}, and {missing}") from missing
    return Go(program=root / ROOT / "bin/go", work=work())


def work() -> Path:
    """Return the folder of everything that is built from Go modules."""
    return debian.cache() / "go"


def is_new_enough(version: str) -> bool:
    """Say whether a version such as ``go1.26.8`` can build our modules."""
    found = re.match(r"go(\d+)\.(\d+)", version)
    return found is not None and (int(found[1]), int(found[2])) >= OLDEST


def _version(program: Path) -> str:
    """Return the version that the command itself has."""
    done = subprocess.run(
        [str(program), "env", "GOVERSION"],
        check=False,
        cwd="/",
        env={**os.environ, "GOTOOLCHAIN": "local"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout.strip()
