"""Our own errors while working out what to ask: each costs one check, and is noted."""

from __future__ import annotations

import pytest

from pytest_gpu.checks import Registered, asked_by_visits, check
from pytest_gpu.cluster.recording.recorded import open_recording
from pytest_gpu.cluster.recording.samples import sample_path
from pytest_gpu.cluster.visits.seen import SeenNode
from pytest_gpu.cluster.visits.visit import drive
from pytest_gpu.evidence import Door
from pytest_gpu.gpu_node import Node
from pytest_gpu.survey import wishes
from tests.samples.sample_table import SAMPLES
from tests.support.replay import Replay

OURS = "our own error in "


def visited(sample: str) -> dict[str, tuple[SeenNode, Replay]]:
    """Return what a visit to each node of a sample brings, and what it asked."""
    found = {}
    with open_recording(sample_path(sample), sample) as cluster:
        for name in cluster.node_names():
            seen, replay = SeenNode(name, Door(kind="pod")), Replay(cluster.node(name))
            drive(replay, seen, cluster)
            found[name] = seen, replay
    return found


@check("made/up")
def broken(node: Node) -> None:
    """Divide by zero once the kernel's version is known."""
    if node.evidence.read("/proc/version"):
        raise ZeroDivisionError("of ours")


def test_an_error_of_ours_costs_one_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is noted once with the visit, and all other questions are asked as before."""
    ((_, before),) = visited("healthy-kubeadm").values()
    every: dict[str, Registered] = {"made/up": broken, **asked_by_visits()}
    monkeypatch.setattr(wishes, "asked_by_visits", lambda: every)
    ((seen, replay),) = visited("healthy-kubeadm").values()
    assert [note for note in seen.notes if note.startswith(OURS)] == [
        f"{OURS}made/up: ZeroDivisionError: of ours"
    ]
    assert replay.rounds == before.rounds


@pytest.mark.parametrize("sample", sorted(SAMPLES))
def test_no_check_fails_on_incomplete_evidence(sample: str) -> None:
    """A check may find evidence missing or damaged, in any round of a visit; nothing else."""
    for seen, replay in visited(sample).values():
        assert [note for note in seen.notes if note.startswith(OURS)] == []
        assert len(replay.rounds) > 1
