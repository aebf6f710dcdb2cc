"""The survey asks for all that the facts look up, in few rounds, and for little else."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_gpu.cluster.recording.recorded import RecordedCluster, open_recording
from pytest_gpu.cluster.recording.recorder import Recorder
from pytest_gpu.cluster.recording.samples import sample_path
from pytest_gpu.cluster.visits.seen import SeenNode
from pytest_gpu.cluster.visits.visit import drive
from pytest_gpu.errors import NotInEvidence, Unproven
from pytest_gpu.evidence import ClusterEvidence, Door, ElfSummary, NodeEvidence
from pytest_gpu.layers import Layer
from pytest_gpu.run.node_face import GpuNode
from pytest_gpu.stack.operands.words import words_of
from pytest_gpu.survey.survey import MAX_ROUNDS
from pytest_gpu.survey.wishes import WishingCluster
from tests.samples.sample_table import SAMPLES
from tests.samples.test_samples import judge
from tests.support.replay import Replay

HEALTHY = sorted(name for name in SAMPLES if name.startswith("healthy-"))
VISITED = [layer for layer in Layer if layer <= Layer.SANDBOX]

OF_OTHERS = re.compile(r"/proc/\d+/(exe|stat)")
"""Of processes that are no daemons only the command line is asked for."""

Lookups = dict[tuple[str, str], object]


class Watched:
    """Evidence that notes what is looked up, with the answer; ``None`` stands for absent."""

    def __init__(self, node: NodeEvidence) -> None:
        self._node = node
        self.name = node.name
        self.door = node.door
        self.lookups: Lookups = {}

    def __getattr__(self, kind: str) -> Any:
        """Return a look-up of the evidence, noted where it takes a path."""
        found = getattr(self._node, kind)
        if kind not in ("read", "entry", "names", "elf"):
            return found

        def look(path: str) -> object:
            answer = found(path)
            self.lookups[kind, path] = answer
            return answer

        return look


def visit(cluster: RecordedCluster, name: str) -> tuple[SeenNode, Replay]:
    """Return what a visit to a recorded node brings."""
    stream = Replay(cluster.node(name))
    seen = SeenNode(name, Door(kind="pod"))
    drive(stream, seen, cluster)
    return seen, stream


def gpu_nodes(cluster: RecordedCluster) -> Sequence[str]:
    """Return the names of the recorded nodes with evidence of their own."""
    return [name for name in cluster.node_names() if cluster.node(name).head.like is None]


def climb(node: GpuNode) -> None:
    """Run every conformance test that asks this node alone."""
    for function in conformance(VISITED):
        # What a test decides is no matter here; what it looked at is.
        with suppress(AssertionError, Unproven, pytest.skip.Exception):
            function(node)


def conformance(layers: Sequence[Layer]) -> Iterator[Callable[[GpuNode], object]]:
    """Yield the conformance tests whose only fixture is the node."""
    for layer in layers:
        module = importlib.import_module(f"pytest_gpu.conformance.{layer.module}")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if name.startswith("test_") and list(inspect.signature(function).parameters) == [
                "gpu_node"
            ]:
                yield function


@pytest.mark.parametrize("sample", HEALTHY)
def test_all_that_is_looked_up_was_asked_for(sample: str) -> None:
    """Whatever a conformance test finds in a recording, a visit to that node would have brought."""
    with open_recording(sample_path(sample), sample) as cluster:
        for name in gpu_nodes(cluster):
            seen, _ = visit(cluster, name)
            watched = Watched(cluster.node(name))
            climb(GpuNode(name, _Around(cluster, watched)))
            assert len(watched.lookups) > 50
            assert _differences(watched.lookups, seen) == {}
            assert seen.nvml == cluster.node(name).nvml


def _differences(lookups: Lookups, seen: SeenNode) -> Mapping[tuple[str, str], object]:
    """Return the look-ups that a visit answers otherwise: what it would not have asked for."""
    different: Lookups = {}
    for (kind, path), answer in lookups.items():
        try:
            brought: object = getattr(seen, kind)(path)
        except NotInEvidence:
            brought = "not in evidence"
        if _told(brought) != _told(answer) and not OF_OTHERS.fullmatch(path):
            different[kind, path] = (answer, brought)
    return different


def _told(answer: object) -> object:
    """Return what is the same under every path that leads to a file."""
    return replace(answer, path="") if isinstance(answer, ElfSummary) else answer


class _Around(WishingCluster):
    """A cluster around one node whose look-ups are noted."""

    def __init__(self, cluster: ClusterEvidence, node: Watched) -> None:
        super().__init__(cluster, node)  # type: ignore[arg-type] # it notes, as the other does


@pytest.mark.parametrize("sample", sorted(SAMPLES))
def test_a_visit_ends(sample: str) -> None:
    """In four rounds at most, NVML is asked once and last, and nothing is asked twice."""
    with open_recording(sample_path(sample), sample) as cluster:
        for name in gpu_nodes(cluster):
            _, stream = visit(cluster, name)
            asked = [len(each["stat"]) + len(each["read"]) for each in stream.rounds]
            assert 2 <= len(stream.rounds) <= MAX_ROUNDS
            assert ["nvml" in each for each in stream.rounds].index(True) == len(asked) - 1
            assert sum(asked) < 600
            for kind in ("list", "stat", "elf"):
                whats = [what for each in stream.rounds for what in each[kind]]
                assert len(whats) == len(set(whats))


@pytest.mark.parametrize("sample", sorted(name for name in SAMPLES if name != "mixed-fleet"))
def test_what_a_visit_brings_is_judged_the_same(
    pytester: pytest.Pytester, tmp_path: Path, sample: str
) -> None:
    """A recording made of a visit's answers comes out with the same layer and cause."""
    expected = SAMPLES[sample]
    code, document, output = judge(pytester, f"path:{revisited(sample, tmp_path / 'visited')}")
    assert [(node["layer"], node["cause"]) for node in document["nodes"]] == [
        (expected.layer, expected.cause)
    ], output
    assert code == (1 if expected.layer else 0), output


def test_logs_of_nvidias_pods_are_asked_for() -> None:
    """Where the kubelet keeps them: the end of the last one, and of the one before a restart."""
    with open_recording(sample_path("healthy-rke2"), "rke2") as cluster:
        _, stream = visit(cluster, "rke2-agent-1")
    paths = [each["path"] for asked in stream.rounds for each in asked["tail"]]
    assert any("device-plugin" in path for path in paths)
    assert any("/toolkit-validation/" in path for path in paths)
    assert all(path.startswith("/var/log/pods/") and path.endswith(".log") for path in paths)
    assert len(paths) == len(set(paths))


def test_what_a_component_says_is_brought() -> None:
    """The words of the plugin that sees no GPU are the same from a visit and from a recording."""
    sample = "rke2-plugin-without-runtimeclass"
    with open_recording(sample_path(sample), sample) as cluster:
        seen, stream = visit(cluster, "rke2-agent-1")
        node = GpuNode("rke2-agent-1", WishingCluster(cluster, seen))  # type: ignore[arg-type]
        recorded = GpuNode("rke2-agent-1", cluster)
        words = [list(_words(each)) for each in (node, recorded)]
    assert words[0] == words[1]
    assert ("Incompatible strategy detected auto", 2) in words[0]
    assert not any("/var/log/pods/" in each["path"] for r in stream.rounds for each in r["read"])


def _words(node: GpuNode) -> Iterator[tuple[str, int | None]]:
    for operand in node.operands:
        yield from ((said.text, said.line) for said in words_of(node, operand))


def revisited(sample: str, folder: Path) -> Path:
    """Record a sample again, each node by way of a visit; return the folder."""
    with open_recording(sample_path(sample), sample) as cluster:
        recorder = Recorder(folder, taken=cluster.taken)
        for resource in cluster.resources():
            recorder.add_objects(resource, cluster.objects(resource))
        for name in cluster.node_names():
            recorded, writer = cluster.node(name), recorder.node(name)
            if recorded.door.kind == "none":
                writer.add_door(recorded.door)
                continue
            visit(cluster, name)[0].save(writer)
            for kind in ("sandbox", "pod"):
                with suppress(NotInEvidence):
                    writer.add_outcome(kind, recorded.outcome(kind))
    return folder
