"""The probe as tests meet it: built once, run by any Python, asked in rounds."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pytest_gpu.cluster.visits.probe_app import probe_app

OLDEST = "3.6"
VERSIONS = (OLDEST, "3.7", "3.8", "3.9", "3.10", "3.12", "3.13")


def python(version: str) -> str:
    """Return an interpreter of a version, this one for ``current``; skip where there is none."""
    if version == "current":
        return sys.executable
    installed = sorted(Path("~/.pyenv/versions").expanduser().glob(f"{version}.*/bin/python"))
    found = shutil.which(f"python{version}") or (str(installed[-1]) if installed else None)
    # A shim of pyenv is there for every version, whether that is installed or not.
    if installed and found and "shims" in found:
        found = str(installed[-1])
    if found is None:
        pytest.skip(f"there is no Python {version} on this machine")
    return found


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A probe in a file; ``options`` are its own."""

    folder: Path
    python: str = sys.executable
    options: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def app(self) -> Path:
        """The file."""
        path = self.folder / "probe.pyz"
        if not path.exists():
            path.write_bytes(probe_app())
        return path

    def ask(self, *rounds: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return all answers to some rounds of questions, without hello and done."""
        lines = [json.dumps({"round": at, **asked}) for at, asked in enumerate(rounds, 1)]
        result = subprocess.run(
            [self.python, "-I", "-B", str(self.app), *self.options],
            input="\n".join([*lines, '{"end": true}', ""]).encode(),
            capture_output=True,
            check=True,
            timeout=60,
            env=dict(self.environment) or None,
        )
        assert result.stderr == b""
        first, *answers = [json.loads(line) for line in result.stdout.splitlines()]
        assert first["hello"] == 1
        assert [each["done"] for each in answers if "done" in each] == [*range(1, len(rounds) + 1)]
        return [each for each in answers if "done" not in each]

    def one(self, **asked: Any) -> dict[str, Any]:
        """Return the only answer to one question."""
        (answer,) = self.ask(asked)
        return answer

    def read(self, path: str, **more: Any) -> bytes:
        """Return a file's bytes."""
        return base64.b64decode(self.one(read=[{"path": path, **more}])["data"])
