"""The probe as one file: a zip archive that any Python from 3.6 on can run."""

from __future__ import annotations

import importlib.util
import io
import zipfile
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from pytest_gpu.errors import GpuError

PACKAGE = "gpu_probe"

MAIN = f"""\
import sys
from {PACKAGE}.main import main
main(sys.argv[1:], sys.stdin.buffer, sys.stdout.buffer)
"""

BOOTSTRAP = f"""\
import sys, tempfile
size = int(sys.stdin.buffer.readline())
app = tempfile.TemporaryFile()
app.write(sys.stdin.buffer.read(size))
app.flush()
sys.path.insert(0, "/proc/self/fd/%d" % app.fileno())
from {PACKAGE}.main import main
main(sys.argv[1:], sys.stdin.buffer, sys.stdout.buffer)"""
"""Reads the probe from standard input into a file without a name, and runs it."""

_DATE = (1980, 1, 1, 0, 0, 0)
"""The oldest date in a zip file: the same sources give the same bytes."""


@lru_cache(maxsize=1)
def probe_app() -> bytes:
    """Return the probe with pynvml as a zip archive, about 90 KB, for ``python3 FILE``.

    Raises:
        GpuError: pynvml is not installed here.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in sorted(_sources().items()):
            archive.writestr(zipfile.ZipInfo(name, _DATE), text, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def sent_app() -> bytes:
    """Return what :data:`BOOTSTRAP` reads: the size of the probe in a line, then the probe."""
    app = probe_app()
    return b"%d\n%s" % (len(app), app)


def _sources() -> dict[str, bytes]:
    found = {"__main__.py": MAIN.encode(), "pynvml.py": _pynvml()}
    for file in files("pytest_gpu.probe").iterdir():
        if file.name.endswith(".py"):
            found[f"{PACKAGE}/{file.name}"] = file.read_bytes()
    return found


def _pynvml() -> bytes:
    spec = importlib.util.find_spec("pynvml")
    if spec is None or spec.origin is None:
        raise GpuError("the module pynvml is not installed; run: pip install nvidia-ml-py")
    return Path(spec.origin).read_bytes()
