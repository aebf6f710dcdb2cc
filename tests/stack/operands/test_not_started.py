"""Operands that their node cannot start: the words are those with which it refuses any pod."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from pytest_gpu.catalogue import catalogue
from pytest_gpu.cause_entry import COMMON
from pytest_gpu.causes import Finding
from pytest_gpu.gpu_node import Node
from pytest_gpu.message_file import Where
from pytest_gpu.messages import table
from pytest_gpu.stack.operands import check_operands
from tests.stack.gpu.gpu_machine import cause, said
from tests.stack.operands.made_up_operands import (
    CRASHED,
    Object,
    container,
    log_path,
    node_with,
    pod,
    warning,
)

TOOL = container("nvcr.io/nvidia/k8s/container-toolkit:v1.18.1")
DCGM = container("nvcr.io/nvidia/k8s/dcgm-exporter:4.4.2", run=["dcgm-exporter"])
CREATING: Object = {"state": {"waiting": {"reason": "ContainerCreating"}}, "ready": False}
PLACES = {Where.POD, Where.ANY_POD}
ROWS = {
    f"{row.cause}-{number}": row
    for number, row in enumerate(table())
    if row.where & PLACES and not row.needs
}
SHIM = "OCI runtime create failed: unable to retrieve OCI runtime error"
PROGRAM = "fork/exec /usr/local/nvidia/toolkit/nvidia-container-runtime: no such file or directory"


def in_event(text: str, minutes: int = 1) -> Node:
    """Return a node that cannot make the sandbox of the toolkit's pod."""
    made = pod(TOOL, statuses={"main": CREATING}, phase="Pending")
    event = warning(made, "FailedCreatePodSandBox", text, minutes)
    return node_with(made, events=[event])


def in_state(text: str, reason: str, log: str = "") -> Node:
    """Return a node that cannot start the container of the exporter's pod."""
    waits = {"waiting": {"reason": reason, "message": text}}
    made = pod(DCGM, statuses={"main": {"state": waits, "ready": False, "restartCount": 2}})
    made["spec"]["runtimeClassName"] = "nvidia-gpu"
    return node_with(made, files={log_path(made, restarts=2): log})


def ended(text: str, reason: str, logs: Mapping[int, str]) -> Node:
    """Return a node on which the exporter's container ended so, and what its runs printed."""
    end = {"terminated": {"exitCode": 128, "reason": reason, "message": text}}
    status = {**CRASHED, "ready": False, "lastState": end, "restartCount": 3}
    made = pod(DCGM, statuses={"main": status})
    files = {log_path(made, restarts=number): log for number, log in logs.items()}
    return node_with(made, files=files)


def found(node: Node) -> Finding | None:
    """Return the finding of the operand that fails."""
    checks = (check_operands.toolkit_fails, check_operands.others_fail)
    return next((each for check in checks for each in check(node)), None)


@pytest.mark.parametrize("name", ROWS)
def test_a_row_about_pods_knows_an_operand_that_is_not_started(name: str) -> None:
    """By the event of its sandbox, and by its container's state; old events convict nobody."""
    row = ROWS[name]
    for node in (in_event(row.match), in_state(row.match, "CreateContainerError")):
        finding = found(node)
        assert cause(finding) == row.cause
        assert finding is not None
        assert filled(finding) >= catalogue()[row.cause].placeholders() - COMMON
        assert "is " in finding.evidence[1].text
    assert found(in_event(row.match, minutes=80)) is None
    assert cause(found(in_event(row.near_miss))) != row.cause


def filled(finding: Finding) -> frozenset[str]:
    """Return the placeholders that a finding fills."""
    return frozenset(finding.values)


def test_the_default_runtime_that_is_gone_keeps_the_toolkit_from_installing_it_again() -> None:
    """The cause is the missing program, not a toolkit that does not come up."""
    finding = found(in_event(f"Failed to create pod sandbox: rpc error: {SHIM} (x): {PROGRAM}"))
    assert cause(finding) == "sandbox/runtime-program-missing"
    assert finding is not None
    assert finding.values["handler"] == "default"
    assert PROGRAM in finding.evidence[0].text
    assert finding.evidence[1].text.startswith("is ")


@pytest.mark.parametrize("reason", ["StartError", "ContainerCannotRun"])
def test_a_container_that_was_never_started_has_no_words_of_its_own(reason: str) -> None:
    """What an earlier run printed is not about it; the kubelet's words are."""
    text = "error mounting: nvidia-container-cli: ldcache error: open failed: /sbin/ldconfig.real"
    old = 'level=error msg="write /var/lib/x: no space left on device"'
    assert cause(found(ended(text, reason, {2: old}))) == "sandbox/ldconfig-fails"


def test_the_same_words_in_a_log_are_the_operands_own() -> None:
    """An exporter whose own volume is full says nothing about the node."""
    full = "write /data/x: no space left on device"
    finding = found(ended("", "Error", {3: f'level=error msg="{full}"'}))
    assert cause(finding) == "device-plugin/operand-fails"
    assert full in said(finding)


def test_words_that_nobody_knows_stay_with_the_operand() -> None:
    """They are quoted, under the cause of its layer."""
    finding = found(in_state("the flux is out of tune", "RunContainerError"))
    assert cause(finding) == "device-plugin/operand-fails"
    assert "the flux is out of tune" in said(finding)


def test_the_repaired_twin() -> None:
    """The pod is ready; its event is a minute old."""
    made = pod(TOOL)
    event = warning(made, "FailedCreatePodSandBox", f"{SHIM}: {PROGRAM}")
    assert found(node_with(made, events=[event])) is None


@pytest.mark.parametrize("words", ["Insufficient Permissions", "insufficient permissions"])
def test_a_container_that_runs_and_may_not_use_the_devices(words: str) -> None:
    """Its own log says so, whoever started it; another answer of NVML is its own trouble."""
    log = f'time="2026-01-13T08:15:33Z" level=error msg="Failed to initialize NVML: {words}"'
    assert cause(found(ended("", "Error", {3: log}))) == "sandbox/device-access-refused"
    other = log.replace(words, "Unknown Error")
    assert cause(found(ended("", "Error", {3: other}))) == "device-plugin/operand-fails"
