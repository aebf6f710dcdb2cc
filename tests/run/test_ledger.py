"""The ledger: first failing layer per node, kept in files."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from pytest_gpu.layers import Layer, node_of
from pytest_gpu.run.ledger import Ledger, new_ledger


def test_lowest_layer_is_kept(tmp_path: Path) -> None:
    """Whatever order failures arrive in."""
    ledger = Ledger(tmp_path)
    assert ledger.first_failure("gpu-1") is None
    for layer in (Layer.RUNTIME, Layer.DRIVER, Layer.SANDBOX):
        ledger.record("gpu-1", layer)
    assert ledger.first_failure("gpu-1") is Layer.DRIVER
    assert ledger.first_failure("gpu-1-a") is None


def test_another_process_reads_the_same(tmp_path: Path) -> None:
    """A worker that replaces a crashed one has no memory of its own."""
    Ledger(tmp_path).record("gpu-1", Layer.DRIVER)
    Ledger(tmp_path).begin("gw0", {"nodeid": "t.py::test_x[gpu-1]"})
    Ledger(tmp_path).plan({"tests": {"gpu-1": {"driver": 2}}})
    later = Ledger(tmp_path)
    assert later.first_failure("gpu-1") is Layer.DRIVER
    assert later.running("gw0") == {"nodeid": "t.py::test_x[gpu-1]"}
    assert later.running("gw1") == {}
    assert later.planned() == {"tests": {"gpu-1": {"driver": 2}}}


def test_workers_note_the_plan_at_the_same_time(tmp_path: Path) -> None:
    """Neither loses its half-written file to the other."""
    with ProcessPoolExecutor(2) as workers:
        list(workers.map(_plan_often, [tmp_path] * 2))
    assert Ledger(tmp_path).planned() == {"tests": {}}
    assert len(list(tmp_path.iterdir())) == 1


def _plan_often(folder: Path) -> None:
    for _ in range(300):
        Ledger(folder).plan({"tests": {}})


@pytest.mark.parametrize("name", ["../../etc/x", "..", "a/b", "/etc/passwd", "é"])
def test_names_of_a_recording_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    """A stranger wrote them."""
    folder = tmp_path / "ledger"
    folder.mkdir()
    ledger = Ledger(folder)
    ledger.record(name, Layer.DRIVER)
    assert ledger.first_failure(name) is Layer.DRIVER
    assert len(list(folder.iterdir())) == 1
    assert list(tmp_path.iterdir()) == [folder]


def test_new_ledger_is_removed() -> None:
    """Nothing is left behind."""
    ledger, remove = new_ledger()
    ledger.record("gpu-1", Layer.DRIVER)
    remove()
    assert not ledger.directory.exists()


@pytest.mark.parametrize(
    ("nodeid", "node"),
    [
        ("t.py::test_x[gpu-1]", "gpu-1"),
        ("t.py::test_x[gpu-1-all]", "gpu-1"),
        ("t.py::test_x[gpu-1-a]", "gpu-1-a"),
        ("t.py::test_x[gpu-1-a-all]", "gpu-1-a"),
        ("t.py::test_x[gpu-10]", None),
        ("t.py::test_x", None),
        ("t.py::test_x[other]", None),
    ],
)
def test_node_of_an_id_is_the_longest_match(nodeid: str, node: str | None) -> None:
    """Node names contain what also separates parameters."""
    assert node_of(nodeid, ("gpu-1", "gpu-1-a")) == node
