"""Verdicts follow what pytest finally makes of each report, whoever changed it on the way."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.conftest import CAUSE, SUITE_MODULE, MakeCluster, MakeSuite
from tests.support.runs import QUIET, run_here

PASSES = "def test_it(gpu_node): pass\n"
FAILS = "def test_it(gpu_node): fail(finding(gpu_node))\n"


Climb = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def climb(pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite) -> Climb:
    """Return a function that runs tests on one node, layer name to code.

    It returns the exit code and the document's entry of the node.
    """

    def run(*args: str, **modules: str) -> tuple[int, dict[str, Any]]:
        make_suite(**modules)
        options = (f"--gpu-cluster=path:{make_cluster('gpu-1')}", "--gpu-report=out.json")
        result = run_here(pytester, *options, ".", "--junit-xml=junit.xml", *QUIET, *args)
        [node] = json.loads((pytester.path / "out.json").read_text())["nodes"]
        return int(result.ret), node

    return run


def junit_properties(pytester: pytest.Pytester, layer: str) -> dict[str, str]:
    """Return the properties of the only test of a layer."""
    root = ElementTree.parse(pytester.path / "junit.xml").getroot()  # noqa: S314 - pytest wrote it
    cases = [case for case in root.iter("testcase") if layer in case.get("classname", "")]
    found = [(p.get("name", ""), p.get("value", "")) for c in cases for p in c.iter("property")]
    return dict(found)


def hook(when: str, new: str) -> str:
    """Return a conftest whose hook changes the reports of one phase."""
    return (
        "import pytest\n"
        "@pytest.hookimpl(wrapper=True, tryfirst=True)\n"
        "def pytest_runtest_makereport(item, call):\n"
        "    report = yield\n"
        f"    if call.when == '{when}': vars(report).update({new})\n"
        "    return report\n"
    )


UNMET = {
    "pytest.fail": ("def test_it(gpu_node): pytest.fail('the fan is loud')\n", "the fan is loud"),
    "pytest.raises": (
        "def test_it(gpu_node):\n    with pytest.raises(ValueError): pass\n",
        "DID NOT RAISE",
    ),
    "subtest": (
        "def test_it(gpu_node, subtests):\n"
        "    with subtests.test(msg='one'): assert gpu_node is None, 'one is wrong'\n"
        "    with subtests.test(msg='two'): pass\n",
        "one is wrong",
    ),
    "strict xfail": (
        "@pytest.mark.xfail(strict=True, reason='not yet')\ndef test_it(gpu_node): pass\n",
        "[XPASS(strict)] not yet",
    ),
    "teardown after it": (
        "@pytest.fixture\ndef thing(gpu_node):\n    yield\n    raise ValueError\n"
        "def test_it(thing): pytest.fail('the fan is loud')\n",
        "the fan is loud",
    ),
}


@pytest.mark.parametrize(("code", "words"), UNMET.values(), ids=UNMET)
def test_what_pytest_counts_as_a_failure_of_the_test_fails_its_layer(
    pytester: pytest.Pytester, climb: Climb, workers: list[str], code: str, words: str
) -> None:
    """Its message is the evidence; it blocks, and JUnit has the verdict."""
    exit_code, node = climb(*workers, driver=code, runtime=PASSES)
    assert (exit_code, node["verdict"], node["cause"]) == (1, "fails", "driver/unexplained")
    assert words in node["evidence"][0]["text"]
    assert node["layers"]["driver"] | {"failed": 1, "total": 1} == node["layers"]["driver"]
    assert node["layers"]["runtime"]["state"] == "blocked"
    assert junit_properties(pytester, "test_driver")["gpu_verdict"] == "failed"


def test_a_fixture_that_calls_fail_fails_its_layer(climb: Climb) -> None:
    """It names a cause with evidence, which an exception of a fixture does not."""
    code = (
        "@pytest.fixture\ndef thing(gpu_node): fail(finding(gpu_node))\ndef test_it(thing): pass\n"
    )
    _, node = climb(driver=code, runtime=PASSES)
    assert (node["verdict"], node["cause"]) == ("fails", CAUSE)
    assert node["layers"]["runtime"]["state"] == "blocked"


def test_a_test_that_was_too_slow_proves_nothing_about_the_node(climb: Climb) -> None:
    """pytest-timeout stops it with ``pytest.fail()``: that is an error, and does not block."""
    slow = "def test_it(gpu_node): pytest.fail('Timeout (>1.0s) from pytest-timeout.')\n"
    exit_code, node = climb(driver=slow, runtime=PASSES)
    assert (exit_code, node["verdict"], node["cause"]) == (1, "error", None)
    assert node["layers"]["runtime"]["state"] == "passed"


def test_a_subtest_may_name_the_cause(climb: Climb, workers: list[str]) -> None:
    """The first one that fails does; what passes after it hides nothing."""
    code = (
        "def test_it(gpu_node, subtests):\n"
        "    with subtests.test(msg='one'): fail(finding(gpu_node))\n"
        "    with subtests.test(msg='two'): assert gpu_node is None\n"
    )
    _, node = climb(*workers, driver=code)
    assert node["cause"] == CAUSE


UNDECIDED = {
    "unproven": ("unproven('nobody looked')", "unproven"),
    "trouble of ours": ("raise KeyError('x')", "error"),
}


@pytest.mark.parametrize(("code", "verdict"), UNDECIDED.values(), ids=UNDECIDED)
def test_a_subtest_that_proves_nothing_is_no_pass(
    climb: Climb, workers: list[str], code: str, verdict: str
) -> None:
    """Also if the test around it passes."""
    test = f"def test_it(gpu_node, subtests):\n    with subtests.test(msg='one'): {code}\n"
    exit_code, node = climb(*workers, driver=test, runtime=PASSES)
    assert (exit_code, node["verdict"]) == (1, verdict)
    assert node["layers"]["runtime"]["state"] == "passed"


CHANGED = {
    "pass to failure": (PASSES, "call", "outcome='failed', longrepr='it leaked'", "fails"),
    "failure to pass": (FAILS, "call", "outcome='passed', longrepr=None", "conforms"),
    "failure to skip": (
        FAILS,
        "call",
        "outcome='skipped', longrepr=('x.py', 1, 'Skipped: quarantine')",
        "unproven",
    ),
    "tear-down to failure": (PASSES, "teardown", "outcome='failed', longrepr='it leaked'", "error"),
}


@pytest.mark.parametrize("change", CHANGED.values(), ids=CHANGED)
@pytest.mark.parametrize("where", [".", "deep"])
def test_a_hook_may_change_what_a_test_is_reported_as(
    pytester: pytest.Pytester, climb: Climb, change: tuple[str, str, str, str], where: str
) -> None:
    """The hook of a folder's conftest has its say after ours; neither is overlooked."""
    code, when, new, verdict = change
    folder = pytester.path / where
    folder.mkdir(exist_ok=True)
    (folder / "conftest.py").write_text(hook(when, new))
    (folder / "test_it.py").write_text(SUITE_MODULE.format(layer="DRIVER") + code)
    exit_code, node = climb()
    assert (exit_code, node["verdict"]) == (int(verdict != "conforms"), verdict)
    if verdict == "fails":
        assert (node["cause"], node["evidence"][0]["text"]) == ("driver/unexplained", "it leaked")


RERUNS = """
import pytest
from _pytest.runner import runtestprotocol

@pytest.hookimpl(trylast=False)
def pytest_runtest_protocol(item, nextitem):
    if "test_driver" not in item.nodeid:
        return None
    for attempt in (1, 2):
        item.config.attempt = attempt
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in runtestprotocol(item, nextitem=nextitem, log=False):
            again = attempt == 1 and report.failed
            if again:
                report.outcome = "rerun"
            item.ihook.pytest_runtest_logreport(report=report)
            if again:
                item._initrequest()
                break
        else:
            break
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True

def pytest_report_teststatus(report):
    return ("rerun", "R", "RERUN") if report.outcome == "rerun" else None
"""
"""What pytest-rerunfailures does: reports of an attempt are logged after it, as "rerun"."""


def test_a_rerun_that_passes_leaves_nothing_failed_or_blocked(
    pytester: pytest.Pytester, climb: Climb, workers: list[str]
) -> None:
    """Neither in the ledger nor in JUnit's properties; a latent finding is told once."""
    pytester.makeconftest(RERUNS)
    test = (
        "def test_it(gpu_node, request):\n"
        "    latent(finding(gpu_node))\n"
        "    if request.config.attempt == 1: fail(finding(gpu_node))\n"
    )
    exit_code, node = climb(*workers, driver=test, runtime=PASSES)
    assert (exit_code, node["verdict"]) == (0, "conforms")
    assert node["layers"]["runtime"]["state"] == "passed"
    assert node["layers"]["driver"] | {"latent": 1, "total": 1} == node["layers"]["driver"]
    properties = junit_properties(pytester, "test_driver")
    assert (properties["gpu_verdict"], properties["gpu_latent"]) == ("passed", CAUSE)
    assert "gpu_cause" not in properties


def test_the_last_attempt_counts(
    pytester: pytest.Pytester, climb: Climb, workers: list[str]
) -> None:
    """If it fails too, the layer fails and the higher ones are blocked."""
    pytester.makeconftest(RERUNS)
    exit_code, node = climb(*workers, driver=FAILS, runtime=PASSES)
    assert (exit_code, node["verdict"], node["cause"]) == (1, "fails", CAUSE)
    assert node["layers"]["runtime"]["state"] == "blocked"


def test_properties_of_users_stay_as_they_are(pytester: pytest.Pytester, climb: Climb) -> None:
    """Also two of one name."""
    climb(
        driver="def test_it(gpu_node, request):\n"
        "    request.node.user_properties += [('ticket', '1'), ('ticket', '2')]\n"
    )
    text = (pytester.path / "junit.xml").read_text()
    assert [f'name="ticket" value="{n}"' in text for n in (1, 2)] == [True, True]
