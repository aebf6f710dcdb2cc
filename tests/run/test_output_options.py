"""pytest's options for its output: -q, -r, -x and the like do what users of pytest expect."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.conftest import CAUSE, MakeCluster, MakeSuite
from tests.support.runs import QUIET, run_here

PASSES = "def test_it(gpu_node): pass\n"
SUITE = {
    "access": PASSES,
    "hardware": "def test_it(gpu_node):\n"
    "    if gpu_node.name == 'gpu-4': unproven('nobody looked at gpu-4')\n",
    "driver": "def test_it(gpu_node):\n"
    "    if gpu_node.name < 'gpu-3': fail(finding(gpu_node))\n"
    "def test_more(gpu_node): pass\n",
    "runtime": PASSES,
}
NODES = ("gpu-1", "gpu-2", "gpu-3", "gpu-4")
Run = Callable[..., list[str]]


@pytest.fixture
def lines(pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite) -> Run:
    """Return a function that runs the suite on four nodes and returns what it printed."""
    make_suite(**SUITE)
    cluster = make_cluster(*NODES)

    def run(*args: str) -> list[str]:
        result = run_here(pytester, f"--gpu-cluster=path:{cluster}", ".", *QUIET, *args)
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()
        return list(result.outlines)

    return run


BLOCKED = "BLOCKED [2] test_runtime.py:14: driver failed on gpu-[1-2]"
UNPROVEN = "UNPROVEN [1] test_hardware.py:14: nobody looked at gpu-4"
LISTED = {
    "-rs": [BLOCKED, UNPROVEN],
    "-rb": [BLOCKED],
    "-ru": [UNPROVEN],
    "-rn": [],
    "-rN": [],
    "-rE": [],
    "-ra": [BLOCKED, UNPROVEN],
    "-rA": [BLOCKED, UNPROVEN],
}


@pytest.mark.parametrize(("option", "listed"), LISTED.items(), ids=LISTED)
def test_short_summary_lists_blocked_and_unproven_tests_as_skips(
    lines: Run, option: str, listed: list[str]
) -> None:
    """Folded, with place and reason, under one heading; other letters list none."""
    printed = lines(option)
    assert [line for line in printed if line.startswith(("BLOCKED", "UNPROVEN"))] == listed
    headings = [line for line in printed if " short test summary info " in line]
    assert len(headings) == int(bool(listed))
    if listed:
        assert printed.index(headings[0]) < printed.index(listed[0])
    failures = any("= FAILURES =" in line for line in printed)
    assert failures == (option in {"-ra", "-rA"})


def test_short_summary_is_the_same_with_workers(lines: Run) -> None:
    """The reasons travel with the reports."""
    assert {BLOCKED, UNPROVEN} <= set(lines("-rs", "-n2"))


def test_short_summary_unfolded(lines: Run) -> None:
    """--no-fold-skipped names every test."""
    printed = lines("-rb", "--no-fold-skipped")
    assert [line for line in printed if line.startswith("BLOCKED")] == [
        "BLOCKED test_runtime.py::test_it[gpu-1] - driver failed on gpu-1",
        "BLOCKED test_runtime.py::test_it[gpu-2] - driver failed on gpu-2",
    ]


def test_header_and_reasons_fit_a_log_of_80_columns(pytester: pytest.Pytester) -> None:
    """They are wrapped, and nothing of them is lost."""
    sample = "sample:rke2-plugin-without-runtimeclass"
    options = ("-k", "gpu_pods_can_start", "-rs")
    printed = run_here(pytester, f"--gpu-cluster={sample}", *options, *QUIET).outlines
    start = printed.index(f"gpu: cluster: {sample} (from --gpu-cluster),")
    assert printed[start + 1] == "     taken 2026-02-10 10:00 UTC"
    at = next(n for n, line in enumerate(printed) if line.startswith("BLOCKED [1]"))
    assert printed[at + 1].startswith("  ")
    assert "judged first" in " ".join(printed[at : at + 4])
    ours = [*printed[start : start + 5], *printed[at : at + 4]]
    assert [line for line in ours if len(line) > 80] == []


def test_first_failure_ends_the_run_and_the_rest_counts_as_not_run(
    pytester: pytest.Pytester, lines: Run
) -> None:
    """With -x: in table, last line and JSON; nothing of it passed, and no node conforms."""
    printed = lines("-x", "--gpu-report=out.json")
    rows = {line.split()[0]: line.split() for line in printed if line.startswith("gpu-")}
    assert rows["gpu-1"][5:9] == ["FAIL", "0/2", "not-run", "0/1"]
    assert rows["gpu-3"][5:9] == ["not-run", "0/2", "not-run", "0/1"]
    assert "4 nodes: 1 fails (1 cause), 3 unproven; 11 tests not run" in printed
    document = json.loads((pytester.path / "out.json").read_text())
    assert document["summary"] | {"not_run": 11, "conform": 0, "fail": 1} == document["summary"]
    cell = document["nodes"][2]["layers"]["runtime"]
    assert (cell["state"], cell["missing"], cell["blocked"]) == ("not-run", 1, 0)
    [reason] = {entry["reason"] for entry in document["nodes"][2]["unproven"]}
    assert reason == "not run: the run ended early (stopping after 1 failures)"


def test_what_did_not_run_is_told_by_node_and_layer(pytester: pytest.Pytester) -> None:
    """Each node with its own layers, the lowest first; -qq counts reasons, not layers."""
    options = ("--gpu-cluster=sample:mixed-fleet", "-x", *QUIET)
    told = " ".join(run_here(pytester, *options).stdout.str().split())
    why = "not run: the run ended early (stopping after 1 failures)"
    above = "driver, runtime, sandbox, device-plugin, runtimeclass-pod"
    assert f"{why} - {above} on gpu-[1-10] " in told
    assert f"{why} - hardware, {above} on gpu-[11-12] " in told
    assert f"gpu-12: unproven: {why}" in run_here(pytester, *options, "-qq").outlines


def test_quiet_is_short(lines: Run) -> None:
    """A table and one line per cause; no blocks, legends or facts of the cluster."""
    printed = lines("-q")
    start = next(n for n, line in enumerate(printed) if "= GPU conformance =" in line)
    assert [line for line in printed[start + 1 : -1] if line] == [
        "node  access hardware     driver   runtime sandbox plugin pod #",
        "gpu-1 ok 1/1 ok 1/1       FAIL 1/2 blocked -       -      -   1",
        "gpu-2 ok 1/1 ok 1/1       FAIL 1/2 blocked -       -      -   1",
        "gpu-3 ok 1/1 ok 1/1       ok 2/2   ok 1/1  -       -      -",
        "gpu-4 ok 1/1 unproven 0/1 ok 2/2   ok 1/1  -       -      -",
        "cause 1: The handler nvidia starts /opt/gone, which is not installed"
        f" ({CAUSE}; layer driver, gpu-[1-2])",
        "unproven (neither passed nor failed):",
        "  nobody looked at gpu-4 - test_it (hardware) on gpu-4",
        "4 nodes: 1 conforms up to runtime, 2 fail (1 cause), 1 unproven",
    ]


def test_very_quiet_is_a_line_per_node(lines: Run) -> None:
    """After pytest's own letters."""
    title = "The handler nvidia starts /opt/gone, which is not installed"
    assert lines("-qq")[-4:] == [
        f"gpu-1: fails at driver: {title} ({CAUSE})",
        f"gpu-2: fails at driver: {title} ({CAUSE})",
        "gpu-3: conforms up to runtime",
        "gpu-4: unproven: nobody looked at gpu-4",
    ]


@pytest.mark.parametrize("option", ["--no-header", "--tb=no", "--color=no", "-v", "-vv"])
def test_other_options_leave_the_summary_whole(lines: Run, option: str) -> None:
    """They are about other parts of the output."""
    printed = lines(option)
    assert any(line.startswith("  fix") for line in printed)
    assert "4 nodes: 1 conforms up to runtime, 2 fail (1 cause), 1 unproven" in printed


def test_no_summary_prints_none(lines: Run) -> None:
    """The last line of pytest stays, and so does the exit code."""
    printed = lines("--no-summary", "-rs")
    assert not any("GPU conformance" in line or "BLOCKED" in line for line in printed)
    assert "2 failed" in printed[-1]


def test_without_a_terminal_there_are_still_reports(pytester: pytest.Pytester, lines: Run) -> None:
    """-p no:terminal prints nothing."""
    lines("-p", "no:terminal", "--gpu-report=out.json")
    document = json.loads((pytester.path / "out.json").read_text())
    assert (document["run"]["exit_code"], document["summary"]["fail"]) == (1, 2)
