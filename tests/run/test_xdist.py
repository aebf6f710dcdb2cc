"""Sharding over xdist workers, and what remains when a worker crashes."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from typing import Any

import pytest

from tests.conftest import MakeCluster, MakeSuite
from tests.support.runs import QUIET, run_apart

NAMES = ("gpu-1", "gpu-1-a", "gpu-2", "gpu-3", "gpu-4")
PASSES = "def test_it(gpu_node): pass\n"
CRASHES = """
def test_before(gpu_node): pass

def test_crash(gpu_node):
    '''The driver answers.'''
    with open("tries.txt", "a") as tries:
        tries.write(gpu_node.name + " ")
    if gpu_node.name == "gpu-2":
        os._exit(3)

def test_after(gpu_node): pass
"""


def run(pytester: pytest.Pytester, cluster: object, *args: str) -> pytest.RunResult:
    """Run with two workers, and write the verdict document and a JUnit file."""
    return run_apart(
        pytester,
        f"--gpu-cluster=path:{cluster}",
        ".",
        "-n2",
        "--gpu-report=out.json",
        "--junit-xml=junit.xml",
        *QUIET,
        *args,
    )


def document(pytester: pytest.Pytester) -> dict[str, Any]:
    """Return the verdict document of the last run."""
    read: dict[str, Any] = json.loads((pytester.path / "out.json").read_text())
    return read


@pytest.mark.parametrize("dist", ["load", "loadgroup", "worksteal", "loadfile"])
def test_each_worker_climbs_its_own_nodes(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite, dist: str
) -> None:
    """Every other node, layer by layer, whatever --dist says."""
    make_suite(
        hardware=PASSES,
        driver="@pytest.mark.parametrize('n', [1, 2])\ndef test_it(gpu_node, n): pass\n",
    )
    result = run(pytester, make_cluster(*NAMES), "-v", f"--dist={dist}")
    assert result.parseoutcomes() == {"passed": 15}
    order = defaultdict(list)
    for line in result.outlines:
        if seen := re.match(
            r"\[(gw\d)\].* PASSED test_(\w+)\.py::test_it\[(gpu-[\d]+(?:-a)?)", line
        ):
            order[seen[1]].append((seen[2], seen[3]))
    shards = {frozenset(name for _, name in tests) for tests in order.values()}
    assert shards == {frozenset(NAMES[::2]), frozenset(NAMES[1::2])}
    for tests in order.values():
        layers = [layer for layer, _ in tests]
        assert layers == sorted(layers, reverse=True)


def test_more_workers_than_nodes(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite
) -> None:
    """Spare workers do no harm."""
    make_suite(driver=PASSES)
    assert run(pytester, make_cluster("gpu-1"), "-n3").parseoutcomes() == {"passed": 1}


def test_tests_without_a_node_run_too(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite
) -> None:
    """A user's plain tests are dealt out as xdist does."""
    make_suite(driver=PASSES)
    pytester.makepyfile(test_own="def test_plain(): pass")
    assert run(pytester, make_cluster("gpu-1", "gpu-2")).parseoutcomes() == {"passed": 3}


def test_crash_is_an_error_of_its_node_and_is_not_repeated(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite
) -> None:
    """It blocks nothing: a crash of ours says nothing of the GPU. The rest still runs."""
    make_suite(hardware=PASSES, driver=CRASHES, runtime=PASSES)
    result = run(pytester, make_cluster(*NAMES))
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.parseoutcomes() == {"passed": 24, "errors": 1}
    assert sorted((pytester.path / "tries.txt").read_text().split()) == sorted(NAMES)
    nodes = {node["name"]: node for node in document(pytester)["nodes"]}
    assert {name: node["verdict"] for name, node in nodes.items()} == {
        **dict.fromkeys(NAMES, "conforms"),
        "gpu-2": "error",
    }
    assert nodes["gpu-2"]["layers"]["runtime"]["state"] == "passed"
    [error] = nodes["gpu-2"]["errors"]
    assert (error["test"], error["requirement"]) == ("test_crash", "The driver answers.")
    assert "crashed while running" in error["reason"]


def test_crash_report_has_its_properties(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite
) -> None:
    """A report that xdist makes of a crash has none."""
    make_suite(driver=CRASHES)
    run(pytester, make_cluster(*NAMES))
    junit = (pytester.path / "junit.xml").read_text()
    case = junit[junit.index('name="test_crash[gpu-2]"') :].partition("</testcase>")[0]
    for name, value in {"gpu_node": "gpu-2", "gpu_layer": "driver", "gpu_verdict": "error"}.items():
        assert f'<property name="{name}" value="{value}"' in case
    assert f'tests="{junit.count("<testcase")}"' in junit


def test_ledger_survives_a_crash(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite
) -> None:
    """What failed before the crash still blocks in the worker that takes over."""
    make_suite(
        hardware="def test_it(gpu_node):\n"
        "    if gpu_node.name == 'gpu-2': fail(finding(gpu_node))\n",
        driver="def test_it(gpu_node):\n    if gpu_node.name == 'gpu-4': os._exit(3)\n",
        runtime=PASSES,
    )
    result = run(pytester, make_cluster(*NAMES))
    assert result.parseoutcomes() == {"failed": 1, "blocked": 2, "errors": 1, "passed": 11}
    verdicts = {node["name"]: node["verdict"] for node in document(pytester)["nodes"]}
    assert (verdicts["gpu-2"], verdicts["gpu-4"]) == ("fails", "error")


def test_crash_of_the_last_test_ends_the_run(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite
) -> None:
    """Nothing is left for the worker that takes over."""
    make_suite(driver="def test_it(gpu_node): os._exit(3)\n")
    result = run(pytester, make_cluster("gpu-1", "gpu-2"))
    assert result.parseoutcomes() == {"errors": 2}
    assert [node["verdict"] for node in document(pytester)["nodes"]] == ["error", "error"]


def test_no_restart_leaves_the_rest_unproven(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite
) -> None:
    """Tests that nobody ran are not passed."""
    make_suite(driver=CRASHES, runtime=PASSES)
    result = run(pytester, make_cluster("gpu-1", "gpu-2"), "--max-worker-restart=0")
    assert result.ret != 0
    verdicts = {node["name"]: node["verdict"] for node in document(pytester)["nodes"]}
    assert verdicts["gpu-2"] == "error"


def test_archive_is_unpacked_once(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite
) -> None:
    """Workers read the controller's copy, and nothing is left behind."""
    cluster = make_cluster("gpu-1", "gpu-2")
    archive = pytester.path / "bug.tar.gz"
    pytester.run("tar", "-czf", str(archive), "-C", str(cluster.parent), cluster.name)
    make_suite(
        driver="def test_it(gpu_node, gpu_cluster):\n"
        "    with open('folders.txt', 'a') as file:\n"
        "        file.write(str(gpu_cluster.folder) + chr(10))\n"
    )
    result = run(pytester, archive)
    assert result.parseoutcomes() == {"passed": 2}
    folders = set((pytester.path / "folders.txt").read_text().split())
    assert len(folders) == 1
    assert not any(pytester.path.joinpath(folder).exists() for folder in folders)


def test_zero_workers_is_inline(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite
) -> None:
    """As a debugger wants it."""
    make_suite(driver=PASSES)
    assert run(pytester, make_cluster("gpu-1"), "-n0").parseoutcomes() == {"passed": 1}
