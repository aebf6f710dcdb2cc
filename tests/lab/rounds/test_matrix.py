"""Real nodes broken in a running cluster, judged by ``pytest --gpu-cluster=CONTEXT``.

Many nodes are broken differently in one run: each must get its own verdict and its own cause, and
the others must stay green. What was recorded meanwhile must give the same verdicts offline.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.cluster import LabCluster
from tests.lab.rounds import rounds_high as high
from tests.lab.rounds import rounds_low as low
from tests.lab.rounds.cells import Cell, Round, broken, repaired
from tests.lab.rounds.judge import RECORDING, Judged, judge, judge_recording
from tests.lab.rounds.leftovers import leftovers

ROUNDS = (
    low.HEALTHY,
    low.RUNTIME,
    low.RUNTIME_MOVED,
    low.NVML,
    low.DRIVER_FILES,
    high.PLUGIN,
    high.USE,
    high.KUBERNETES,
    high.BY_SSH,
    high.BY_POD,
    high.DROP_IN,
    high.CLASS_MISSING,
    high.CLASS_MISSPELT,
)
CONFORMS = ("conforms", None, None)


@dataclass(frozen=True, kw_only=True)
class Played:
    """A round that was played: what was judged while the nodes were broken."""

    live: Judged
    offline: Judged
    left: tuple[str, ...]


Play = Callable[[Round], Played]


@pytest.fixture(scope="module")
def play(lab_cluster: LabCluster, tmp_path_factory: pytest.TempPathFactory) -> Play:
    """Return what plays a round, once: all its tests look at what was judged."""
    known: dict[str, Played | None] = {}

    def played(this: Round) -> Played:
        if this.name not in known:
            known[this.name] = None
            known[this.name] = _play(this, lab_cluster, tmp_path_factory.mktemp("round"))
        found = known[this.name]
        assert found, "the round could not be played: see its first test"
        return found

    return played


def _play(this: Round, cluster: LabCluster, folder: Path) -> Played:
    """Break the nodes of a round, judge them, repair them, and judge the recording."""
    with ExitStack() as stack:
        stack.callback(repaired, cluster, this.cells)
        broken(cluster, this.cells)
        live = judge(cluster, folder / "live", *this.options)
        left = tuple(leftovers(cluster))
    offline = judge_recording(folder / "live" / RECORDING, folder / "offline")
    return Played(live=live, offline=offline, left=left)


def _name(thing: Round | Cell) -> str:
    return thing.name if isinstance(thing, Round) else f"{thing.node}: {thing.name}"


CELLS = [
    pytest.param(this, cell, id=f"{_name(this)}-{_name(cell)}")
    for this in ROUNDS
    for cell in this.cells
]
every_round = pytest.mark.parametrize("this", ROUNDS, ids=_name)


@pytest.mark.parametrize(("this", "cell"), CELLS)
def test_broken_node_is_judged_by_its_own_cause(play: Play, this: Round, cell: Cell) -> None:
    """Verdict, layer and cause are those of this node, and the output says what it must."""
    played = play(this)
    said = played.live.verdicts[cell.node]
    assert said == (cell.verdict, cell.layer, cell.cause), f"{cell.sentence}\n{played.live.output}"
    assert cell.says in " ".join(played.live.output.split())


@every_round
def test_other_nodes_stay_green(play: Play, this: Round) -> None:
    """No fault of one node is told of another."""
    played = play(this)
    broken_ones = {cell.node for cell in this.cells}
    others = {name: said for name, said in played.live.verdicts.items() if name not in broken_ones}
    assert others == dict.fromkeys(others, CONFORMS), played.live.output


@every_round
def test_each_cause_names_its_nodes(play: Play, this: Round) -> None:
    """Nodes that fail for the same reason stand below one cause, no others."""
    played = play(this)
    wanted: dict[str, list[str]] = {}
    for cell in this.cells:
        if cell.cause:
            wanted.setdefault(cell.cause, []).append(cell.node)
    assert {k: sorted(v) for k, v in played.live.nodes_by_cause.items()} == wanted


@every_round
def test_exit_code_tells_a_script(play: Play, this: Round) -> None:
    """The run fails because of broken or unproven nodes, and only then."""
    played = play(this)
    assert played.live.exit == this.exit, played.live.output


@every_round
def test_recording_gives_the_same_verdicts(play: Play, this: Round) -> None:
    """What ``--gpu-record`` kept of the broken cluster is judged offline as it was live."""
    played = play(this)
    assert played.offline.verdicts == played.live.verdicts
    assert played.offline.nodes_by_cause == played.live.nodes_by_cause
    assert played.offline.exit == played.live.exit


@every_round
def test_run_leaves_nothing(play: Play, this: Round) -> None:
    """Neither in the cluster nor on the nodes is anything left of the suite."""
    played = play(this)
    assert played.left == ()
