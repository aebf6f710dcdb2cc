"""Recordings and reports are for this user only, whatever the umask."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pytest_gpu import private_files
from pytest_gpu._allure import write_categories
from pytest_gpu.cluster.recording.copying import record
from pytest_gpu.cluster.recording.recorded import open_recording
from pytest_gpu.cluster.recording.recorder import Recorder
from pytest_gpu.cluster.recording.samples import sample_path
from pytest_gpu.evidence import CommandResult, Door, Entry
from pytest_gpu.report.json import write
from pytest_gpu.run.ledger import Ledger
from pytest_gpu.settings.user_files import report_file


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    """The umask of most machines, under which files are for everybody."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> list[str]:
    """Return what others may read below a folder, and what has not just the mode it should."""
    modes = {path: path.stat().st_mode & 0o777 for path in folder.rglob("*")}
    assert modes
    wanted = {True: 0o700, False: 0o600}
    return [f"{path}: {mode:o}" for path, mode in modes.items() if mode != wanted[path.is_dir()]]


def test_recording_that_is_taken_is_private(tmp_path: Path) -> None:
    """The spool folder and what the recorder writes into it."""
    recorder = Recorder(tmp_path / "new" / "spool", taken=datetime.now(UTC))
    recorder.add_objects("pods", [{"kind": "Pod", "metadata": {"name": "p"}}])
    node = recorder.node("gpu-1")
    node.add_door(Door(kind="pod"))
    node.add_file("/etc/containerd/config.toml", b"version = 2\n")
    node.add_entry(Entry(path="/dev/nvidia0", kind="char"))
    node.add_command(CommandResult(argv=("uname",), exit=0))
    node.add_nvml({"init": {}})
    node.add_outcome("pod", {"skipped": "no"})
    node.close()
    assert open_to_others(tmp_path) == []


@pytest.mark.parametrize("name", ["folder", "archive.tar.gz"])
def test_recording_that_is_kept_is_private(tmp_path: Path, name: str) -> None:
    """--gpu-record writes a folder or an archive; an archive that is unpacked stays private."""
    to = tmp_path / "deep" / "er" / name
    record(sample_path("no-driver"), to)
    assert open_to_others(tmp_path) == []
    if to.is_file():
        with tarfile.open(to) as archive:
            modes = {(member.isdir(), member.mode) for member in archive}
        assert modes == {(True, 0o700), (False, 0o600)}
        with open_recording(to, "x") as opened:
            assert opened.node_names()


def test_report_is_private(tmp_path: Path) -> None:
    """--gpu-report=new/folder/out.json, with its folders."""
    write({"a": 1}, report_file(tmp_path / "new" / "folder" / "out.json"))
    assert open_to_others(tmp_path) == []


def test_ledger_is_private(tmp_path: Path) -> None:
    """It holds names of nodes and tests."""
    Ledger(tmp_path).plan({"tests": 1})
    assert open_to_others(tmp_path) == []


def test_folders_that_are_there_keep_their_mode(tmp_path: Path) -> None:
    """The user's own folder is the user's own."""
    (tmp_path / "mine").mkdir(0o755)
    private_files.make_folder(tmp_path / "mine" / "new")
    assert (tmp_path / "mine").stat().st_mode & 0o777 == 0o755
    with pytest.raises(FileExistsError):
        private_files.create(tmp_path / "mine")


@pytest.mark.parametrize("plant", ["file", "symlink", "hardlink"])
def test_what_was_planted_in_the_place_of_a_file_is_replaced(tmp_path: Path, plant: str) -> None:
    """In a shared folder: nothing is written through a link or into a file that all can read."""
    victim, place = tmp_path / "victim", tmp_path / "out.json"
    victim.write_text("precious")
    if plant == "file":
        place.write_text("old")
    elif plant == "symlink":
        place.symlink_to(victim)
    else:
        place.hardlink_to(victim)
    write({"a": 1}, place)
    assert_new(place, victim)
    place.unlink()
    place.symlink_to(victim)
    private_files.write(place, b"{}")
    assert_new(place, victim)


def assert_new(place: Path, victim: Path) -> None:
    """Check that a file is one of its own, for this user only, and that the victim is as it was."""
    assert victim.read_text() == "precious"
    assert not place.is_symlink()
    assert place.stat().st_mode & 0o777 == 0o600
    assert place.stat().st_ino != victim.stat().st_ino


@pytest.mark.parametrize("plant", ["folder", "link"])
def test_folder_that_somebody_else_makes_meanwhile_is_refused(
    tmp_path: Path, plant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look and the creation; what is in it could be swapped afterwards."""
    (tmp_path / "elsewhere").mkdir()
    place, real = tmp_path / "new", Path.mkdir

    def too_late(folder: Path, mode: int, *, exist_ok: bool) -> None:
        if plant == "link":
            place.symlink_to(tmp_path / "elsewhere")
        real(folder, mode, exist_ok=exist_ok)

    monkeypatch.setattr(Path, "mkdir", too_late)
    if plant == "folder":
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(PermissionError, match="somebody else has just created it"):
        private_files.make_folder(place)


def test_files_for_allure_are_not_written_through_a_link(tmp_path: Path) -> None:
    """A link that leads nowhere yet would create what it names."""
    place = tmp_path / "categories.json"
    place.symlink_to(tmp_path / "victim")
    write_categories(place, ["runtime/a"])
    assert not (tmp_path / "victim").exists()
    assert "runtime/a" in place.read_text()
