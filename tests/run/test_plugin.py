"""The ladder end to end: order, states, counts and exit codes, with and without xdist."""

from __future__ import annotations

import json
from fnmatch import fnmatch
from typing import Any

import pytest

from tests.conftest import CAUSE, MakeCluster, MakeSuite
from tests.support.runs import QUIET, run_here

PASSES = "def test_it(gpu_node): pass\n"
FAILS_ON_2 = """
def test_first(gpu_node):
    '''The first thing works.'''
    if gpu_node.name == "gpu-2": fail(finding(gpu_node))

def test_second(gpu_node): pass
"""


def run(pytester: pytest.Pytester, cluster: object, *args: str) -> pytest.RunResult:
    """Run the suite written by ``make_suite`` on a recording."""
    return run_here(pytester, f"--gpu-cluster=path:{cluster}", ".", *QUIET, *args)


def judged(pytester: pytest.Pytester, cluster: object, *args: str) -> dict[str, Any]:
    """Run like :func:`run` and return the verdict document."""
    run(pytester, cluster, "--gpu-report=out.json", *args)
    document: dict[str, Any] = json.loads((pytester.path / "out.json").read_text())
    return document


def states(document: dict[str, Any], layer: str) -> dict[str, str]:
    """Return the state of one layer by node."""
    return {node["name"]: node["layers"][layer]["state"] for node in document["nodes"]}


def test_first_failing_layer_blocks_the_higher_ones_of_its_node(
    pytester: pytest.Pytester,
    make_cluster: MakeCluster,
    make_suite: MakeSuite,
    workers: list[str],
) -> None:
    """Only gpu-2 is cut short, and all tests of its failing layer still run."""
    make_suite(hardware=PASSES, driver=FAILS_ON_2, runtime=PASSES)
    result = run(pytester, make_cluster("gpu-1", "gpu-2", "gpu-3"), *workers)
    assert result.parseoutcomes() == {"passed": 10, "failed": 1, "blocked": 1}
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*GPU conformance*", f"*cause: {CAUSE} (layer driver)*"])


def test_all_layers_climbs_on(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite
) -> None:
    """Who wants every fact gets it."""
    make_suite(driver=FAILS_ON_2, runtime=PASSES)
    result = run(pytester, make_cluster("gpu-1", "gpu-2"), "--gpu-all-layers")
    assert result.parseoutcomes() == {"passed": 5, "failed": 1}


def test_order_is_layer_then_node_then_definition(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite
) -> None:
    """Whatever order the files have: the whole fleet climbs together."""
    make_suite(access=PASSES, hardware="def test_z(gpu_node): pass\ndef test_a(gpu_node): pass\n")
    make_suite(driver=PASSES)
    pytester.makepyfile(test_aaa="def test_plain(): pass")
    result = run(pytester, make_cluster("gpu-2", "gpu-1"), "--collect-only", "-q")
    assert [line for line in result.outlines if "::" in line] == [
        "test_access.py::test_it[gpu-1]",
        "test_access.py::test_it[gpu-2]",
        "test_hardware.py::test_z[gpu-1]",
        "test_hardware.py::test_a[gpu-1]",
        "test_hardware.py::test_z[gpu-2]",
        "test_hardware.py::test_a[gpu-2]",
        "test_driver.py::test_it[gpu-1]",
        "test_driver.py::test_it[gpu-2]",
        "test_aaa.py::test_plain",
    ]


def test_a_shuffling_plugin_does_not_change_the_order(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite
) -> None:
    """The first failed test names the cause, so definition order must survive."""
    make_suite(hardware="def test_z(gpu_node): pass\ndef test_a(gpu_node): pass\n", driver=PASSES)
    pytester.makeconftest("def pytest_collection_modifyitems(items): items.reverse()")
    result = run(pytester, make_cluster("gpu-1"), "--collect-only", "-q")
    assert [line for line in result.outlines if "::" in line] == [
        "test_hardware.py::test_z[gpu-1]",
        "test_hardware.py::test_a[gpu-1]",
        "test_driver.py::test_it[gpu-1]",
    ]


UNDECIDED = {
    "raised in the test": "def test_it(gpu_node): raise NotInEvidence('gpu-1', 'the file /x')\n",
    "said by the test": (
        "def test_it(gpu_node): unproven('the file /x on gpu-1 is not in the evidence')\n"
    ),
    "raised in a fixture": (
        "@pytest.fixture\ndef thing(gpu_node): raise NotInEvidence('gpu-1', 'the file /x')\n"
        "def test_it(thing): pass\n"
    ),
}


@pytest.mark.parametrize("code", UNDECIDED.values(), ids=UNDECIDED)
def test_what_cannot_be_decided_is_unproven(
    pytester: pytest.Pytester,
    make_cluster: MakeCluster,
    make_suite: MakeSuite,
    workers: list[str],
    code: str,
) -> None:
    """It has its own count and its own letter, blocks nothing and is no success."""
    make_suite(hardware=PASSES, driver=code, runtime=PASSES)
    result = run(pytester, make_cluster("gpu-1"), "-v", *workers)
    assert result.parseoutcomes() == {"passed": 2, "unproven": 1}
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*UNPROVEN*", "*the file /x on gpu-1 is not in the evidence*"])


@pytest.mark.parametrize("reason", ["", " ", "\n"])
def test_unproven_without_a_reason_is_no_success(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite, reason: str
) -> None:
    """It is unproven all the same, and the report says that the reason is missing."""
    make_suite(driver=f"def test_it(gpu_node): unproven({reason!r})\ndef test_b(gpu_node): pass\n")
    result = run(pytester, make_cluster("gpu-1"))
    assert result.parseoutcomes() == {"passed": 1, "unproven": 1}
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*the test gives no reason*"])


def test_a_skip_that_says_unproven_is_unproven(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite
) -> None:
    """Also with nothing behind it: pytest cuts the blank off."""
    make_suite(driver="def test_it(gpu_node): pytest.skip('unproven: ')\n", hardware=PASSES)
    result = run(pytester, make_cluster("gpu-1"))
    assert result.parseoutcomes() == {"passed": 1, "unproven": 1}


def test_unproven_can_be_allowed(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite
) -> None:
    """By option or configuration; then the rest decides."""
    make_suite(driver=UNDECIDED["raised in the test"], hardware=PASSES)
    cluster = make_cluster("gpu-1")
    assert run(pytester, cluster, "--gpu-allow-unproven").ret == 0
    assert run(pytester, cluster, "-o", "gpu_allow_unproven=true").ret == 0


def test_nothing_tested_is_never_a_success(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite
) -> None:
    """Not even when everything unproven is allowed, or skipped by the user."""
    cluster = make_cluster("gpu-1")
    make_suite(driver=UNDECIDED["raised in the test"])
    assert run(pytester, cluster, "--gpu-allow-unproven").ret == 1
    make_suite(driver="@pytest.mark.skip\ndef test_it(gpu_node): pass\n")
    assert run(pytester, cluster).ret == 1


TROUBLE = {
    "ours": "def test_it(gpu_node): raise GpuError('the API went away')\n",
    "unexpected": "def test_it(gpu_node): raise KeyError('x')\n",
    "in a fixture": (
        "@pytest.fixture\ndef thing(gpu_node): assert False\ndef test_it(thing): pass\n"
    ),
    "in a teardown": (
        "@pytest.fixture\ndef thing(gpu_node):\n    yield\n    raise ValueError\n"
        "def test_it(thing): pass\n"
    ),
    "a plugin is missing": "async def test_it(gpu_node): pass\n",
    "unknown cause": "def test_it(gpu_node): latent(finding(gpu_node, 'no/such'))\n",
}


@pytest.mark.parametrize("code", TROUBLE.values(), ids=TROUBLE)
def test_trouble_of_our_own_is_an_error_and_never_a_gpu_fault(
    pytester: pytest.Pytester,
    make_cluster: MakeCluster,
    make_suite: MakeSuite,
    workers: list[str],
    code: str,
) -> None:
    """It is shown, it is no success, and it blocks nothing."""
    make_suite(driver=code, runtime=PASSES)
    result = run(pytester, make_cluster("gpu-1"), "--gpu-report=out.json", *workers)
    document = json.loads((pytester.path / "out.json").read_text())
    assert result.parseoutcomes()["errors"] == 1
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert document["nodes"][0]["verdict"] == "error"
    assert document["nodes"][0]["layers"]["runtime"]["state"] == "passed"


MISTAKES = {
    "latent(3)": "latent(): expected a finding, such as Finding.of(*), got int: 3",
    "fail('x')": "fail(): expected a finding, such as Finding.of(*), got str: 'x'",
    "fail(Finding.of('driver/not-loaded', 'x'))": (
        "Finding: evidence: expected Evidence(source=..., text=...), got str: 'x'"
    ),
    "fail(Finding.of('driver/not-loaded', version=3))": (
        "Finding: version: expected a text, or a tuple of steps, got int: 3"
    ),
    "fail(Finding.of(['driver']))": "Finding: cause: expected the ID of a cause, *, got list: *",
    "Evidence(source='/x', text=None)": "Evidence: text: expected a text, got NoneType: None",
    "Evidence(source='/x', text='y', line='3')": "Evidence: line: expected a number or None, *",
}


@pytest.mark.parametrize("code", MISTAKES)
def test_a_wrong_type_is_an_error_of_its_test_only(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite, code: str
) -> None:
    """The message says what is expected; the other tests go on."""
    make_suite(driver=f"def test_it(gpu_node): {code}\n", runtime=PASSES)
    (node,) = judged(pytester, make_cluster("gpu-1"))["nodes"]
    assert node["verdict"] == "error"
    assert node["layers"]["runtime"]["state"] == "passed"
    [reason] = [each["reason"] for each in node["errors"]]
    assert fnmatch(reason, f"TypeError: {MISTAKES[code].replace('[', '[[]')}"), reason


def test_a_bare_assertion_fails_without_a_cause(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite
) -> None:
    """It is a requirement that is not met, so it blocks; its traceback stays."""
    make_suite(runtime="def test_it(gpu_node): assert 1 == 2\n", sandbox=PASSES)
    result = run(pytester, make_cluster("gpu-1"))
    assert result.parseoutcomes() == {"failed": 1, "blocked": 1}
    result.stdout.fnmatch_lines(["*=== FAILURES ===*", "*cause: runtime/unexplained*"])


def test_a_latent_finding_is_counted_beside_the_pass(
    pytester: pytest.Pytester,
    make_cluster: MakeCluster,
    make_suite: MakeSuite,
    workers: list[str],
) -> None:
    """It works now: exit 0, but shown."""
    make_suite(runtime="def test_it(gpu_node): latent(finding(gpu_node))\n")
    result = run(pytester, make_cluster("gpu-1"), *workers)
    assert result.parseoutcomes() == {"passed": 1, "latent": 1}
    assert result.ret == 0
    result.stdout.fnmatch_lines([f"*{CAUSE}*"])


def test_a_failure_with_a_cause_is_told_once(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite
) -> None:
    """A hundred nodes with one cause are not a hundred tracebacks; -v brings them back."""
    make_suite(driver=FAILS_ON_2)
    cluster = make_cluster("gpu-1", "gpu-2")
    short, long = run(pytester, cluster).stdout.str(), run(pytester, cluster, "-v").stdout.str()
    assert "= FAILURES =" not in short
    assert "FAILED test_driver" not in short
    assert "= FAILURES =" in long
    assert "1 failed" in short


def test_layers_up_to(
    pytester: pytest.Pytester,
    make_cluster: MakeCluster,
    make_suite: MakeSuite,
    workers: list[str],
) -> None:
    """Higher layers were not asked for: conforms up to there, exit 0."""
    make_suite(access=PASSES, hardware=PASSES, driver=PASSES)
    make_suite(runtime="def test_it(gpu_node): assert False\n")
    document = judged(pytester, make_cluster("gpu-1"), "--gpu-layers=driver", *workers)
    assert document["run"]["exit_code"] == 0
    assert document["nodes"][0]["conforms_up_to"] == "driver"
    assert states(document, "runtime") == {"gpu-1": "not-asked"}


def test_keyword_selection_is_no_failure(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite, workers: list[str]
) -> None:
    """Nodes and layers that -k left out were not asked for."""
    make_suite(hardware=PASSES, driver=FAILS_ON_2)
    cluster = make_cluster("gpu-1", "gpu-2")
    document = judged(pytester, cluster, "-k", "gpu-1", *workers)
    assert [node["name"] for node in document["nodes"]] == ["gpu-1"]
    assert document["run"]["exit_code"] == 0
    assert document["run"]["deselected"] == 3


def test_maxfail_leaves_no_gap_unseen(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite
) -> None:
    """Tests that did not run because of -x are not passed."""
    make_suite(hardware="def test_it(gpu_node): assert gpu_node.name != 'gpu-1'\n", driver=PASSES)
    document = judged(pytester, make_cluster("gpu-1", "gpu-2"), "-x")
    assert [node["verdict"] for node in document["nodes"]] == ["fails", "unproven"]


def test_a_layer_may_be_named_by_a_string(
    pytester: pytest.Pytester, make_cluster: MakeCluster, workers: list[str]
) -> None:
    """Users' own tests need not import the enum."""
    code = "import pytest\n@pytest.mark.gpu_layer({})\ndef test_it(gpu_node): pass\n"
    pytester.makepyfile(test_own=code.format("'driver'"))
    cluster = make_cluster("gpu-1")
    assert judged(pytester, cluster, *workers)["nodes"][0]["layers"]["driver"]["passed"] == 1


MARK = "@pytest.mark.gpu_layer({})\n"
CASE = "import unittest\nclass TestIt(unittest.TestCase):\n"
MISPLACED = {
    "unknown layer": (
        MARK.format("'kernel'") + "def test_it(gpu_node): pass\n",
        "test_it: mark gpu_layer: 'kernel' is not a layer; *",
    ),
    "no layer": (
        MARK.format("") + "def test_it(gpu_node): pass\n",
        "test_it: mark gpu_layer: takes one layer, *",
    ),
    "of a parameter": (
        "@pytest.mark.parametrize('x', [pytest.param(1, marks=pytest.mark.gpu_layer('kernel'))])\n"
        "def test_it(gpu_node, x): pass\n",
        "test_it: mark gpu_layer: 'kernel' is not a layer; *",
    ),
    "two layers": (
        MARK.format("'driver'") + MARK.format("'runtime'") + "def test_it(gpu_node): pass\n",
        "test_it: mark gpu_layer: is given twice; a test has one layer",
    ),
    "no node": (
        MARK.format("'hardware'") + "def test_it(): assert False\n",
        "test_it: mark gpu_layer: is only for tests of a node; let the test use the fixture "
        "gpu_node, or remove the mark",
    ),
    "a TestCase": (
        CASE + "    @pytest.mark.usefixtures('gpu_node')\n    def test_it(self): pass\n",
        "TestIt::test_it: fixture gpu_node: pytest cannot run a method of unittest.TestCase once "
        "per node; write a function, or a class that is not a TestCase",
    ),
    "a layer of a TestCase": (
        CASE + f"    {MARK.format(repr('driver'))}    def test_it(self): pass\n",
        "TestIt::test_it: mark gpu_layer: is only for tests of a node; *",
    ),
}


@pytest.mark.parametrize(("code", "message"), MISPLACED.values(), ids=MISPLACED)
def test_a_test_without_a_place_on_the_ladder_is_not_collected(
    pytester: pytest.Pytester,
    make_cluster: MakeCluster,
    workers: list[str],
    code: str,
    message: str,
) -> None:
    """It would decide nothing; one line says what to do, however many nodes there are."""
    pytester.makepyfile(test_own=f"import pytest\n{code}")
    result = run(pytester, make_cluster("gpu-1", "gpu-2"), *workers)
    assert result.ret in {pytest.ExitCode.INTERRUPTED, pytest.ExitCode.TESTS_FAILED}
    told = [line for line in result.outlines if fnmatch(line, f"test_own.py::{message}")]
    assert len(told) == 1


def test_the_closest_layer_counts(pytester: pytest.Pytester, make_cluster: MakeCluster) -> None:
    """A test may have another layer than its module."""
    code = "import pytest\npytestmark = pytest.mark.gpu_layer('driver')\n"
    test = MARK.format("'runtime'") + "def test_it(gpu_node): pass\n"
    pytester.makepyfile(test_own=code + test)
    layers = judged(pytester, make_cluster("gpu-1"))["nodes"][0]["layers"]
    assert (layers["driver"]["state"], layers["runtime"]["passed"]) == ("not-asked", 1)


def test_a_node_that_is_asked_for_too_late_is_an_error_with_a_hint(
    pytester: pytest.Pytester, make_cluster: MakeCluster
) -> None:
    """The test was already collected, once and not per node."""
    pytester.makepyfile(test_own="def test_it(request): request.getfixturevalue('gpu_node')\n")
    result = run(pytester, make_cluster("gpu-1"))
    result.stdout.fnmatch_lines(["*GpuError: gpu_node: the test must name this fixture among *"])


def test_progress_names_the_layer(
    pytester: pytest.Pytester,
    make_cluster: MakeCluster,
    make_suite: MakeSuite,
    workers: list[str],
) -> None:
    """One line per layer, each a line of its own; none with -q."""
    make_suite(hardware=FAILS_ON_2, driver=PASSES)
    cluster = make_cluster("gpu-1", "gpu-2")
    for verbose in ([], ["-v"]):
        lines = run(pytester, cluster, *workers, *verbose).outlines
        assert "gpu: climbing hardware (2 of 7), 2 nodes" in lines
        assert any(line.startswith("gpu: climbing driver (3 of 7), ") for line in lines)
    assert "climbing" not in run(pytester, cluster, "-q", *workers).stdout.str()


def test_header_says_where_values_come_from(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite
) -> None:
    """Cluster, nodes, layers and timeout, each with its source."""
    make_suite(driver=PASSES)
    pytester.makeini("[pytest]\ngpu_timeout = 20")
    result = run(pytester, make_cluster("gpu-1", "gpu-2"), "--gpu-layers=driver")
    result.stdout.fnmatch_lines(
        [
            "gpu: cluster:*",
            "*taken 2026-11-21 10:00 UTC",
            "gpu: 2 nodes: gpu-1, gpu-2 (default)",
            "gpu: layers: up to driver (from --gpu-layers)",
            "gpu: timeout: 20 s (from gpu_timeout in tox.ini)",
        ]
    )


def test_fixtures_without_a_cluster_skip(pytester: pytest.Pytester) -> None:
    """A project's ordinary run does not break because it has GPU tests."""
    pytester.makepyfile("def test_it(gpu_node): pass\ndef test_own(): pass")
    result = run_here(pytester, "-rs", *QUIET)
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*gpu_node needs --gpu-cluster*"])


def test_verdict_hook_gets_the_document(
    pytester: pytest.Pytester,
    make_cluster: MakeCluster,
    make_suite: MakeSuite,
    workers: list[str],
) -> None:
    """Once, in the controller: for whoever sends it on."""
    make_suite(driver=PASSES)
    pytester.makeconftest(
        "def pytest_gpu_verdict(document):\n"
        "    open('seen.txt', 'a').write(document['nodes'][0]['verdict'] + ' ')"
    )
    run(pytester, make_cluster("gpu-1"), *workers)
    assert (pytester.path / "seen.txt").read_text() == "conforms "


BROKEN_HOOKS = {
    "1 / 0": (3, "ZeroDivisionError: division by zero"),
    "raise OSError('two\\nlines')": (3, r"OSError: two\nlines"),
    "pytest.fail('no')": (3, "Failed: no"),
    "pytest.exit('stop', returncode=9)": (9, "Exit: stop"),
    "raise SystemExit(7)": (3, "SystemExit: 7"),
}


@pytest.mark.parametrize("body", BROKEN_HOOKS)
def test_verdict_hook_that_raises_is_one_line_and_costs_no_report(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite, body: str
) -> None:
    """The verdict of a long run is not lost to a few lines that were to send it on."""
    code, error = BROKEN_HOOKS[body]
    make_suite(driver=PASSES)
    pytester.makeconftest(f"import pytest\ndef pytest_gpu_verdict(document):\n    {body}\n")
    files = ("--gpu-report=r.json", "--junitxml=j.xml")
    result = run(pytester, make_cluster("gpu-1"), *files)
    assert result.ret == code
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    result.stdout.fnmatch_lines(["1 node: conforms *"])
    assert f"ERROR: hook pytest_gpu_verdict: conftest.py:3: {error}" in result.outlines
    document = json.loads((pytester.path / "r.json").read_text())
    assert document["run"]["exit_code"] == code
    assert 'name="gpu_node:gpu-1" value="conforms"' in (pytester.path / "j.xml").read_text()


@pytest.mark.parametrize(
    "change", ["document.clear()", "document['nodes'][0]['verdict'] = 'fails'"]
)
def test_verdict_hook_cannot_change_the_verdict(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite, change: str
) -> None:
    """It gets a copy."""
    make_suite(driver=PASSES)
    pytester.makeconftest(f"def pytest_gpu_verdict(document): {change}")
    result = run(pytester, make_cluster("gpu-1"), "--gpu-report=r.json", "--junitxml=j.xml")
    result.stdout.fnmatch_lines(["1 node: conforms *"])
    document = json.loads((pytester.path / "r.json").read_text())
    assert document["nodes"][0]["verdict"] == "conforms"
    assert 'name="gpu_node:gpu-1" value="conforms"' in (pytester.path / "j.xml").read_text()
