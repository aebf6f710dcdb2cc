"""Operands that fail with words that a row of the messages knows, each in its own log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pytest

from pytest_gpu.catalogue import catalogue
from pytest_gpu.cause_entry import COMMON
from pytest_gpu.causes import Finding, fix_of
from pytest_gpu.gpu_node import Node
from pytest_gpu.message_file import Row, Where
from pytest_gpu.messages import table
from pytest_gpu.stack.operands import check_operands
from pytest_gpu.stack.operands import roles as r
from tests.stack.gpu.gpu_machine import cause, machine
from tests.stack.operands.made_up_operands import (
    CRASHED,
    READY,
    Object,
    container,
    log_path,
    pod,
    workload,
)
from tests.stack.operands.test_unknown_failures import PROGRAMS
from tests.support.fake_evidence import FakeCluster, FakeNode, node_object

ROWS = {f"{row.cause}-{n}": row for n, row in enumerate(table()) if row.where == {Where.OPERAND}}
WHO: Mapping[str, str] = {
    "operator": r.OPERATOR,
    "driver": r.DRIVER,
    "runtime": r.TOOLKIT,
    "device-plugin/dcgm": r.DCGM,
    "device-plugin/dra": r.DRA,
    "device-plugin/mig": r.GFD,
    "device-plugin/mps": r.MPS,
    "device-plugin/operand": r.MIG_MANAGER,
}
STAMP = "I0113 08:15:33.104220       1 main.go:42] Starting"


def role_of(row: Row) -> str:
    """Return who says such words."""
    return next(role for start, role in WHO.items() if row.cause.startswith(start))


def made(role: str, **status: object) -> Object:
    """Return the pod of an operand whose container is in a state."""
    image, run = PROGRAMS[role]
    told = {**CRASHED, "ready": False, **status}
    return pod(container(f"nvcr.io/nvidia/{image}:v1", run=run), statuses={"main": told})


def node_of(pods: Sequence[Object], logs: Mapping[str, str], **objects: Sequence[Object]) -> Node:
    """Return a node with GPUs, on which NVML answers."""
    found = machine(files=dict(logs)).evidence
    assert isinstance(found, FakeNode)
    known = {"nodes": [node_object()], "pods": list(pods), **objects}
    return Node("gpu-1", FakeCluster(nodes={"gpu-1": found}, objects=known))


def crashing(role: str, text: str) -> Node:
    """Return a node with an operand that prints this line and ends."""
    each = made(role)
    log = f"{STAMP}\nE0113 08:15:34.000000       1 main.go:90] {text}\n"
    return node_of([each], {log_path(each, restarts=4): log})


def found(node: Node) -> Finding | None:
    """Return the finding of the operand that fails."""
    each: Iterable[Finding] = (
        finding
        for check in (
            check_operands.driver_fails,
            check_operands.toolkit_fails,
            check_operands.others_fail,
        )
        for finding in check(node)
    )
    return next(iter(each), None)


@pytest.mark.parametrize("name", ROWS)
def test_a_row_knows_what_an_operand_prints_and_not_its_near_miss(name: str) -> None:
    """The line of the log comes first, then the pod's state; every text is filled."""
    row = ROWS[name]
    finding = found(crashing(role_of(row), row.match))
    assert finding is not None
    assert finding.cause == row.cause
    assert finding.evidence[0].source == "log of pod gpu-stack/x-7k2vn, container main"
    assert finding.evidence[0].line == 2
    assert "is CrashLoopBackOff" in finding.evidence[1].text
    assert {*finding.values} >= catalogue()[row.cause].placeholders() - COMMON
    assert cause(found(crashing(role_of(row), row.near_miss))) != row.cause


@pytest.mark.parametrize("name", ROWS)
def test_the_same_words_of_an_operand_that_works_mean_nothing(name: str) -> None:
    """It is ready; an earlier run printed them, and this one does."""
    row = ROWS[name]
    each = made(role_of(row), **{**READY, "restartCount": 1})
    files = {log_path(each, restarts=n): f"E0113 08:15:34.0 1 a.go:9] {row.match}" for n in (0, 1)}
    assert found(node_of([each], files)) is None


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.needs])
def test_a_container_without_driver_on_a_host_without_driver(name: str) -> None:
    """Then the host's driver is what is missing, and no fault of the container."""
    row = ROWS[name]
    each = made(role_of(row))
    log = {log_path(each, restarts=4): f"Error: {row.match}"}
    known = {"nodes": [node_object()], "pods": [each]}
    there = FakeNode(files=log, complete=["/"], nvml={"error": {"code": 9, "message": "none"}})
    node = Node("gpu-1", FakeCluster(nodes={"gpu-1": there}, objects=known))
    assert cause(found(node)) == "device-plugin/operand-fails"


def test_a_toolkit_is_given_no_driver_by_the_runtime_that_it_installs() -> None:
    """A RuntimeClass cannot help it: its own words are told, without that story."""
    text = "error generating CDI specification: failed to initialize NVML: ERROR_LIBRARY_NOT_FOUND"
    assert cause(found(crashing(r.TOOLKIT, text))) == "runtime/operand-fails"
    assert cause(found(crashing(r.GFD, text))) == "device-plugin/operand-without-driver"


def fix(role: str, text: str, owner: Object | None, **policy: object) -> str:
    """Return the fix for an operand that a ClusterPolicy, or nobody, makes."""
    each = made(role)
    owners = [{"kind": "ClusterPolicy", "name": "policy", "controller": True}] if owner else []
    makes = workload(each, metadata={"ownerReferences": owners})
    log = {log_path(each, restarts=4): f"Error: {text}"}
    policies = [{**owner, "spec": policy}] if owner else []
    node = node_of([each], log, daemonsets=[makes], clusterpolicies=policies)
    finding = found(node)
    assert finding is not None
    values = {**dict.fromkeys(COMMON, "x"), **finding.values}
    filled = Finding.of(finding.cause, *finding.evidence, **values)
    return "\n".join(fix_of(filled))


POLICY: Object = {"kind": "ClusterPolicy", "metadata": {"name": "policy"}}
HELM: Object = {
    "kind": "ClusterPolicy",
    "metadata": {
        "name": "policy",
        "annotations": {
            "meta.helm.sh/release-name": "gpus",
            "meta.helm.sh/release-namespace": "stack",
        },
    },
}
READ_ONLY = "unable to install toolkit: x: mkdir /usr/local/nvidia: read-only file system"
DRAIN = "failed to drain node: cannot delete Pods with local storage (use --delete-x): a/b"


def test_a_value_is_set_where_the_operand_is_made() -> None:
    """In the Helm release, in the ClusterPolicy, or in the DaemonSet of those who have neither."""
    assert "-n stack --reuse-values --set toolkit.installDir=FOLDER" in fix(
        r.TOOLKIT, READ_ONLY, HELM
    )
    assert "kubectl patch clusterpolicy policy" in fix(r.TOOLKIT, READ_ONLY, POLICY)
    alone = fix(r.TOOLKIT, READ_ONLY, None)
    assert "kubectl edit daemonset x -n gpu-stack" in alone
    assert "clusterpolicy" not in alone
    assert "helm" not in alone


def test_a_value_in_force_is_not_advised() -> None:
    """It cannot help again."""
    text = "unable to flush config: mkdir /etc/containerd/conf.d: read-only file system"
    assert "toolkit.enabled=false" in fix(r.TOOLKIT, text, HELM)
    said = fix(r.TOOLKIT, text, HELM, toolkit={"enabled": False})
    assert "toolkit.enabled" not in said
    assert not said.endswith(":")


def test_a_list_is_changed_as_a_whole() -> None:
    """Helm replaces it; a ClusterPolicy is edited; an NVIDIADriver has no driver section."""
    assert "helm upgrade gpus" in fix(r.DRIVER, DRAIN, HELM)
    assert "driver.manager.env of the ClusterPolicy" in fix(r.DRIVER, DRAIN, POLICY)
    assert "Change its env in daemonset gpu-stack/x" in fix(r.DRIVER, DRAIN, None)
