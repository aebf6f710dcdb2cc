"""Private folders of one run on this machine; those of runs that were killed are removed."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from pytest_gpu.cluster.recording.owner import is_dead, this_process

PREFIX = "pytest-gpu-"


def new_folder() -> Path:
    """Return a new folder that only this user can read; its name says which run owns it.

    It is removed with this process at the latest.
    """
    _sweep(Path(tempfile.gettempdir()))
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{this_process()}-"))
    atexit.register(remove, folder)
    return folder


def remove(folder: Path) -> None:
    """Remove a folder of this run.

    After Ctrl-C threads may still write to it: under its new name they do not find it.
    """
    gone = folder.with_name(f"{folder.name}.gone")
    with suppress(FileNotFoundError):
        folder.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def _sweep(place: Path) -> None:
    for folder in place.glob(f"{PREFIX}*.*.*-*"):
        owner = folder.name.removeprefix(PREFIX).rpartition("-")[0]
        if is_dead(owner) and _is_mine(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _is_mine(folder: Path) -> bool:
    try:
        return folder.lstat().st_uid == os.getuid()
    except OSError:  # another run sweeps it at this moment
        return False
