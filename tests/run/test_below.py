"""Runs that ask only a part: what lies below is judged first, silently, and named if it fails."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from unittest.mock import Mock
from xml.etree import ElementTree

import pytest

from pytest_gpu.causes import Finding, fail
from pytest_gpu.gpu_node import Node
from pytest_gpu.layers import Layer
from pytest_gpu.run import below as below_module
from pytest_gpu.run.below import Below, whole_layers
from pytest_gpu.run.items import Rung
from pytest_gpu.run.ledger import Ledger
from pytest_gpu.run.session import GpuSession
from pytest_gpu.run.suite import shipped_tests
from tests.conftest import MakeCluster
from tests.support.runs import QUIET, run_here
from tests.support.told import full

NO_DRIVER = "sample:no-driver"
OWN_POD = """
import pytest

@pytest.mark.gpu_layer("runtimeclass-pod")
def test_own(gpu_node):
    assert not "reached"
"""


def judged(
    pytester: pytest.Pytester, cluster: object, *args: str
) -> tuple[pytest.RunResult, dict[str, Any]]:
    """Run a part on a recording; return the result and the verdict document."""
    options = (f"--gpu-cluster={cluster}", "--gpu-report=out.json", *QUIET)
    result = run_here(pytester, *options, *args)
    document: dict[str, Any] = json.loads((pytester.path / "out.json").read_text())
    return result, document


def verdict_of(document: dict[str, Any]) -> dict[str, Any]:
    """Return what a document says about the cause on its only node."""
    (node,) = document["nodes"]
    keys = ("verdict", "layer", "cause", "title", "why", "evidence", "fix", "check")
    return {key: node[key] for key in keys}


KERNEL_MODULE = "conformance/test_driver.py::test_kernel_module_is_loaded"
PARTS = {
    "a keyword": ("-k", "sandbox"),
    "a module": ("conformance/test_runtime.py",),
    "a node ID": ("conformance/test_sandbox.py::test_gpu_sandbox_starts[gpu-1]",),
    "a layer without its lower ones": ("-k", "test_device_plugin"),
    "one test of the failing layer": ("-k", "test_nvml_answers"),
    "all but the failing tests": (
        f"--deselect={KERNEL_MODULE}",
        "--deselect=conformance/test_driv",
    ),
    "own tests only": ("test_own.py",),
    "own tests beside a part of the suite": ("test_own.py", "conformance/test_hardware.py"),
}


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_a_part_names_the_cause_of_the_whole(
    pytester: pytest.Pytester, part: tuple[str, ...]
) -> None:
    """Cause, layer, evidence and fix are those of a run that asks everything."""
    pytester.makepyfile(test_own=OWN_POD)
    _, whole = judged(pytester, NO_DRIVER)
    result, document = judged(pytester, NO_DRIVER, *part)
    assert verdict_of(document) == verdict_of(whole)
    assert verdict_of(document)["cause"] == "driver/not-installed"
    assert document["nodes"][0]["silent"]
    assert result.ret == document["run"]["exit_code"] == 1
    result.stdout.fnmatch_lines(["*not asked for, but judged, too*"])


def test_the_last_failed_names_the_cause(pytester: pytest.Pytester) -> None:
    """``--lf`` asks the failed tests again: here one above a driver that is gone since."""
    pytester.makepyfile(test_own=OWN_POD)
    options = ("test_own.py", "-W", "error", "-p", "no:randomly")
    run_here(pytester, "--gpu-cluster=sample:healthy-kubeadm", *options)
    result = run_here(pytester, f"--gpu-cluster={NO_DRIVER}", "--lf", *options)
    assert result.parseoutcomes() == {"blocked": 1}
    result.stdout.fnmatch_lines(["*cause: driver/not-installed (layer driver)*"])


def test_what_was_asked_is_blocked(pytester: pytest.Pytester) -> None:
    """It is not run, and its reason names the cause; layers that pass below are not told."""
    result, document = judged(pytester, NO_DRIVER, "-k", "sandbox")
    assert set(result.parseoutcomes()) == {"blocked", "deselected"}
    layers = document["nodes"][0]["layers"]
    assert layers["sandbox"]["state"] == "blocked"
    assert layers["sandbox"]["blocked_by"] == "driver"
    assert layers["driver"]["total"] == len(shipped_tests(Layer.DRIVER))
    assert {layers[name]["state"] for name in ("access", "hardware")} == {"not-asked"}
    assert document["nodes"][0]["not_judged"] == []
    covered = "*deselected: the verdict covers what was run and what had to be judged*"
    result.stdout.fnmatch_lines([covered])


def test_own_test_on_a_broken_node_is_blocked(pytester: pytest.Pytester) -> None:
    """Also when only its own path is given; on a sound node it runs."""
    pytester.makepyfile(test_own=OWN_POD)
    result, _ = judged(pytester, NO_DRIVER, "test_own.py")
    assert result.parseoutcomes() == {"blocked": 1}
    result, document = judged(pytester, "sample:healthy-kubeadm", "test_own.py")
    assert result.parseoutcomes() == {"failed": 1}
    assert document["nodes"][0]["cause"] == "runtimeclass-pod/unexplained"
    assert not document["nodes"][0]["silent"]
    assert "judged" not in result.stdout.str()


def test_own_test_of_the_failing_layer_runs(pytester: pytest.Pytester) -> None:
    """All tests of a failing layer run; the shipped ones come first and name the cause."""
    pytester.makepyfile(test_own=OWN_POD.replace("runtimeclass-pod", "driver"))
    result, document = judged(pytester, NO_DRIVER, "test_own.py")
    assert result.parseoutcomes() == {"failed": 1}
    assert document["nodes"][0]["cause"] == "driver/not-installed"


def test_what_was_judged_counts_in_every_failing_layer(pytester: pytest.Pytester) -> None:
    """In the layer of the own test as in one below: the tests that passed are counted, too."""
    pytester.makepyfile(test_own=OWN_POD.replace("runtimeclass-pod", "driver"))
    _, document = judged(pytester, NO_DRIVER, "test_own.py")
    _, whole = judged(pytester, NO_DRIVER)
    own, full = (each["nodes"][0]["layers"]["driver"] for each in (document, whole))
    assert full["total"] == own["total"] - 1
    assert (own["passed"], own["failed"]) == (full["passed"], full["failed"] + 1)


def test_workers_judge_the_same(pytester: pytest.Pytester) -> None:
    """What was judged silently in a worker reaches the controller."""
    parts = ("-k", "sandbox")
    _, inline = judged(pytester, "sample:mixed-fleet", *parts)
    _, spread = judged(pytester, "sample:mixed-fleet", *parts, "-n2")
    assert spread["nodes"] == inline["nodes"]
    assert spread["causes"] == inline["causes"]
    assert [cause["silent"] for cause in inline["causes"]] == [True, True]


def test_all_layers_blocks_nothing_and_still_names_the_cause(pytester: pytest.Pytester) -> None:
    """Who wants every fact gets it, under the lowest cause."""
    pytester.makepyfile(test_own=OWN_POD)
    result, document = judged(pytester, NO_DRIVER, "test_own.py", "--gpu-all-layers")
    assert result.parseoutcomes() == {"failed": 1}
    assert document["nodes"][0]["cause"] == "driver/not-installed"


def test_what_cannot_be_judged_is_told(
    pytester: pytest.Pytester, make_cluster: MakeCluster, workers: list[str]
) -> None:
    """Unknown is not passed: the block says which lower layers were not judged, and why."""
    pytester.makepyfile(test_own=OWN_POD.replace("runtimeclass-pod", "runtime"))
    result, document = judged(pytester, f"path:{make_cluster('gpu-1')}", "test_own.py", *workers)
    (cause,) = document["causes"]
    assert cause["id"] == "runtime/unexplained"
    assert {entry["layer"] for entry in cause["not_judged"]} == {"access", "hardware", "driver"}
    result.stdout.fnmatch_lines(
        [
            "*lower layers that were not judged:*",
            "*access: the node was not visited: the recording has no evidence of this node*",
            "*driver: file /proc/modules on gpu-1 is not in the evidence (and 2 more*",
            "*a fault there may be the cause of this one*",
        ]
    )


def test_what_cannot_be_judged_does_not_spoil_a_pass(
    pytester: pytest.Pytester, make_cluster: MakeCluster
) -> None:
    """Only what was asked decides the verdict; the document keeps the rest."""
    passes = OWN_POD.replace('not "reached"', "True").replace("runtimeclass-pod", "driver")
    pytester.makepyfile(test_own=passes)
    result, document = judged(pytester, f"path:{make_cluster('gpu-1')}", "test_own.py")
    assert result.ret == 0
    assert document["nodes"][0]["not_judged"]
    assert "not judged" not in result.stdout.str()


def test_junit_has_the_cause(pytester: pytest.Pytester, workers: list[str]) -> None:
    """No test of this run failed: the blocked ones name the cause."""
    judged(pytester, NO_DRIVER, "-k", "sandbox", "--junitxml=out.xml", *workers)
    root = ElementTree.parse(pytester.path / "out.xml").getroot()  # noqa: S314 - pytest wrote it
    for case in root.iter("testcase"):
        properties = {each.get("name"): each.get("value") for each in case.iter("property")}
        assert properties["gpu_blocked_by"] == "driver"
        assert properties["gpu_cause"] == "driver/not-installed"
        (skipped,) = case.iter("skipped")
        assert "judged first): driver/not-installed: No NVIDIA driver" in str(
            skipped.get("message")
        )


def test_allure_has_evidence_and_fix(pytester: pytest.Pytester) -> None:
    """They are attached to the first test that is blocked."""
    folder = pytester.path / "allure"
    judged(pytester, NO_DRIVER, "-k", "sandbox", f"--alluredir={folder}")
    results = [json.loads(path.read_text()) for path in folder.glob("*-result.json")]
    attached = [each["name"] for result in results for each in result.get("attachments", ())]
    assert {"driver/not-installed: evidence", "driver/not-installed: fix"} <= set(attached)


def test_a_bug_below_does_not_end_what_was_asked(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lower layer counts as not judged, with the error."""

    def broken(gpu_node: object) -> None:
        raise KeyError("x")

    monkeypatch.setattr(below_module, "shipped_tests", lambda _: {"test_broken": broken})
    pytester.makepyfile(test_own=OWN_POD)
    result, document = judged(pytester, NO_DRIVER, "test_own.py")
    assert result.parseoutcomes() == {"failed": 1}
    reasons = {entry["reason"] for entry in document["nodes"][0]["not_judged"]}
    assert reasons == {"KeyError: 'x'"}


def test_an_old_recording_says_what_was_not_asked(pytester: pytest.Pytester) -> None:
    """It did not look at the lower layers, so they are not judged."""
    sample = Path(below_module.__file__).parents[2] / "fixtures" / "recorded" / "healthy-kubeadm"
    old = pytester.path / "old"
    shutil.copytree(sample, old)
    described = old / "recording.yaml"
    described.write_text(f"{described.read_text()}\nasked: [runtime/cri_answers]\n")
    pytester.makepyfile(test_own=OWN_POD.replace("runtimeclass-pod", "runtime"))
    _, document = judged(pytester, f"path:{old}", "test_own.py")
    (reason, *_) = [entry["reason"] for entry in document["causes"][0]["not_judged"]]
    assert "which did not look at access/" in reason


def rungs(*layers: Layer) -> list[Rung]:
    """Return all shipped tests of these layers on gpu-1."""
    return [
        Rung(node="gpu-1", layer=layer, test=test, requirement="")
        for layer in layers
        for test in shipped_tests(layer)
    ]


def test_layers_that_were_asked_whole_are_not_judged_again() -> None:
    """A run of the whole suite costs nothing more."""
    whole = whole_layers(rungs(*Layer))
    session = Mock()
    session.ledger.first_failure.return_value = None
    Below(session, whole).judge("gpu-1", max(Layer))
    session.node.assert_not_called()
    assert ("gpu-1", Layer.DRIVER) not in whole_layers(rungs(*Layer)[:-1:2])
    assert ("gpu-2", Layer.DRIVER) not in whole


def test_nothing_is_started_for_what_was_not_asked() -> None:
    """On a live cluster a sandbox that was not asked for is not judged."""
    session = Mock()
    session.ledger.first_failure.return_value = None
    session.why_not_asked.return_value = "nothing was looked at"
    Below(session, frozenset()).judge("gpu-1", max(Layer))
    session.ensure_outcomes.assert_not_called()


def test_a_node_that_fails_below_gets_no_objects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The nodes of a layer start together, but only those whose lower layers stand."""
    starter = Mock()
    monkeypatch.setattr("pytest_gpu.cluster.outcomes.Starter", Mock(return_value=starter))
    settings = Mock(cluster="local", workloads=None, all_layers=False)
    names = ("gpu-1", "gpu-2", "gpu-3")
    session = GpuSession(
        settings=settings,
        folder=tmp_path,
        title="",
        names=names,
        others=(),
        ledger=Ledger(tmp_path),
        opened=Mock(),
    )
    session.ledger.plan({"tests": {name: {"sandbox": 1} for name in names}})
    session.below = Below(session, frozenset())

    def no_driver(gpu_node: Node) -> None:
        if gpu_node.name == "gpu-2":
            fail(Finding.of("driver/not-installed", operator=()))

    monkeypatch.setattr(below_module, "shipped_tests", lambda _: {"test_driver": no_driver})
    monkeypatch.setattr(below_module, "filled", lambda found, _: full(found))
    monkeypatch.setattr(session, "why_not_asked", lambda _: None)
    session.ensure_outcomes(Layer.SANDBOX, "gpu-1")
    [(layer, nodes)] = [call.args for call in starter.bring.call_args_list]
    assert (layer, [node.name for node in nodes]) == (Layer.SANDBOX, ["gpu-1", "gpu-3"])
