"""Everything that unproven tests need is named at once, not one path per run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from pytest_gpu.causes import LATENT, Finding, latent
from pytest_gpu.errors import NotInEvidence, Unproven
from pytest_gpu.evidence import Door
from pytest_gpu.report import missing_evidence, terminal
from pytest_gpu.report.blocks import Block
from pytest_gpu.run.missing import MAX_NODES, MAX_THINGS, Missing
from pytest_gpu.run.node_face import GpuNode
from tests.support.fake_evidence import FakeCluster, FakeNode

FIRST = NotInEvidence("gpu-1", "file /a")


def node(name: str = "gpu-1", **evidence: Any) -> GpuNode:
    """Return a node of which nothing else is known."""
    return GpuNode(name, FakeCluster(nodes={name: FakeNode(name, **evidence)}))


def reads(*paths: str) -> Any:
    """Return a test that needs these files, one after the other."""

    def ask(gpu_node: GpuNode) -> None:
        for path in paths:
            gpu_node.evidence.read(path)

    return ask


def stopped(ask: Any, at: GpuNode) -> NotInEvidence:
    """Return what a test stopped at."""
    with pytest.raises(NotInEvidence) as caught:
        ask(at)
    return caught.value


def test_all_that_a_test_needs_is_named() -> None:
    """Not only what it stopped at; what is recorded is not among it."""
    gpu, ask = node(files={"/b": ""}), reads("/a", "/b", "/c", "/d")
    found = Missing().of(ask, gpu, stopped(ask, gpu))
    assert [what.rpartition(" ")[2] for what in found] == ["/a", "/c", "/d"]


def test_every_kind_of_look_up_is_named() -> None:
    """Files, metadata, directories, ELF headers, resources; then what no absence stands for."""

    def ask(gpu_node: GpuNode) -> None:
        evidence = gpu_node.evidence
        evidence.read("/a")
        evidence.entry("/b")
        evidence.names("/c")
        evidence.elf("/d")
        gpu_node.cluster.objects("pods")
        evidence.outcome("pod")

    gpu = node()
    found = Missing().of(ask, gpu, stopped(ask, gpu))
    last_words = [what.rpartition(" ")[2] for what in found]
    assert last_words == ["/a", "/b", "/c", "/d", "pods", "outcome"]


def test_what_is_noted_under_an_assumption_is_forgotten() -> None:
    """A latent finding rests on evidence; that a file is absent was only assumed."""

    def ask(gpu_node: GpuNode) -> None:
        gpu_node.evidence.read("/a")
        latent(Finding.of("runtime/made-up"))
        gpu_node.evidence.read("/b")

    gpu, noted = node(), list[Finding]()
    token = LATENT.set(noted)
    try:
        found = Missing().of(ask, gpu, stopped(ask, gpu))
    finally:
        LATENT.reset(token)
    assert len(found) == 2
    assert noted == []


def test_optional_evidence_is_not_named() -> None:
    """A test that goes on without it does not need it."""

    def ask(gpu_node: GpuNode) -> None:
        try:
            gpu_node.evidence.read("/optional")
        except NotInEvidence:
            gpu_node.evidence.read("/needed")

    gpu = node()
    (found,) = Missing().of(ask, gpu, stopped(ask, gpu))
    assert "/needed" in found


def test_a_fact_that_says_what_it_misses_in_its_own_words_goes_on() -> None:
    """The path is the last word."""

    def ask(gpu_node: GpuNode) -> None:
        for path in ("/a", "/b"):
            try:
                gpu_node.evidence.read(path)
            except NotInEvidence:
                raise NotInEvidence("gpu-1", f"the configuration {path}") from None

    gpu = node()
    found = Missing().of(ask, gpu, stopped(ask, gpu))
    assert found == ["the configuration /a", "the configuration /b"]


def test_another_test_of_the_node_names_only_what_is_new() -> None:
    """A list that says everything twice is not read."""
    gpu, missing_things = node(), Missing()
    one, other = reads("/a", "/b"), reads("/b", "/c")
    first = missing_things.of(one, gpu, stopped(one, gpu))
    second = missing_things.of(other, gpu, stopped(other, gpu))
    assert [what.rpartition(" ")[2] for what in (*first, *second)] == ["/a", "/b", "/c"]


@pytest.mark.parametrize(
    "error",
    [Unproven("busy"), AssertionError("bad"), TypeError("misled"), KeyError("misled")],
)
def test_the_list_ends_where_a_test_comes_to_another_end(error: Exception) -> None:
    """Told that things are absent, a test may fail, or a fact may raise what it never does."""

    def ask(gpu_node: GpuNode) -> None:
        gpu_node.evidence.read("/a")
        raise error

    gpu = node()
    (found,) = Missing().of(ask, gpu, stopped(ask, gpu))
    assert "/a" in found


def test_a_node_without_a_door_lacks_everything() -> None:
    """That is said once, by what the test stopped at."""
    gpu, asked = node(door=Door(kind="none", reason="x")), []

    def ask(gpu_node: GpuNode) -> None:
        asked.append(gpu_node)

    assert Missing().of(ask, gpu, FIRST) == ["file /a"]
    assert asked == []


def test_the_list_has_an_end() -> None:
    """A test that always needs something more is not asked for ever."""
    count = iter(range(10_000))

    def ask(gpu_node: GpuNode) -> None:
        raise NotInEvidence(gpu_node.name, f"file /{next(count)}")

    found = Missing().of(ask, node(), FIRST)
    assert len(found) == MAX_THINGS
    assert next(count) < 2 * MAX_THINGS


def test_of_a_large_fleet_only_some_nodes_are_asked_again() -> None:
    """The others still name what they stopped at."""
    missing_things, ask = Missing(), reads("/a", "/b")
    found = [
        missing_things.of(ask, gpu, stopped(ask, gpu))
        for gpu in (node(f"gpu-{number}") for number in range(MAX_NODES + 3))
    ]
    assert [len(things) for things in found] == [2] * MAX_NODES + [1] * 3


def shown(nodes: Sequence[tuple[str, Sequence[str]]]) -> str:
    """Return the section in the terminal as one line."""
    entries = [{"name": name, "missing": list(things)} for name, things in nodes]
    lines = terminal.plain(list(missing_evidence.section(entries, Block(100, unicode=True))))
    return " ".join(" ".join(lines).split())


def test_nodes_that_lack_the_same_share_a_list() -> None:
    """By kind, so that a person can go through it."""
    things = ["file /a", "the list of pods", "file /b", "/dev/x", "the kernel log (dmesg)"]
    text = shown([("gpu-1", things), ("gpu-2", things), ("gpu-3", ["the complete listing of /c"])])
    assert "gpu-[1-2]: files: /a, /b Kubernetes resources: pods whether there is: /dev/x" in text
    assert "other: the kernel log (dmesg)" in text
    assert "gpu-3: directories, listed whole: /c" in text


def test_a_long_list_says_how_much_is_left_out() -> None:
    """And where all of it is; the same for many kinds of nodes."""
    assert "and 5 more (--gpu-report=FILE.json has all)" in shown(
        [("gpu-1", [f"file /{number}" for number in range(25)])]
    )
    assert "other nodes: --gpu-report" in shown([(f"n{n}", [f"file /{n}"]) for n in range(6)])


def test_nothing_is_printed_where_nothing_is_missing() -> None:
    """Not even the title."""
    assert shown([("gpu-1", [])]) == ""


LEFT_OUT = """
format: 1
taken: 2026-11-21T10:00:00Z
base: sample:healthy-kubeadm
absent: [outcomes, kernel-log, nvml, elf, kubernetes/daemonsets.yaml]
"""


@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=["inline", "xdist"])
def test_a_run_names_all_that_a_recording_lacks(
    pytester: pytest.Pytester, workers: list[str]
) -> None:
    """Once each, in the report and in the terminal; what is in it is not named."""
    (pytester.mkdir("lacking") / "recording.yaml").write_text(LEFT_OUT)
    command = ["--gpu-cluster=path:lacking", "--gpu-report=out.json", "-p", "no:cacheprovider"]
    result = pytester.runpytest_subprocess(*command, *workers)
    assert result.ret == 1
    (found,) = json.loads((pytester.path / "out.json").read_text())["nodes"]
    toolkit = "the ELF header of /usr/local/nvidia/toolkit"
    programs = ("nvidia-container-runtime", "nvidia-container-runtime-hook", "nvidia-container-cli")
    assert set(found["missing"]) == {
        "the kernel log (dmesg)",
        "NVML's output",
        "the list of daemonsets",
        "the outcome of the suite's own sandbox",
        "the outcome of the suite's own pod",
        f"{toolkit}/libnvidia-container.so.1",
        *(f"{toolkit}/{name}" for name in programs),
        *(f"{toolkit}/{name}.real" for name in programs),
    }
    assert "missing from the evidence, as far as known" in result.stdout.str()


def test_a_users_own_test_is_not_called_twice(pytester: pytest.Pytester) -> None:
    """It may do more than ask."""
    (pytester.mkdir("lacking") / "recording.yaml").write_text(LEFT_OUT)
    pytester.makepyfile(
        test_ours="""
        import pytest

        CALLS = []

        @pytest.mark.gpu_layer("driver")
        def test_ours(gpu_node):
            CALLS.append(gpu_node)
            assert len(CALLS) == 1
            gpu_node.evidence.nvml
        """
    )
    command = ["--gpu-cluster=path:lacking", "--gpu-report=out.json", "-p", "no:cacheprovider"]
    pytester.runpytest_subprocess(*command, "test_ours.py")
    (found,) = json.loads((pytester.path / "out.json").read_text())["nodes"]
    assert found["missing"] == ["NVML's output"]
