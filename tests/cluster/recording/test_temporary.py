"""Private folders of a run: unseen by others, and not kept for ever when the run is killed."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pytest_gpu.cluster.recording.recorder import NodeRecorder
from pytest_gpu.cluster.recording.temporary import new_folder, remove
from pytest_gpu.errors import RecordingError

KILLED = (
    "import os; from pytest_gpu.cluster.recording.temporary import new_folder;"
    " print(new_folder()); "
)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the place of temporary files, in this process and in its children."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


def in_another_process(then: str) -> subprocess.Popen[str]:
    """Start a process that makes a folder and prints its path."""
    argv = [sys.executable, "-c", KILLED + then]
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_a_dead_runs_folder_is_swept(place: Path) -> None:
    """By the next run, whichever that is; folders of others stay."""
    other = place / "pytest-gpu-of-somebody"
    other.mkdir()
    with in_another_process("os._exit(1)") as run:
        assert run.stdout
        left = Path(run.stdout.readline().strip())
    assert left.is_dir()
    mine = new_folder()
    assert set(place.iterdir()) == {mine, other}
    assert mine.stat().st_mode & 0o077 == 0


def test_a_living_runs_folder_stays() -> None:
    """Two runs may go on at the same time."""
    with in_another_process("input()") as run:
        assert run.stdout
        theirs = Path(run.stdout.readline().strip())
        new_folder()
        assert theirs.is_dir()
        run.communicate("\n")


def test_a_thread_does_not_bring_a_removed_folder_back(place: Path) -> None:
    """After Ctrl-C a visit may still write what its node has answered."""
    folder = new_folder()
    (folder / "recording").mkdir()
    writer = NodeRecorder(folder / "recording" / "nodes" / "gpu-1")
    stopped = threading.Event()

    def write() -> None:
        for at in itertools.count():
            try:
                writer.add_file(f"/etc/{at}/config", b"text")
            except RecordingError:
                break
        stopped.set()

    threading.Thread(target=write, daemon=True).start()
    while not (folder / "recording/nodes/gpu-1/files/etc/9").exists():
        pass
    remove(folder)
    assert stopped.wait(10)
    assert list(place.iterdir()) == []


def test_a_folder_is_removed_twice_without_harm(place: Path) -> None:
    """By the run, and by the end of the process."""
    folder = new_folder()
    remove(folder)
    remove(folder)
    assert list(place.iterdir()) == []
