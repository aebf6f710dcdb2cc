"""JUnit and Allure carry the same facts as the terminal, with and without xdist."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.conftest import CAUSE, MakeCluster, MakeSuite
from tests.support.runs import QUIET, run_apart, run_here

SUITE = {
    "hardware": "def test_it(gpu_node): latent(finding(gpu_node))\n",
    "driver": "def test_it(gpu_node):\n    '''The driver works.'''\n"
    "    if gpu_node.name == 'gpu-2': fail(finding(gpu_node))\n"
    "    if gpu_node.name == 'gpu-3': unproven('nobody looked')\n"
    "    if gpu_node.name == 'gpu-4': raise GpuError('the door is shut')\n",
    "runtime": "def test_it(gpu_node): pass\n",
}


def run(pytester: pytest.Pytester, cluster: object, *args: str) -> None:
    """Run with both reports."""
    run_here(
        pytester,
        f"--gpu-cluster=path:{cluster}",
        ".",
        "--junit-xml=junit.xml",
        "--alluredir=allure",
        *QUIET,
        *args,
    )


def cases(path: Path) -> dict[str, tuple[dict[str, str], ElementTree.Element]]:
    """Return properties and element of each test case, by ``module.name``."""
    root = ElementTree.parse(path).getroot()  # noqa: S314 - pytest wrote it
    return {
        f"{case.get('classname')}.{case.get('name')}": (
            {p.get("name", ""): p.get("value", "") for p in case.iter("property")},
            case,
        )
        for case in root.iter("testcase")
    }


def results(folder: Path) -> dict[str, dict[str, Any]]:
    """Return Allure's results by ``layer node``."""
    found = [json.loads(file.read_text()) for file in folder.glob("*-result.json")]
    return {f"{label(each, 'suite')} {label(each, 'parentSuite')}": each for each in found}


def label(result: dict[str, Any], name: str) -> str:
    """Return the only label of a name."""
    [value] = [each["value"] for each in result["labels"] if each["name"] == name]
    return str(value)


def test_junit_properties(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite, workers: list[str]
) -> None:
    """Node, layer, verdict; cause and what blocks where there is one."""
    make_suite(**SUITE)
    run(pytester, make_cluster("gpu-1", "gpu-2", "gpu-3", "gpu-4"), *workers)
    found = {
        name: properties for name, (properties, _) in cases(pytester.path / "junit.xml").items()
    }
    node = {"gpu_node": "gpu-2"}
    assert found["test_hardware.test_it[gpu-2]"] == {
        **node,
        "gpu_layer": "hardware",
        "gpu_verdict": "passed",
        "gpu_latent": CAUSE,
    }
    driver = {**node, "gpu_layer": "driver"}
    assert found["test_driver.test_it[gpu-2]"] == {
        **driver,
        "gpu_cause": CAUSE,
        "gpu_verdict": "failed",
    }
    assert found["test_runtime.test_it[gpu-2]"] == {
        **node,
        "gpu_layer": "runtime",
        "gpu_verdict": "blocked",
        "gpu_blocked_by": "driver",
    }
    verdicts = [found[f"test_driver.test_it[gpu-{n}]"]["gpu_verdict"] for n in (1, 3, 4)]
    assert verdicts == ["passed", "unproven", "error"]


def test_junit_messages(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite, workers: list[str]
) -> None:
    """A failure names the cause, its text has evidence and fix; a skip says why."""
    make_suite(**SUITE)
    run(pytester, make_cluster("gpu-2", "gpu-3"), *workers)
    found = {name: case for name, (_, case) in cases(pytester.path / "junit.xml").items()}
    failure = found["test_driver.test_it[gpu-2]"].find("failure")
    assert failure is not None
    assert f"{CAUSE} on gpu-2" in failure.get("message", "")
    for words in (CAUSE, "/etc/x.toml:3: it is broken", "fix:"):
        assert words in (failure.text or "")
    blocked = found["test_runtime.test_it[gpu-2]"].find("skipped")
    assert blocked is not None
    assert blocked.get("message") == "blocked: driver failed on gpu-2"
    assert "test_runtime.py" in (blocked.text or "")
    unproven = found["test_driver.test_it[gpu-3]"].find("skipped")
    assert unproven is not None
    assert unproven.get("message") == "unproven: nobody looked"


def test_allure_results(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite, workers: list[str]
) -> None:
    """Grouped by node, then layer; a GPU fault is failed, trouble of ours is broken."""
    make_suite(**SUITE)
    run(pytester, make_cluster("gpu-1", "gpu-2", "gpu-3", "gpu-4"), *workers)
    found = results(pytester.path / "allure")
    status = {name: each["status"] for name, each in found.items()}
    assert status["driver gpu-1"] == "passed"
    assert status["driver gpu-2"] == "failed"
    assert status["driver gpu-3"] == status["runtime gpu-2"] == "skipped"
    assert status["driver gpu-4"] == "broken"
    assert found["driver gpu-1"]["description"] == "The driver works."
    assert "unproven: nobody looked" in found["driver gpu-3"]["statusDetails"]["message"]
    assert "blocked: driver failed on gpu-2" in found["runtime gpu-2"]["statusDetails"]["message"]


def test_allure_attachments(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite, workers: list[str]
) -> None:
    """What decided a test hangs on it, also what is only latent."""
    make_suite(**SUITE)
    run(pytester, make_cluster("gpu-1", "gpu-2"), *workers)
    found = results(pytester.path / "allure")
    for test in ("driver gpu-2", "hardware gpu-1"):
        attached = {each["name"]: each["source"] for each in found[test]["attachments"]}
        evidence = pytester.path / "allure" / attached[f"{CAUSE}: evidence"]
        assert evidence.read_text() == "/etc/x.toml:3: it is broken"
        assert f"{CAUSE}: fix" in attached


def test_allure_run_files(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite, workers: list[str]
) -> None:
    """What was tested, and how results are grouped; a user's own categories stay."""
    make_suite(driver="def test_it(gpu_node): pass\n")
    cluster = make_cluster("gpu-1")
    run(pytester, cluster, *workers)
    environment = (pytester.path / "allure" / "environment.properties").read_text()
    assert f"cluster=path:{cluster}\n" in environment
    assert "nodes=1\n" in environment
    categories = pytester.path / "allure" / "categories.json"
    assert "Unproven" in [each["name"] for each in json.loads(categories.read_text())]
    categories.write_text("[]")
    run(pytester, cluster, *workers)
    assert categories.read_text() == "[]"


def test_clean_alluredir_does_not_lose_results_in_a_crash(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite
) -> None:
    """Each worker would clean the folder again, the one that takes over too."""
    make_suite(
        hardware="def test_it(gpu_node): pass\n",
        driver="def test_it(gpu_node):\n    if gpu_node.name == 'gpu-1': os._exit(3)\n",
    )
    cluster = make_cluster("gpu-1", "gpu-2", "gpu-3", "gpu-4")
    run(pytester, cluster, "-n2", "--clean-alluredir")
    found = results(pytester.path / "allure")
    assert len([name for name in found if "hardware" in name]) == 4
    assert found["driver gpu-1"]["status"] == "broken"
    assert "crashed" in found["driver gpu-1"]["statusDetails"]["message"]


def test_without_allure_nothing_of_it_is_imported(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite
) -> None:
    """Neither it nor xdist is needed."""
    make_suite(
        driver="import sys\n\n"
        "def test_it(gpu_node):\n"
        "    assert {'allure', 'xdist'}.isdisjoint(sys.modules)\n"
    )
    result = run_apart(pytester, f"--gpu-cluster=path:{make_cluster('gpu-1')}", ".", *QUIET)
    result.assert_outcomes(passed=1)
