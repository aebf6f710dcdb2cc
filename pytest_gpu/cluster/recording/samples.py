"""The sample clusters that ship with the package: recordings for demos, tests and overlays."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from pytest_gpu.cluster.recording.manifest import FILE
from pytest_gpu.errors import RecordingError
from pytest_gpu.text.naming import nearest


def sample_names() -> tuple[str, ...]:
    """Return the names of all samples, sorted."""
    root = _root()
    if not root.is_dir():
        return ()
    return tuple(sorted(entry.name for entry in root.iterdir() if (entry / FILE).is_file()))


def sample_path(name: str) -> Path:
    """Return the folder of a sample.

    Raises:
        RecordingError: there is no such sample; the message lists the nearest names.
    """
    names = sample_names()
    if name in names:
        return _root() / name
    if not names:
        raise RecordingError(f"{name!r} is not a sample; no samples are installed")
    raise RecordingError(
        f"{name!r} is not a sample; the nearest are {nearest(name, names)}; "
        "--gpu-cluster=sample: lists all"
    )


def _root() -> Path:
    # files() knows where the folder is, also in an editable install that maps packages.
    return Path(str(files("pytest_gpu.fixtures"))) / "recorded"


def is_sample(path: Path) -> bool:
    """Return whether a folder is a sample, whose files ship with the package."""
    return path.absolute().parent == _root().absolute()
