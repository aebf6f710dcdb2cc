"""``--gpu-cluster=local``: this machine alone, and machines made of recorded nodes."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_gpu.cluster.recording.recorded import open_recording
from pytest_gpu.cluster.recording.samples import sample_path
from pytest_gpu.cluster.visits.local import Machine, node_object, open_local, this_machine
from pytest_gpu.errors import NotInEvidence
from pytest_gpu.layers import Layer
from pytest_gpu.run.node_face import GpuNode
from pytest_gpu.run.suite import questions
from pytest_gpu.stack.distributions.detect import detect
from pytest_gpu.stack.host.processes import Process
from tests.probe.fake_machine import build, with_nvml
from tests.support.fake_evidence import FakeNode
from tests.support.runs import QUIET, run_here

LIBRARY = "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.550.144.03"
VERSION = "550.144.03"
SECOND = 0xCA

Judge = Callable[..., tuple[int, dict[str, Any], str]]

needs_devices = pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("cc") is None,
    reason="needs root, for mknod(2), and a C compiler, for a mock of NVML",
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return the root of a healthy machine."""
    with open_recording(sample_path("healthy-kubeadm"), "healthy") as cluster:
        machine = build(cluster.node("gpu-1"), tmp_path / "machine")
    with_nvml(machine, LIBRARY, VERSION, SECOND)
    return machine


@pytest.fixture
def judge(pytester: pytest.Pytester, root: Path, monkeypatch: pytest.MonkeyPatch) -> Judge:
    """Return a function that judges that machine through the local door."""
    machine = Machine(name="the-machine", root=root, enter="here")
    monkeypatch.setattr("pytest_gpu.cluster.visits.local.this_machine", lambda: machine)

    def run(*args: str) -> tuple[int, dict[str, Any], str]:
        report = pytester.path / "out.json"
        command = ("--gpu-cluster=local", f"--gpu-report={report}", *QUIET, *args)
        result = run_here(pytester, *command)
        return int(result.ret), json.loads(report.read_text()), result.stdout.str()

    return run


@needs_devices
def test_healthy_machine_conforms_up_to_what_was_asked(judge: Judge) -> None:
    """Access, hardware, driver and runtime, without any Kubernetes."""
    code, document, output = judge("--gpu-layers=runtime")
    (node,) = document["nodes"]
    assert (node["name"], node["verdict"], node["unproven"]) == ("the-machine", "conforms", [])
    assert node["conforms_up_to"] == "runtime"
    assert code == 0, output


@needs_devices
def test_sandbox_is_asked_and_nothing_above_it(judge: Judge) -> None:
    """Without a sandbox that was tried it is unproven, which is no pass."""
    code, document, _ = judge()
    (node,) = document["nodes"]
    assert node["verdict"] == "unproven"
    assert {each["layer"] for each in node["unproven"]} == {"sandbox"}
    assert set(document["run"]["layers_asked"]) == {
        "access",
        "hardware",
        "driver",
        "runtime",
        "sandbox",
    }
    assert code == 1


@needs_devices
@pytest.mark.parametrize(
    ("harm", "layer", "cause"),
    [
        (lambda root: (root / "dev/nvidia0").unlink(), "driver", "driver/device-nodes-missing"),
        (
            lambda root: (root / "usr/local/nvidia/toolkit/nvidia-container-runtime").unlink(),
            "runtime",
            "runtime/binary-missing",
        ),
    ],
)
def test_broken_machine(
    judge: Judge, root: Path, harm: Callable[[Path], object], layer: str, cause: str
) -> None:
    """What is broken is found by looking, not by what a sample says."""
    harm(root)
    code, document, output = judge()
    (node,) = document["nodes"]
    assert (node["layer"], node["cause"]) == (layer, cause), output
    assert code == 1


@needs_devices
def test_recording_of_a_machine_is_judged_the_same(
    judge: Judge, pytester: pytest.Pytester, root: Path
) -> None:
    """``--gpu-record`` keeps what was seen."""
    (root / "dev/nvidia0").unlink()
    kept = pytester.path / "kept"
    _, document, _ = judge(f"--gpu-record={kept}")
    report = pytester.path / "again.json"
    run_here(
        pytester, f"--gpu-cluster=path:{kept}", "--gpu-layers=sandbox", f"--gpu-report={report}"
    )
    again = json.loads(report.read_text())
    assert [(n["layer"], n["cause"]) for n in again["nodes"]] == [
        (n["layer"], n["cause"]) for n in document["nodes"]
    ]
    with open_recording(kept, "kept") as cluster:
        assert cluster.asked == questions(Layer.SANDBOX)


@needs_devices
def test_recording_of_a_machine_without_a_gpu_is_judged_the_same(
    judge: Judge, pytester: pytest.Pytester, root: Path
) -> None:
    """The user named this machine: that it has no sign of a GPU is the finding."""
    shutil.rmtree(root / "sys/bus/pci/devices")
    (root / "sys/bus/pci/devices").mkdir()
    kept, report = pytester.path / "kept", pytester.path / "again.json"
    _, document, output = judge(f"--gpu-record={kept}")
    options = ("--gpu-layers=sandbox", f"--gpu-report={report}")
    again = run_here(pytester, f"--gpu-cluster=path:{kept}", *options)
    assert again.ret == 1, again.stderr.str()
    [node], [offline] = document["nodes"], json.loads(report.read_text())["nodes"]
    assert (node["layer"], node["cause"]) == (offline["layer"], offline["cause"]), output
    assert node["layer"] == "hardware"


def test_this_machine() -> None:
    """It has a name, and is opened, looked at and closed again."""
    machine = this_machine()
    with open_local(machine) as cluster:
        folder = cluster.folder
        node = GpuNode(machine.name, cluster)
        assert node.evidence.door.kind == "local"
        assert node.evidence.read("/proc/version")
        assert cluster.objects("nodes") == (node_object(machine.name),)
        with pytest.raises(NotInEvidence):
            cluster.objects("pods")
    assert not folder.exists()


def test_nothing_is_looked_at_unless_tests_run(tmp_path: Path) -> None:
    """For ``--collect-only`` a name is enough."""
    with open_local(Machine(name="a", root=tmp_path), visit=False) as cluster:
        with pytest.raises(NotInEvidence):
            cluster.node("a").names("/dev")
        assert cluster.node("a").door.kind == "local"


def test_layers_above_the_sandbox_cannot_be_asked(pytester: pytest.Pytester) -> None:
    """Who asks for them is told why, before anything is looked at."""
    result = run_here(pytester, "--gpu-cluster=local", "--gpu-layers=device-plugin")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*--gpu-layers: device-plugin: *can only test up to sandbox*"])


@pytest.mark.parametrize(
    ("argv", "name", "unit"),
    [
        (("/usr/local/bin/k3s server",), "k3s", "k3s"),
        (("/usr/local/bin/k3s agent",), "k3s", "k3s-agent"),
        (("/usr/local/bin/rke2 agent",), "rke2", "rke2-agent"),
        (("/usr/local/bin/rke2", "server"), "rke2", "rke2-server"),
        (("/usr/local/bin/k0s", "worker"), "k0s", "k0sworker"),
        (("/usr/bin/kubelet",), "unknown", "kubelet"),
    ],
)
def test_distribution_without_kubernetes(argv: tuple[str, ...], name: str, unit: str) -> None:
    """By what runs: no Node object tells the kubelet's version."""
    found = detect(node_object("a"), [Process(pid=1, argv=argv)], FakeNode())
    assert (found.name, found.kubelet_unit) == (name, unit)
