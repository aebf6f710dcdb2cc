"""Order in the house: what a run leaves that is interrupted or killed in the middle of a layer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.lab.account import MARKED, Account, ours
from tests.lab.cluster import LabCluster
from tests.lab.daemons import wait_for
from tests.lab.judge import command, environment
from tests.lab.node import Node

NODE = "n17"
DEADLINE = "pytest-gpu/deadline"
LISTED = ("crictl", "pods", "--label", "app.kubernetes.io/managed-by=pytest-gpu")
KUBELETS = "io.kubernetes.pod.uid"
"""A label of sandboxes that the kubelet made: it keeps those of pods that are gone for a while."""

PLACES = ("run", "tmp", "var/tmp", "opt", "var/lib")
RUNS = int(os.environ.get("PYTEST_GPU_LAB_RUNS", "3"))
"""Healthy runs one after the other; PYTEST_GPU_LAB_RUNS=20 for more certainty."""

SECONDS = 180
"""Longest time of one run."""

Asked = Callable[[LabCluster], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A run in a process of its own; ``temporary`` is its folder for temporary files."""

    process: subprocess.Popen[str]
    temporary: Path
    output: Path

    def end(self, how: signal.Signals) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(how)
        return self.process.wait(SECONDS)


def options_of(lab: LabCluster, account: Account | None) -> list[str]:
    """Return the options of a run as the account, or as the administrator.

    The administrator asks for a namespace that is not there.
    """
    if account is not None:
        return account.options()
    where = [f"--gpu-cluster=context:{lab.context}", f"--gpu-kubeconfig={lab.kubeconfig}"]
    return [*where, "--gpu-namespace=lab-order"]


@contextmanager
def started(folder: Path, *options: str) -> Iterator[Started]:
    """Start a run on one node in a folder that others may have used; it is gone afterwards."""
    temporary, output = folder / "tmp", folder / "output"
    temporary.mkdir(exist_ok=True)
    (folder / "pytest.ini").write_text("[pytest]\n")
    with output.open("w") as file:
        # Whoever runs in the background of a script has been told to ignore Ctrl-C.
        argv = ["env", "--default-signal=INT", *command(f"--gpu-nodes={NODE}", *options)]
        run = subprocess.Popen(
            argv,
            cwd=folder,
            env={**environment(), "TMPDIR": str(temporary)},
            text=True,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Started(process=run, temporary=temporary, output=output)
    finally:
        run.kill()
        run.wait()


def pods(lab: LabCluster, prefix: str) -> list[Mapping[str, Any]]:
    """Return the suite's pods whose names begin so."""
    found: list[Mapping[str, Any]] = lab.api.get(f"/api/v1/pods{MARKED}")["items"]
    return [pod for pod in found if pod["metadata"]["name"].startswith(prefix)]


def host_folders(node: Node) -> list[str]:
    """Return the suite's folders on a node, seen from outside at no cost."""
    root = Path(f"/proc/{node.init}/root")
    return [str(path) for place in PLACES for path in (root / place).glob("pytest-gpu.*")]


def sandboxes(node: Node) -> list[str]:
    """Return the suite's sandboxes that crictl made."""
    listed = json.loads(node.must(*LISTED, "--output", "json"))["items"]
    return [each["id"] for each in listed if KUBELETS not in each["labels"]]


def probes(node: Node) -> str:
    """Return the probes that still run on a node."""
    return node.run(["pgrep", "--full", r"probe\.pyz"]).stdout


def visiting(lab: LabCluster) -> bool:
    """Say whether a pod that looks into a node runs."""
    return any(pod["status"]["phase"] == "Running" for pod in pods(lab, "visit-"))


def in_sandbox(lab: LabCluster) -> bool:
    """Say whether a run prepares or has a sandbox."""
    return bool(host_folders(lab.nodes[NODE]))


def in_pod(lab: LabCluster) -> bool:
    """Say whether a GPU pod is there."""
    return bool(pods(lab, "gpu-"))


MIDDLES = {"visit": visiting, "sandbox": in_sandbox, "pod": in_pod}


@pytest.fixture(params=MIDDLES)
def middle(request: pytest.FixtureRequest) -> Asked:
    """Return what tells the middle of each layer in turn."""
    return MIDDLES[request.param]


def await_middle(lab: LabCluster, middle: Asked, run: Started) -> None:
    """Wait for the middle of a layer."""

    def there() -> bool:
        assert run.process.poll() is None, run.output.read_text()
        return middle(lab)

    wait_for(there, "the middle of the layer", seconds=120, pause=0.02)


def left(lab: LabCluster) -> list[str]:
    """Return everything of the suite's in the cluster and on the node."""
    node = lab.nodes[NODE]
    return [*ours(lab.api), *host_folders(node), *sandboxes(node)]


@pytest.mark.parametrize("who", ["account", "administrator"])
def test_ctrl_c_leaves_nothing(
    who: str, middle: Asked, lab_cluster: LabCluster, user: Account, tmp_path: Path
) -> None:
    """In the shipped namespace, and in one that the run made for itself."""
    options = options_of(lab_cluster, user if who == "account" else None)
    with started(tmp_path, *options) as run:
        await_middle(lab_cluster, middle, run)
        code = run.end(signal.SIGINT)
    output = run.output.read_text()
    assert code == pytest.ExitCode.INTERRUPTED, output
    assert f"in namespace {'pytest-gpu,' if who == 'account' else 'lab-order-'}" in output
    assert left(lab_cluster) == [], output
    assert list(run.temporary.iterdir()) == []
    wait_for(lambda: not probes(lab_cluster.nodes[NODE]), "the probe to end")


def test_what_a_killed_run_left_is_inert_and_swept(
    middle: Asked, lab_cluster: LabCluster, user: Account, tmp_path: Path
) -> None:
    """Only pods and ConfigMaps with a deadline, and folders that tell theirs."""
    with started(tmp_path, *user.options()) as run:
        await_middle(lab_cluster, middle, run)
        run.end(signal.SIGKILL)
    wait_for(lambda: not probes(lab_cluster.nodes[NODE]), "the probe to end")
    inert(lab_cluster)
    with started(tmp_path, *user.options()) as again:
        code = again.process.wait(SECONDS)
    output = again.output.read_text()
    assert code == 0, output
    assert "gpu: swept:" in output
    assert left(lab_cluster) == []
    assert list(again.temporary.iterdir()) == []


def inert(lab: LabCluster) -> None:
    """Check that all that is left ends by itself or can do nothing, and says until when."""
    kept = [
        (kind, each)
        for kind in ("pods", "configmaps")
        for each in lab.api.get(f"/api/v1/{kind}{MARKED}")["items"]
    ]
    assert kept, "nothing was in the cluster"
    for kind, each in kept:
        assert each["metadata"]["annotations"][DEADLINE], each
        assert kind == "configmaps" or each["spec"]["activeDeadlineSeconds"] > 0, each
    for path in host_folders(lab.nodes[NODE]):
        assert Path(path).name.split(".")[2].isdigit(), path


@pytest.mark.parametrize("number", range(RUNS))
def test_healthy_nodes_stay_healthy(
    number: int, lab_cluster: LabCluster, user: Account, tmp_path: Path
) -> None:
    """Run after run, without one false failure."""
    run = user.judge(tmp_path / str(number))
    assert run.exit == 0, run.output
    assert {verdict for verdict, _, _ in run.verdicts.values()} == {"conforms"}
    assert ours(lab_cluster.api) == []
