"""One hostile corpus goes through every output: nothing of it reaches a reader as it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import CAUSE, MakeCluster, MakeSuite
from tests.samples.sample_copy import SampleCopy
from tests.support.hostile_text import HOSTILE, check_file, harmful, poison
from tests.support.runs import QUIET, run_here

RECORDINGS = {
    "k8s-snap-runc-missing": False,
    "rke2-crictl-pod-network": False,
    "nouveau": False,
    "k8s-snap-count-mismatch": True,
}
"""Samples, and whether every text of theirs is hostile or only messages and logs."""

LOUD = ("-vv", "-rA", "-l", "--tb=long", "--color=no")


def run(pytester: pytest.Pytester, cluster: object, *args: str) -> str:
    """Run with every report; return what was printed after checking all of it."""
    result = run_here(
        pytester,
        f"--gpu-cluster={cluster}",
        "--junit-xml=junit.xml",
        "--alluredir=allure",
        "--gpu-report=report.json",
        *QUIET,
        *args,
    )
    printed = result.stdout.str() + result.stderr.str()
    assert "INTERNALERROR" not in printed
    assert not [*harmful(printed)]
    for file in (*pytester.path.glob("allure/*"), pytester.path / "junit.xml"):
        check_file(file)
    report = pytester.path / "report.json"
    if report.exists():
        check_file(report)
        json.loads(report.read_bytes())
    return printed


@pytest.mark.parametrize("sample", RECORDINGS)
def test_hostile_recordings_reach_no_reader_as_they_are(
    pytester: pytest.Pytester, tmp_path: Path, sample: str
) -> None:
    """Terminal, JUnit, Allure and JSON of the shipped suite, as loud as it can be."""
    copy = SampleCopy(sample, tmp_path)
    poison(copy.folder, everywhere=RECORDINGS[sample])
    assert r"\x1b" in run(pytester, copy.spec, *LOUD, "--gpu-all-layers")


SUITE = f"""
H = {HOSTILE!r}
def cause(**more):
    evidence = Evidence(source=H, line=1, text=H), Evidence(source="a", text="::error::b")
    return Finding.of("{CAUSE}", *evidence, handler=H, binary=H, patch=())
"""
TESTS = {
    "access": "def test_it(gpu_node):\n    print(H)\n    latent(cause())\n",
    "hardware": "def test_it(gpu_node): unproven(H)\n",
    "driver": "def test_it(gpu_node): raise GpuError(H)\n",
    "runtime": "def test_it(gpu_node): fail(cause())\n",
    "sandbox": "def test_it(gpu_node):\n    print(H)\n    assert 'a\\nb' == H\n",
    "device_plugin": "def test_it(gpu_node): raise OSError(H)\n",
    "runtimeclass_pod": "def test_it(gpu_node): pytest.skip(H)\n",
}
STYLES = ("--tb=long", "--tb=short", "--tb=line", "--tb=native", "-q", "-qq")


@pytest.mark.parametrize("style", STYLES)
def test_hostile_findings_reach_no_reader_as_they_are(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite, style: str
) -> None:
    """Whatever a test says: a finding, a reason, an error, a comparison, its own output."""
    make_suite(**{layer: SUITE + test for layer, test in TESTS.items()})
    options = ("--gpu-all-layers", "-rA", "--color=no", style)
    printed = run(pytester, f"path:{make_cluster('gpu-1')}", ".", *options)
    assert style == "-qq" or r"\x1b" in printed
