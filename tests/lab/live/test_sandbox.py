"""Sandboxes by crictl on real nodes: every generation of containerd, under a real kubelet."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from pytest_gpu.cluster.crictl import lifecycle
from pytest_gpu.cluster.crictl.bench import SandboxOptions
from pytest_gpu.cluster.crictl.lifecycle import try_sandboxes
from pytest_gpu.cluster.recording.owner import this_process
from pytest_gpu.cluster.visits.node_shell import ProbeShell
from pytest_gpu.run.node_face import GpuNode
from pytest_gpu.stack.sandbox import check_sandbox as diagnose
from pytest_gpu.stack.sandbox.check_files import control
from pytest_gpu.stack.sandbox.config_files import Request
from pytest_gpu.stack.sandbox.logged import messages
from pytest_gpu.stack.sandbox.sandboxes import SandboxFiles, shipped_files
from tests.lab.cluster import LabCluster
from tests.lab.nodes.daemons import wait_for
from tests.lab.nodes.node import Node
from tests.lab.nodes.node_files import CRICTL
from tests.lab.parts.images import PYTHON
from tests.lab.rounds.visited import shell, visited
from tests.stack.kube.kube_machine import cause

NAMES = ("n16", "n17", "n24", "nsd")
RUNTIME = "/usr/bin/nvidia-container-runtime"
CNI = "/etc/cni/net.d/10-bridge.conflist"
LEFT = ("crictl", "pods", "--quiet", "--label", "pytest-gpu/kind=crictl-sandbox")
Seen = tuple[GpuNode, ProbeShell]


@pytest.fixture(params=NAMES)
def node(request: pytest.FixtureRequest, lab_cluster: LabCluster) -> Node:
    """Return each node of the lab in turn."""
    return lab_cluster.nodes[request.param]


@pytest.fixture
def seen(node: Node, lab_cluster: LabCluster) -> Iterator[Seen]:
    """Visit the node; give its facts and a shell."""
    line = shell(node.init)
    yield visited(lab_cluster.api, node.name, node.init), line
    line.close()


def tried(seen: Seen, **changes: Any) -> dict[str, Any]:
    """Try the sandboxes as a run without any options does."""
    plain = SandboxOptions(
        files=shipped_files(), image="python:3-slim", run="lab", owner=this_process()
    )
    return try_sandboxes(*seen, replace(plain, **changes))


def judged(seen: Seen, outcome: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> GpuNode:
    """Return the node as the tests of the layer see it afterwards."""
    monkeypatch.setattr(seen[0].evidence, "outcome", lambda kind: {"sandbox": outcome}[kind])
    return seen[0]


def left_on(node: Node) -> str:
    """Return what is there of ours: sandboxes, then folders."""
    folders = "ls -d /run/pytest-gpu.* /tmp/pytest-gpu.* 2>/dev/null || true"
    return node.must(*LEFT) + node.must("sh", "-c", folders)


def test_both_start_and_nothing_stays(
    node: Node, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under a kubelet that kills what it does not own."""
    outcome = tried(seen)
    assert [run["exit"] for run in outcome["runs"]] == [0, 0], outcome
    assert outcome["runs"][0]["output"] == ""
    found = judged(seen, outcome, monkeypatch)
    checks = (diagnose.other_socket, diagnose.gpu_run, diagnose.missing_devices)
    assert [check(found) for check in checks] == [None] * 3
    assert diagnose.missing_libraries(found) is None
    assert left_on(node) == ""


def test_a_handler_that_containerd_does_not_know(
    seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told at once and in the runtime's own words, never as "reaped"."""
    monkeypatch.setattr(lifecycle, "gpu_request", lambda _: Request(handler="nope"))
    outcome = tried(seen)
    assert 'no runtime for "nope" is configured' in messages(outcome["runs"][1]["stderr"])
    assert outcome["runs"][1]["attempts"] == 1
    assert cause(diagnose.gpu_run(judged(seen, outcome, monkeypatch))) == "sandbox/handler-refused"


def test_a_runtime_program_that_is_not_installed(
    node: Node, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control starts, so it is about the GPU."""
    node.must("mv", RUNTIME, f"{RUNTIME}.away")
    try:
        outcome = tried(seen)
    finally:
        node.must("mv", f"{RUNTIME}.away", RUNTIME)
    assert outcome["runs"][0]["exit"] == 0
    found = diagnose.gpu_run(judged(seen, outcome, monkeypatch))
    assert cause(found) == "sandbox/runtime-program-missing"
    assert left_on(node) == ""


def test_an_admins_cgroup_parent_that_is_no_slice(
    node: Node, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault where systemd makes the cgroups; any text works elsewhere."""
    pod = json.loads(shipped_files().pod_text)
    pod["linux"]["cgroup_parent"] = "/kubepods/besteffort"
    outcome = tried(seen, files=admins(pod))
    found = control(judged(seen, outcome, monkeypatch))
    wanted = "sandbox/cgroup-parent-is-no-slice" if node.spec.systemd else None
    assert cause(found) == wanted, outcome


def admins(pod: dict[str, Any]) -> SandboxFiles:
    """Return an admin's own files: this pod config, and an image that is there."""
    return SandboxFiles(
        origin="admin",
        pod_source="/root/pod-config.json",
        pod_text=json.dumps(pod, indent=2),
        container_source="/root/container-config.json",
        container_text=json.dumps({"metadata": {"name": "c"}, "image": {"image": PYTHON}}),
    )


@pytest.mark.parametrize("node", ["n17"], indirect=True)
def test_without_a_cni_only_the_pod_network_fails(
    node: Node, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours use the host's; an admin's that does not is told so."""
    pod = json.loads(shipped_files().pod_text)
    pod["linux"] = {"cgroup_parent": "/kubepods/besteffort"}
    text = node.read(CNI)
    node.remove(CNI)
    try:
        wait_for(lambda: _cni_is_gone(node), "containerd to miss its CNI", node.outer)
        ours, theirs = tried(seen), tried(seen, files=admins(pod))
    finally:
        node.write(CNI, text)
        node.await_ready()
    assert [run["exit"] for run in ours["runs"]] == [0, 0], ours
    found = control(judged(seen, theirs, monkeypatch))
    assert cause(found) == "sandbox/pod-config-asks-for-pod-network"


def _cni_is_gone(node: Node) -> bool:
    return "cni plugin not initialized" in node.must("crictl", "info")


@pytest.mark.parametrize("node", ["n17", "n24"], indirect=True)
def test_cdi_devices_under_the_default_handler(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    """As clusters have it that need no RuntimeClass."""
    request = Request(cdi_devices=("nvidia.com/gpu=all",))
    monkeypatch.setattr(lifecycle, "gpu_request", lambda _: request)
    outcome = tried(seen)
    found = judged(seen, outcome, monkeypatch)
    assert [diagnose.gpu_run(found), diagnose.missing_devices(found)] == [None, None], outcome
    unknown = Request(cdi_devices=("nvidia.com/gpu=9",))
    monkeypatch.setattr(lifecycle, "gpu_request", lambda _: unknown)
    found = judged(seen, tried(seen), monkeypatch)
    assert cause(diagnose.gpu_run(found)) == "sandbox/cdi-device-unresolvable"


@pytest.mark.parametrize("node", ["n16"], indirect=True)
def test_a_node_without_crictl_gets_one_for_a_while(node: Node, seen: Seen) -> None:
    """With ``--gpu-crictl``; without it nothing is tried."""
    program = node.control.programs.crictl / "crictl"
    node.must("mv", CRICTL, f"{CRICTL}.away")
    try:
        without, brought = tried(seen), tried(seen, crictl=program)
    finally:
        node.must("mv", f"{CRICTL}.away", CRICTL)
    assert "no crictl on this node" in without["skipped"]
    assert [run["exit"] for run in brought["runs"]] == [0, 0], brought
    assert left_on(node) == ""


KILLED = """
import sys
from pathlib import Path
from pytest_gpu.cluster.crictl.lifecycle import SandboxOptions, try_sandboxes
from pytest_gpu.cluster.recording.owner import this_process
from pytest_gpu.stack.sandbox.logged import messages
from pytest_gpu.stack.sandbox.sandboxes import shipped_files
from tests.lab.control_plane.api import open_api
from tests.lab.rounds.visited import shell, visited
kubeconfig, name, init = sys.argv[1:]
node = visited(open_api(Path(kubeconfig)), name, int(init))
wishes = SandboxOptions(
    files=shipped_files(), image="python:3-slim", run="killed", owner=this_process()
)
print("goes on", flush=True)
while True:
    try_sandboxes(node, shell(int(init)), wishes)
"""


@pytest.mark.parametrize("node", ["n17"], indirect=True)
def test_what_a_killed_run_left_is_swept(node: Node, seen: Seen, lab_cluster: LabCluster) -> None:
    """By the next one on that node; nothing else needs to remember it."""
    arguments = [str(lab_cluster.kubeconfig), node.name, str(node.init)]
    argv = [sys.executable, "-c", KILLED, *arguments]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout
        assert run.stdout.readline() == "goes on\n"
        wait_for(lambda: left_on(node).strip("/"), "a sandbox of the run", node.outer)
        run.kill()
    time.sleep(1)  # what was under way in the node ends with the line to it
    assert "/run/pytest-gpu.killed." in left_on(node)
    assert [each["exit"] for each in tried(seen)["runs"]] == [0, 0]
    assert left_on(node) == ""
