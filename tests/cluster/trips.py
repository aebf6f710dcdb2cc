"""A live run of a cluster that is like a recording, and the recording that it leaves.

The API server and the nodes answer what that recording holds; the suite visits, judges and records
them as any other cluster.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_gpu.cluster import live
from pytest_gpu.cluster.recording.recorded import open_recording
from pytest_gpu.cluster.recording.recorded_node import RecordedNode
from pytest_gpu.errors import NotInEvidence
from pytest_gpu.evidence import ClusterEvidence
from tests.cluster.api.fake_api import RESOURCES
from tests.hostile.stub_api import HostileApi, HostileServer
from tests.hostile.stub_node import Answers, Honest, as_line
from tests.samples.sample_copy import SampleCopy
from tests.support.replay import Replay
from tests.support.runs import QUIET, run_here

KINDS = (*(each for each in RESOURCES if "/" not in each), "configmaps")


class Like(Honest):
    """A node that answers the survey like a recorded one; sandboxes start as on a healthy one."""

    def __init__(self, node: RecordedNode) -> None:
        super().__init__()
        self.node = node

    def answers(self, asked: Mapping[str, Any]) -> Answers:
        """Return the answers to a line of questions."""
        if asked.keys() == {"round", "run"}:
            return super().answers(asked)
        replay = Replay(self.node)
        replay.send(as_line(asked))
        return [json.loads(line) for line in replay.lines(0)]


@dataclass(frozen=True)
class Trip:
    """A live run, and what it left.

    Attributes:
        live: its verdict document.
        again: the verdict document of its recording.
        kept: that recording.
        spool: what the run itself judged.
        printed: what both runs printed.
    """

    live: Mapping[str, Any]
    again: Mapping[str, Any]
    kept: Path
    spool: Path
    printed: str

    @property
    def node(self) -> Mapping[str, Any]:
        """The verdict on the only GPU node."""
        [node] = self.live["nodes"]
        assert isinstance(node, dict)
        return node

    def texts(self) -> Iterator[str]:
        """Yield all that was written or printed."""
        for folder in (self.kept, self.spool):
            files = (path for path in folder.rglob("*") if path.is_file())
            yield from (path.read_bytes().decode(errors="replace") for path in files)
        yield from (json.dumps(self.live), json.dumps(self.again), self.printed)


def travel(pytester: pytest.Pytester, copy: SampleCopy) -> Trip:
    """Run the suite against a cluster like a copy, record it, and judge the recording."""
    spool, kept = pytester.path / "spool", pytester.path / "kept"
    with open_recording(copy.folder, "there") as cluster, _spool_kept(spool):
        node = cluster.node(copy.node.name)
        with HostileServer(_serving(cluster, node)) as server:
            config = server.kubeconfig(pytester.path)
            options = ("--gpu-cluster=fake", f"--gpu-kubeconfig={config}", f"--gpu-record={kept}")
            first, printed = _run(pytester, *options)
    again, more = _run(pytester, f"--gpu-cluster=path:{kept}")
    return Trip(live=first, again=again, kept=kept, spool=spool, printed=printed + more)


@contextmanager
def _spool_kept(to: Path) -> Iterator[None]:
    """Keep what a run removes at its end."""

    def keep(folder: Path) -> None:
        if folder.exists():
            shutil.copytree(folder / "recording", to)
            shutil.rmtree(folder)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live, "remove", keep)
        yield


def _serving(cluster: ClusterEvidence, node: RecordedNode) -> HostileApi:
    api = HostileApi(nodes={node.name: lambda: Like(node)})
    for resource in KINDS:
        with suppress(NotInEvidence):
            for thing in cluster.objects(resource):
                api.put(resource, json.loads(json.dumps(thing)))
    api.put("namespaces", {"metadata": {"name": "pytest-gpu"}})
    return api


def _run(pytester: pytest.Pytester, *args: str) -> tuple[Mapping[str, Any], str]:
    report = pytester.path / "out.json"
    result = run_here(pytester, *args, f"--gpu-report={report}", *QUIET)
    return json.loads(report.read_text()), result.stdout.str() + result.stderr.str()
