"""What a modern Kubernetes shows of a fault is enough: layer, cause, evidence and fix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_gpu.cluster.recording.recorded import open_recording
from pytest_gpu.cluster.visits.seen import SeenNode
from pytest_gpu.cluster.visits.visit import drive
from pytest_gpu.evidence import Door
from tests.samples import variants_modern as modern
from tests.samples.sample_copy import SampleCopy
from tests.samples.sample_table import KUBEADM, RKE2, SNAP
from tests.samples.test_samples import words_of
from tests.support.changes import Change
from tests.support.judging import judge
from tests.support.replay import Replay


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault, and what must be said of it."""

    change: Change
    base: str = KUBEADM
    layer: str
    cause: str
    says: tuple[str, ...]


FAULTS: Mapping[str, Fault] = {
    "containerd-stopped": Fault(
        change=modern.containerd_stopped,
        layer="runtime",
        cause="runtime/containerd-not-running",
        says=(
            "no containerd listens on /run/containerd/containerd.sock",
            "systemd[1]: Stopped containerd container runtime.",
            "start containerd",
        ),
    ),
    "containerd-cannot-start": Fault(
        change=modern.containerd_cannot_start,
        layer="runtime",
        cause="runtime/config-invalid",
        says=(
            "containerd 2.1.9 cannot read its configuration",
            "containerd: failed to load TOML",
            "no containerd listens on",
        ),
    ),
    "cri-silent": Fault(
        change=modern.cri_silent,
        layer="runtime",
        cause="runtime/cri-not-served",
        says=("unknown service",),
    ),
    "kubelet-stopped": Fault(
        change=modern.kubelet_stopped,
        layer="access",
        cause="access/kubelet-stopped",
        says=("no kubelet runs",),
    ),
    "runtime-down-unvisited": Fault(
        change=modern.runtime_down_unvisited,
        layer="access",
        cause="runtime/reported-down",
        says=("container runtime is down", "restart containerd", "--gpu-node-shell=ssh"),
    ),
    "kubelet-crashes": Fault(
        change=modern.kubelet_crashes,
        layer="access",
        cause="access/kubelet-crash-loop",
        says=(
            "activating (auto-restart)",
            "code=exited, status=1/FAILURE",
            f'"command failed" err="{modern.SWAP}"',
            "in /var/lib/kubelet/config.yaml",
        ),
    ),
    "kubelet-dies-while-visited": Fault(
        change=modern.kubelet_dies_while_visited,
        layer="access",
        cause="access/kubelet-crash-loop",
        says=("activating (auto-restart)",),
    ),
    "rke2-crashes": Fault(
        base=RKE2,
        change=modern.rke2_crashes,
        layer="access",
        cause="access/kubelet-crash-loop",
        says=("activating (auto-restart)", "level=fatal", "systemctl cat rke2-agent"),
    ),
    "kubelet-waits-for-containerd": Fault(
        change=modern.kubelet_waits_for_containerd,
        layer="runtime",
        cause="runtime/containerd-not-running",
        says=("no containerd listens",),
    ),
    "disk-pressure-unvisited": Fault(
        change=modern.disk_pressure_unvisited,
        layer="access",
        cause="kubernetes/disk-pressure",
        says=("DiskPressure=True", "Evicted: The node had condition", "rmi --prune"),
    ),
    "disk-pressure-by-ssh": Fault(
        change=modern.disk_pressure_by_ssh,
        layer="runtimeclass-pod",
        cause="kubernetes/disk-pressure",
        says=(
            "Attempting to reclaim ephemeral-storage",
            "Free space on / (93% of its space in use):",
            "du -xhd3 / |",
        ),
    ),
    "disk-pressure-without-plugin": Fault(
        change=modern.disk_pressure_without_plugin,
        layer="device-plugin",
        cause="kubernetes/disk-pressure",
        says=("low on resource: ephemeral-storage", "DiskPressure=True"),
    ),
    "pid-pressure": Fault(
        change=modern.pid_pressure,
        layer="runtimeclass-pod",
        cause="kubernetes/pid-pressure",
        says=("PIDPressure=True", "Attempting to reclaim pids", "pid_max"),
    ),
    "pid-pressure-rke2": Fault(
        base=RKE2,
        change=modern.pid_pressure,
        layer="runtimeclass-pod",
        cause="kubernetes/pid-pressure",
        says=("KubeletHasPIDPressure", "pid_max"),
    ),
    "evicted-for-memory-snap": Fault(
        base=SNAP,
        change=modern.evicted_for_memory,
        layer="runtimeclass-pod",
        cause="kubernetes/memory-pressure",
        says=("available: 61Mi", "--sort=-rss"),
    ),
    "evicted-for-memory": Fault(
        change=modern.evicted_for_memory,
        layer="runtimeclass-pod",
        cause="kubernetes/memory-pressure",
        says=("low on resource: memory", "--sort=-rss"),
    ),
}


LATENT: Mapping[str, tuple[str, Change, str]] = {
    "kubelet-just-restarted": (
        KUBEADM,
        modern.kubelet_just_restarted,
        "access/kubelet-crash-loop",
    ),
    "invalid-not-loaded": (KUBEADM, modern.invalid_not_loaded, "runtime/config-invalid"),
    "cri-off-not-loaded": (KUBEADM, modern.cri_off_not_loaded, "runtime/cri-disabled"),
    "default-not-loaded": (
        KUBEADM,
        modern.default_gone_not_loaded,
        "runtime/default-runtime-undefined",
    ),
}
"""What works now and breaks at the next start, with the cause that is noted."""


HEALTHY: Mapping[str, tuple[str, Change]] = {
    "kubelet-started-by-hand": (KUBEADM, modern.kubelet_started_by_hand),
    "memory-pressure": (KUBEADM, modern.memory_pressure),
}
"""What looks like a fault and is none."""


def judged(base: str, change: Change, folder: Path) -> dict[str, Any]:
    """Return the document on a changed copy of a sample, which has one GPU node."""
    copy = SampleCopy(base, folder)
    change(copy)
    with open_recording(copy.folder, "copy") as cluster:
        return judge(cluster)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named_with_its_evidence_and_a_fix(name: str, tmp_path: Path) -> None:
    """The first failing layer is that of the component that failed."""
    fault = FAULTS[name]
    document = judged(fault.base, fault.change, tmp_path)
    (node,) = document["nodes"]
    assert (node["layer"], node["cause"]) == (fault.layer, fault.cause), node
    for words in fault.says:
        assert words in words_of(document), words_of(document)


def asked(base: str, change: Change, folder: Path) -> list[list[str]]:
    """Return the commands that a visit to a changed copy of a sample runs on the node."""
    copy = SampleCopy(base, folder)
    change(copy)
    with open_recording(copy.folder, "copy") as cluster:
        stream = Replay(cluster.node(copy.node.name))
        drive(stream, SeenNode(copy.node.name, Door(kind="ssh")), cluster)
    return [each["argv"] for asked in stream.rounds for each in asked["run"]]


def test_a_visit_asks_for_what_tells_the_fault(tmp_path: Path) -> None:
    """Releases of programs that do not tell them by running, and which file system is full."""
    runtime = "/usr/local/nvidia/toolkit/nvidia-container-runtime"
    df = ["df", "-P", "/", "/var/lib/kubelet", "/var/lib/containerd"]
    healthy = asked(KUBEADM, lambda copy: None, tmp_path / "healthy")
    assert [runtime, "--version"] in healthy
    assert df not in healthy
    assert df in asked(KUBEADM, modern.disk_pressure_by_ssh, tmp_path / "full")
    stopped = asked(KUBEADM, modern.containerd_cannot_start, tmp_path / "stopped")
    assert ["/usr/local/bin/containerd", "--version"] in stopped


@pytest.mark.parametrize("name", LATENT)
def test_what_is_not_loaded_yet_blocks_nothing(name: str, tmp_path: Path) -> None:
    """All layers work, so all are judged; the fault is noted."""
    base, change, cause = LATENT[name]
    document = judged(base, change, tmp_path)
    (node,) = document["nodes"]
    assert node["verdict"] == "conforms", node
    assert [each["id"] for each in document["latent"]] == [cause]


@pytest.mark.parametrize("name", HEALTHY)
def test_what_is_no_fault_conforms(name: str, tmp_path: Path) -> None:
    """Nothing fails and nothing is noted."""
    document = judged(*HEALTHY[name], tmp_path)
    (node,) = document["nodes"]
    assert (node["verdict"], node["unproven"]) == ("conforms", []), node
    assert document["latent"] == []
