"""Clean-up: what a run leaves behind if it is interrupted or killed in the middle of a layer."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_gpu.layers import Layer
from tests.lab.cluster import LabCluster
from tests.lab.control_plane.account import Account
from tests.lab.nodes.daemons import wait_for
from tests.lab.nodes.node import Node
from tests.lab.rounds.judge import command, environment
from tests.lab.rounds.leftovers import host_files, in_cluster, leftovers, name_of

NODE = "n17"
DEADLINE = "pytest-gpu/deadline"
RUNS = int(os.environ.get("PYTEST_GPU_LAB_RUNS", "3"))
"""Healthy runs one after the other; PYTEST_GPU_LAB_RUNS=20 for more certainty."""

SECONDS = 180
"""Longest time of one run."""

HELD = "held"
HOLD = """
import time
from pathlib import Path
import pytest
from pytest_gpu.run.items import rung_of

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item):
    rung = rung_of(item)
    if rung is not None and str(rung.layer) == {layer!r}:
        Path({file!r}).touch()
        time.sleep(60)
"""
"""A plugin of pytest that stands still in the first test of a layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A run in a process of its own; ``temporary`` is its folder for temporary files."""

    process: subprocess.Popen[str]
    folder: Path
    temporary: Path
    output: Path

    def end(self, how: signal.Signals) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(how)
        return self.process.wait(SECONDS)


Sign = Callable[[LabCluster, Started], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Middle:
    """The middle of a layer: what tells that a run is there.

    Layers that create nothing are held in their first test. ``swept`` is up to which layer the
    next run has to go to meet all that was left.
    """

    name: str
    sign: Sign
    hold: Layer | None = None
    swept: Layer = Layer.ACCESS

    def options(self, folder: Path) -> list[str]:
        """Return the options of a run that is to be met there; write what they need."""
        if self.hold is None:
            return []
        (folder / "hold.py").write_text(
            HOLD.format(layer=str(self.hold), file=str(folder / HELD)), encoding="utf-8"
        )
        return ["-p", "hold", f"--gpu-layers={self.hold}"]


def pods(lab: LabCluster, prefix: str) -> list[str]:
    """Return the phases of the suite's pods whose names begin so."""
    listed = [pod for _, pod in in_cluster(lab.api, ["pods"])]
    return [pod["status"]["phase"] for pod in listed if name_of(pod).startswith(prefix)]


def _held(layer: Layer) -> Middle:
    return Middle(name=str(layer), sign=lambda _, run: (run.folder / HELD).exists(), hold=layer)


VISIT = Middle(name="visit", sign=lambda lab, _: "Running" in pods(lab, "visit-"))
SANDBOX = Middle(
    name="sandbox",
    sign=lambda lab, _: bool(host_files(lab.nodes[NODE])),
    swept=Layer.SANDBOX,
)
POD = Middle(name="runtimeclass-pod", sign=lambda lab, _: bool(pods(lab, "gpu-")))
CREATING = (VISIT, SANDBOX, POD)
MIDDLES = (
    VISIT,
    *map(_held, (Layer.ACCESS, Layer.HARDWARE, Layer.DRIVER, Layer.RUNTIME)),
    SANDBOX,
    _held(Layer.DEVICE_PLUGIN),
    POD,
)
every_middle = pytest.mark.parametrize("middle", MIDDLES, ids=lambda middle: middle.name)
every_creation = pytest.mark.parametrize("middle", CREATING, ids=lambda middle: middle.name)

CODES = {signal.SIGINT: int(pytest.ExitCode.INTERRUPTED), signal.SIGTERM: 128 + signal.SIGTERM}
"""The exit code of a run that a signal ends."""

every_signal = pytest.mark.parametrize("how", CODES, ids=lambda how: how.name)


@contextmanager
def started(folder: Path, *options: str) -> Iterator[Started]:
    """Start a run on one node in a folder that others may have used; it is gone afterwards."""
    temporary, output = folder / "tmp", folder / "output"
    temporary.mkdir(exist_ok=True)
    (folder / "pytest.ini").write_text("[pytest]\n")
    with output.open("w") as file:
        # Whoever runs in the background of a script has been told to ignore Ctrl-C.
        argv = ["env", "--default-signal=INT,TERM,HUP", *command(f"--gpu-nodes={NODE}", *options)]
        run = subprocess.Popen(
            argv,
            cwd=folder,
            env={**environment(), "TMPDIR": str(temporary), "PYTHONPATH": str(folder)},
            text=True,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Started(process=run, folder=folder, temporary=temporary, output=output)
    finally:
        run.kill()
        run.wait()


def interrupted(
    lab: LabCluster, folder: Path, middle: Middle, how: signal.Signals, *options: str
) -> Started:
    """Start a run, end it by a signal in the middle of a layer, and return what it was."""
    with started(folder, *middle.options(folder), *options) as run:

        def there() -> bool:
            assert run.process.poll() is None, run.output.read_text()
            return middle.sign(lab, run)

        wait_for(there, "the middle of the layer", seconds=120, pause=0.02)
        run.end(how)
    wait_for(lambda: not probes(lab.nodes[NODE]), "the probe to end")
    return run


def probes(node: Node) -> str:
    """Return the probes that still run on a node."""
    return node.run(["pgrep", "--full", r"probe\.pyz"]).stdout


def left_nothing(lab: LabCluster, run: Started, how: signal.Signals) -> None:
    """Check that a run that was interrupted removed everything before it ended."""
    output = run.output.read_text()
    assert run.process.returncode == CODES[how], output
    assert "Traceback" not in output
    assert leftovers(lab, NODE) == [], output
    left = [each.name for each in run.temporary.iterdir()]
    assert [name for name in left if not name.startswith("pytest-of-")] == []  # xdist's own


@every_signal
@every_middle
def test_a_signal_leaves_nothing(
    middle: Middle, how: signal.Signals, lab_cluster: LabCluster, user: Account, tmp_path: Path
) -> None:
    """In the shipped namespace, in the middle of every layer."""
    run = interrupted(lab_cluster, tmp_path, middle, how, *user.options())
    left_nothing(lab_cluster, run, how)
    assert "in namespace pytest-gpu," in run.output.read_text()


@every_creation
def test_workers_end_and_leave_nothing(
    middle: Middle, lab_cluster: LabCluster, user: Account, tmp_path: Path
) -> None:
    """SIGTERM reaches the controller alone; a worker has sandboxes and GPU pods of its own."""
    run = interrupted(lab_cluster, tmp_path, middle, signal.SIGTERM, "-n2", *user.options())
    left_nothing(lab_cluster, run, signal.SIGTERM)


@every_signal
@every_creation
def test_a_signal_removes_the_runs_own_namespace(
    middle: Middle, how: signal.Signals, lab_cluster: LabCluster, tmp_path: Path
) -> None:
    """Of an administrator, whose namespace is not there before."""
    where = [
        f"--gpu-cluster=context:{lab_cluster.context}",
        f"--gpu-kubeconfig={lab_cluster.kubeconfig}",
        "--gpu-namespace=lab-order",
    ]
    run = interrupted(lab_cluster, tmp_path, middle, how, *where)
    left_nothing(lab_cluster, run, how)
    assert "in namespace lab-order-" in run.output.read_text()


@every_middle
def test_what_a_killed_run_left_is_inert_and_swept(
    middle: Middle, lab_cluster: LabCluster, user: Account, tmp_path: Path
) -> None:
    """Only pods with a deadline, and folders that tell theirs."""
    interrupted(lab_cluster, tmp_path, middle, signal.SIGKILL, *user.options())
    inert(lab_cluster)
    with started(tmp_path, f"--gpu-layers={middle.swept}", *user.options()) as again:
        code = again.process.wait(SECONDS)
    output = again.output.read_text()
    assert code == 0, output
    assert "gpu: removed:" in output
    assert leftovers(lab_cluster, NODE) == []
    assert list(again.temporary.iterdir()) == []


def inert(lab: LabCluster) -> None:
    """Check that all that is left ends by itself or can do nothing, and says until when."""
    kept = in_cluster(lab.api)
    assert kept, "nothing was in the cluster"
    for kind, each in kept:
        assert each["metadata"]["annotations"][DEADLINE], each
        assert kind == "pods", kind
        assert each["spec"]["activeDeadlineSeconds"] > 0, each
    for path in host_files(lab.nodes[NODE]):
        assert path.name.split(".")[2].isdigit(), path


@pytest.mark.parametrize("number", range(RUNS))
def test_healthy_nodes_stay_healthy(
    number: int, lab_cluster: LabCluster, user: Account, tmp_path: Path
) -> None:
    """Run after run, without one false failure."""
    run = user.judge(tmp_path / str(number))
    assert run.exit == 0, run.output
    assert {verdict for verdict, _, _ in run.verdicts.values()} == {"conforms"}
    assert in_cluster(lab_cluster.api) == []
