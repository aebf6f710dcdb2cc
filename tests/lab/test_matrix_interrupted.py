"""Runs that end before they should: nothing stays, at the latest after the next start."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.lab.cluster import LabCluster
from tests.lab.daemons import wait_for
from tests.lab.judge import command, environment, judge
from tests.lab.leftovers import leftovers

AMID = 1.5
"""Seconds after the line that tells that something begins: what it creates is there by then."""

UP_TO_SANDBOX = "--gpu-layers=sandbox"


def interrupted(cluster: LabCluster, folder: Path, seen: str, how: signal.Signals) -> str:
    """Start a run, end it by a signal once it wrote ``seen``, and return what it wrote."""
    folder.mkdir()
    (folder / "pytest.ini").write_text("[pytest]\n")
    options = (
        f"--gpu-cluster=context:{cluster.context}",
        f"--gpu-kubeconfig={cluster.kubeconfig}",
    )
    # Whoever started the tests in the background may have them ignore Ctrl-C.
    heeds = ["env", "--default-signal=INT"]
    run = subprocess.Popen(
        [*heeds, *command(*options)],
        cwd=folder,
        env={**environment(), "PYTHONUNBUFFERED": "1"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert run.stdout
    output, sent = "", False
    with run:
        for line in run.stdout:
            output += line
            if seen in line and not sent:
                time.sleep(AMID)
                run.send_signal(how)
                sent = True
    assert sent, output
    return output


@pytest.mark.parametrize("seen", ["looking", "climbing sandbox", "climbing runtimeclass-pod"])
def test_ctrl_c_leaves_nothing(seen: str, lab_cluster: LabCluster, tmp_path: Path) -> None:
    """Ctrl-C while nodes are visited, while sandboxes or pods run: the run cleans up after it."""
    output = interrupted(lab_cluster, tmp_path / "run", seen, signal.SIGINT)
    assert "KeyboardInterrupt" in output, output
    wait_for(lambda: not list(leftovers(lab_cluster)), "nothing to be left", seconds=30)


def test_killed_run_is_swept_by_the_next(lab_cluster: LabCluster, tmp_path: Path) -> None:
    """What a run left that got SIGKILL amid its sandboxes is inert, and gone after the next run."""
    interrupted(lab_cluster, tmp_path / "killed", "climbing sandbox", signal.SIGKILL)
    left = list(leftovers(lab_cluster))
    assert any("namespaces" in each for each in left), left
    judged = judge(lab_cluster, tmp_path / "next", UP_TO_SANDBOX)
    assert "swept: " in judged.output
    assert judged.exit == 0, judged.output
    wait_for(lambda: not list(leftovers(lab_cluster)), "nothing to be left", seconds=30)
