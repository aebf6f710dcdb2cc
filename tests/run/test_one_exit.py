"""One hostile corpus goes through every output: nothing of it reaches a reader as it is."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.cluster.api.fake_api import FakeApi, FakeServer
from tests.conftest import CAUSE, MakeCluster, MakeSuite
from tests.samples.sample_copy import SampleCopy
from tests.support.hostile_text import HOSTILE, check_file, harmful, poison
from tests.support.runs import QUIET, refused, run_here

RECORDINGS = {
    "k8s-snap-runc-missing": False,
    "eks-kubelet-died": False,
    "runtimeclass-missing-plugin-down": False,
    "handler-mismatch": False,
    "docker-daemon-no-nvidia": True,
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
from pytest_gpu.errors import RecordingError
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
    "device_plugin": "def test_it(gpu_node): raise OSError(H)\n"
    "@pytest.fixture\ndef bad(gpu_node): raise RecordingError(H)\n"
    "@pytest.fixture\ndef worse(gpu_node): raise KeyError(H)\n"
    "def test_bad(bad): pass\n"
    "def test_worse(worse): pass\n",
    "runtimeclass_pod": "def test_it(gpu_node): pytest.skip(H)\n",
}
STYLES = ("--tb=long", "--tb=short", "--tb=line", "--tb=native", "-q", "-qq", "-n1")


@pytest.mark.parametrize("style", STYLES)
def test_hostile_findings_reach_no_reader_as_they_are(
    pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite, style: str
) -> None:
    """Whatever a test says: a finding, a reason, an error, a comparison, its own output."""
    make_suite(**{layer: SUITE + test for layer, test in TESTS.items()})
    options = ("--gpu-all-layers", "-rA", "--color=no", style)
    printed = run(pytester, f"path:{make_cluster('gpu-1')}", ".", *options)
    assert style == "-qq" or r"\x1b" in printed


def test_hostile_causes_are_explained_visibly(pytester: pytest.Pytester) -> None:
    """A cause of a project is text of somebody else, too."""
    text = json.dumps(HOSTILE.replace("\ud800", ""))
    pytester.path.joinpath("own.toml").write_text(
        f'["site/hostile"]\nlayer = "runtime"\ntitle = {text}\nwhy = {text}\n'
        f"check = [{text}]\nfix.default = [{text}]\n"
    )
    result = run_here(pytester, "--gpu-explain=site/hostile", "-ogpu_causes=own.toml", *QUIET)
    assert result.ret == 0, result.stderr.str()
    assert not [*harmful(result.stdout.str())]
    assert r"\x1b]0;owned\x07" in result.stdout.str()


@pytest.mark.parametrize("option", ["--gpu-explain", "--gpu-layers", "--gpu-nodes", "--gpu-image"])
def test_wrong_values_are_refused_visibly(pytester: pytest.Pytester, option: str) -> None:
    """Exit 4: a script may pass on what a stranger has chosen."""
    value = HOSTILE.replace("\ud800", "").replace("\x00", "")
    result = run_here(pytester, f"{option}={value}", "--gpu-cluster=sample:nouveau", *QUIET)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert not [*harmful(result.stdout.str() + result.stderr.str())]


def test_wrong_recordings_are_refused_visibly(
    pytester: pytest.Pytester, make_cluster: MakeCluster
) -> None:
    """Exit 4: the line quotes what is wrong."""
    cluster = make_cluster("gpu-1")
    cluster.joinpath("recording.yaml").write_text(json.dumps({"format": 1, HOSTILE: 1}))
    line = refused(run_here(pytester, f"--gpu-cluster=path:{cluster}", *QUIET))
    assert not [*harmful(line)]
    assert r"\u202e" in line


class Refusing(FakeServer):
    """An API server that says no to everything, in words of its own."""

    def __init__(self, api: FakeApi) -> None:
        super().__init__(api)
        self.RequestHandlerClass = _Refuses


class _Refuses(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        answer = json.dumps({"kind": "Status", "status": "Failure", "message": HOSTILE}).encode()
        self.send_response(403)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_GET  # noqa: N815 - the name that http.server calls

    def log_message(self, *args: object) -> None:
        """Print nothing."""


def test_messages_of_an_api_server_are_shown_visibly(pytester: pytest.Pytester) -> None:
    """Exit 4: what a server answers goes to the terminal of an admin."""
    with Refusing(FakeApi()) as server:
        kubeconfig = server.kubeconfig(pytester.path)
        live = ("--gpu-cluster=fake", f"--gpu-kubeconfig={kubeconfig}")
        result = run_here(pytester, *live, *QUIET)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert not [*harmful(result.stdout.str() + result.stderr.str())]
    assert r"\x1b]0;owned" in result.stderr.str()
