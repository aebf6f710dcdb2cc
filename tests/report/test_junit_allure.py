"""JUnit and Allure carry the same facts as the terminal, with and without xdist."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from pytest_gpu._allure import write_categories
from pytest_gpu.cluster.recording.samples import sample_path
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


def test_allure_has_one_defect_for_each_cause(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite, workers: list[str]
) -> None:
    """Allure groups by category, then by message: both are the same on every node."""
    make_suite(
        driver="def test_it(gpu_node):\n"
        "    name = gpu_node.name\n"
        "    if name == 'gpu-3': fail(finding(gpu_node, 'driver/module-not-loaded'))\n"
        "    if name == 'gpu-5': assert name == 'other'\n"
        "    if name == 'gpu-6': fail(finding(gpu_node, 'driver/no-such-cause'))\n"
        "    if name != 'gpu-4': fail(finding(gpu_node))\n",
        runtime="def test_it(gpu_node): unproven('nobody looked')\n",
    )
    run(pytester, make_cluster(*(f"gpu-{number}" for number in range(1, 7))), *workers)
    folder = pytester.path / "allure"
    categories = json.loads((folder / "categories.json").read_text())
    found = {
        name: (category_of(each, categories), each["statusDetails"]["message"])
        for name, each in results(folder).items()
        if each["status"] != "passed"
    }
    assert found["driver gpu-1"] == found["driver gpu-2"]
    assert found["driver gpu-1"][0] == CAUSE
    assert found["driver gpu-3"][0] == "driver/module-not-loaded"
    assert found["driver gpu-5"][0] == "driver/unexplained"
    assert found["driver gpu-6"][0] == "Errors of the test run"
    assert found["runtime gpu-1"][0] == "Blocked by a lower layer"
    assert found["runtime gpu-4"] == ("Unproven", "unproven: nobody looked")


def category_of(result: dict[str, Any], categories: list[dict[str, Any]]) -> str:
    """Return the only category that matches: Allure 2 adds a result to each, Allure 3 to one."""
    message = result["statusDetails"]["message"]
    names = (
        str(each["name"])
        for each in categories
        if result["status"] in each["matchedStatuses"]
        and re.fullmatch(each.get("messageRegex", ".*"), message)
    )
    [name] = names
    return name


def test_allure_has_the_cause_that_nobody_asked_for(
    pytester: pytest.Pytester, workers: list[str]
) -> None:
    """All tests that it blocks name it, as label and by category; no test of the run failed."""
    options = ("--gpu-cluster=sample:mixed-fleet", "--gpu-nodes=gpu-4,gpu-1", "-k", "sandbox")
    run_here(pytester, *options, "--alluredir=allure", *QUIET, *workers)
    categories = json.loads((pytester.path / "allure" / "categories.json").read_text())
    found = [each for each in read(pytester.path) if label(each, "parentSuite") == "gpu-4"]
    assert len(found) > 1
    for each in found:
        assert label(each, "gpu_cause") == "runtime/config-overwritten"
        # Older versions of allure-pytest add a tag of their own for every mark.
        tags = [name["value"] for name in each["labels"] if name["name"] == "tag"]
        assert tags.count("runtime/config-overwritten") == 1
        assert len(each["links"]) == 1
        assert category_of(each, categories) == "runtime/config-overwritten"


def test_allure_details_are_the_finding(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite
) -> None:
    """The message is the defect; the text below it has node, evidence and fix, no Python."""
    make_suite(**SUITE)
    run(pytester, make_cluster("gpu-2"))
    details = results(pytester.path / "allure")["driver gpu-2"]["statusDetails"]
    assert details["message"].startswith(f"{CAUSE}: ")
    assert "\n" not in details["message"]
    assert "\nnode: gpu-2\nevidence:\n  /etc/x.toml:3: it is broken\n" in details["trace"]
    assert "\nfix:\n" in details["trace"]
    assert "def test_it" not in details["trace"]


LINKS = {
    (): ("tms", CAUSE),
    ("--allure-link-pattern=tms:https://wiki/{}",): ("tms", f"https://wiki/{CAUSE}"),
    ("-ogpu_cause_link=https://wiki/{cause}",): ("link", f"https://wiki/{CAUSE}"),
    ("-ogpu_cause_link=https://docs/causes.html#{anchor}",): (
        "link",
        "https://docs/causes.html#runtimebinary-missing",
    ),
}


@pytest.mark.parametrize(("options", "link"), LINKS.items(), ids=map(str, range(len(LINKS))))
def test_allure_names_and_links_the_cause(
    pytester: pytest.Pytester,
    make_cluster: MakeCluster,
    make_suite: MakeSuite,
    options: tuple[str, ...],
    link: tuple[str, str],
) -> None:
    """As a label and as a tag; the link leads to a page about the cause."""
    make_suite(**SUITE)
    run(pytester, make_cluster("gpu-1", "gpu-2"), *options)
    found = results(pytester.path / "allure")
    for test, name in {"driver gpu-2": "gpu_cause", "hardware gpu-1": "gpu_latent"}.items():
        labels = [(each["name"], each["value"]) for each in found[test]["labels"]]
        assert {(name, CAUSE), ("tag", CAUSE)} <= set(labels)
        links = [(each["type"], each["url"], each["name"]) for each in found[test]["links"]]
        assert links == [(*link, CAUSE)]
    assert "links" not in found["driver gpu-1"]


IDS = ("historyId", "testCaseId", "fullName")


def test_allure_history_goes_on_elsewhere(
    pytester: pytest.Pytester,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    workers: list[str],
) -> None:
    """Neither the folder nor the name of the cluster is in the IDs."""
    copy = tmp_path / "renamed"
    shutil.copytree(sample_path("mixed-fleet"), copy)
    found = []
    for place, cluster in {"one": "sample:mixed-fleet", "two/deep": f"path:{copy}"}.items():
        folder = tmp_path / place
        folder.mkdir(parents=True)
        monkeypatch.chdir(folder)
        options = (f"--gpu-cluster={cluster}", "--alluredir=allure", "--gpu-layers=access")
        run_here(pytester, *options, *QUIET, *workers)
        found.append({each["historyId"]: [each[name] for name in IDS] for each in read(folder)})
    assert found[0] == found[1]
    assert len(found[0]) == 12 * 3


def read(folder: Path) -> list[dict[str, Any]]:
    """Return Allure's results."""
    return [json.loads(file.read_text()) for file in (folder / "allure").glob("*-result.json")]


def test_allure_history_goes_on_after_a_crash(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite
) -> None:
    """The result that the controller writes has the IDs of the worker's."""
    make_suite(driver="def test_it(gpu_node):\n    if os.environ.get('CRASH'): os._exit(3)\n")
    cluster = make_cluster("gpu-1")
    found = []
    for environment in ("", "1"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CRASH", environment)
            run(pytester, cluster, "-n1", "--clean-alluredir")
        [result] = read(pytester.path)
        found.append({name: result[name] for name in (*IDS, "name", "parameters")})
    assert found[0] == found[1]


def test_allure_can_write_hostile_text(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite, workers: list[str]
) -> None:
    """A lone surrogate cannot be written as UTF-8, and evidence may hold one."""
    hostile = "'a\\x00\\x1b[31m\\ud800]]>'"
    evidence = f"Evidence(source={hostile}, text={hostile})"
    cause = f"Finding.of('{CAUSE}', {evidence}, handler='x', binary={hostile}, patch=())"
    make_suite(
        hardware=f"def test_it(gpu_node): latent({cause})\n",
        driver="def test_it(gpu_node):\n"
        f"    if gpu_node.name == 'gpu-2': unproven({hostile})\n"
        f"    if gpu_node.name == 'gpu-3': raise GpuError({hostile})\n"
        f"    fail({cause})\n",
    )
    run(pytester, make_cluster("gpu-1", "gpu-2", "gpu-3"), *workers)
    found = results(pytester.path / "allure")
    status = [found[f"driver gpu-{number}"]["status"] for number in (1, 2, 3)]
    assert status == ["failed", "skipped", "broken"]
    assert "\\ud800]]>" in found["driver gpu-1"]["statusDetails"]["trace"]
    assert "\\ud800]]>" in found["driver gpu-2"]["statusDetails"]["message"]


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
    for own in ("[]", '[{"name": "Mine"}]', "no JSON"):
        categories.write_text(own)
        run(pytester, cluster, *workers)
        assert categories.read_text() == own


def test_allure_categories_grow_with_further_runs(tmp_path: Path) -> None:
    """Into the same folder: the causes of both runs have a category."""
    path = tmp_path / "categories.json"
    for causes in ({"b/c"}, {"a/b"}):
        write_categories(path, causes)
    names = [each["name"] for each in json.loads(path.read_text())]
    assert names[:2] == ["a/b", "b/c"]


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
