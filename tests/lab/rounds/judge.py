"""A run of ``pytest --gpu-cluster`` in a process of its own, and its verdict on each node."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.lab.cluster import LabCluster

SECONDS = 400
"""Longest time of one run."""

WAIT = 60
"""Longest time of each wait of a run: the lab's pods start within a few seconds."""

REPORT = "report.json"
RECORDING = "recording"

Said = tuple[str, str | None, str | None]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A run that ended: exit code, output, and the folder with its report and recording."""

    exit: int
    output: str
    folder: Path

    @cached_property
    def document(self) -> Mapping[str, Any]:
        """The verdict document."""
        file = self.folder / REPORT
        assert file.exists(), self.output
        document: Mapping[str, Any] = json.loads(file.read_text())
        return document

    @property
    def verdicts(self) -> Mapping[str, Said]:
        """Verdict, layer and cause of each node."""
        nodes = self.document["nodes"]
        return {node["name"]: (node["verdict"], node["layer"], node["cause"]) for node in nodes}

    @property
    def nodes_by_cause(self) -> Mapping[str, Sequence[str]]:
        """The nodes below each cause."""
        return {cause["id"]: cause["nodes"] for cause in self.document["causes"]}

    def node(self, name: str) -> Mapping[str, Any]:
        """Return what the document says of a node."""
        found: Mapping[str, Any]
        [found] = [node for node in self.document["nodes"] if node["name"] == name]
        return found


def judge(
    cluster: LabCluster, folder: Path, *options: str, kubeconfig: Path | None = None
) -> Judged:
    """Judge a running cluster as its administrator does, and keep a recording.

    Args:
        cluster: the lab's cluster.
        folder: a new folder for report and recording.
        options: more arguments of pytest.
        kubeconfig: somebody else's way to the cluster.
    """
    folder.mkdir()
    given = (
        f"--gpu-cluster=context:{cluster.context}",
        f"--gpu-kubeconfig={kubeconfig or cluster.kubeconfig}",
        f"--gpu-record={folder / RECORDING}",
        f"--gpu-timeout={WAIT}",
    )
    return run_pytest(folder, *given, *options, path=cluster.ssh.path)


def judge_recording(recording: Path, folder: Path, *options: str) -> Judged:
    """Judge what an earlier run recorded, without any cluster."""
    folder.mkdir()
    return run_pytest(folder, f"--gpu-cluster=path:{recording}", *options)


def command(*options: str) -> list[str]:
    """Return the command line of a run."""
    return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]


def environment(path: Path | None = None) -> dict[str, str]:
    """Return the environment of a run; programs in ``path`` come first."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("PYTEST_")}
    return {**kept, "PATH": f"{path}:{kept['PATH']}"} if path else kept


def run_pytest(folder: Path, *options: str, path: Path | None = None) -> Judged:
    """Run pytest in ``folder``, where no configuration of this project is found."""
    (folder / "pytest.ini").write_text("[pytest]\n")
    done = subprocess.run(
        command(f"--gpu-report={folder / REPORT}", *options),
        cwd=folder,
        env=environment(path),
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=SECONDS,
    )
    return Judged(exit=done.returncode, output=done.stdout, folder=folder)
