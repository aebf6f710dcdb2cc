"""A node that works amid the operator's driver upgrade, or cordoned, is noted and nothing more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from pytest_gpu.run.node_face import GpuNode
from pytest_gpu.stack.gpu import check_upgrade
from pytest_gpu.stack.operands.upgrade import DONE, FAILED, LABEL, WAITS
from pytest_gpu.stack.pods import check_cordon
from tests.stack.gpu.gpu_machine import cause, said, title_of
from tests.support.fake_evidence import FakeCluster, node_object
from tests.support.told import full

TAINT = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}


def node(
    state: str | None = None,
    *,
    paused: bool = False,
    notes: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    **spec: Any,
) -> GpuNode:
    """Return a node in a state of the upgrade, with these annotations, labels and spec."""
    made = node_object(labels={**(labels or {}), **({} if state is None else {LABEL: state})})
    made["metadata"]["annotations"] = dict(notes or {})
    made["spec"] = spec
    policy = {"metadata": {"name": "p"}, "spec": {"driver": {"upgradePolicy": {}}}}
    if paused:
        policy["spec"]["driver"]["upgradePolicy"]["autoUpgrade"] = False  # type: ignore[index]
    return GpuNode("gpu-1", FakeCluster(objects={"nodes": [made], "clusterpolicies": [policy]}))


@pytest.mark.parametrize("state", [None, "", DONE])
def test_a_finished_upgrade_is_no_finding(state: str | None) -> None:
    """Nor a node that the operator does not upgrade, nor paused upgrades."""
    assert check_upgrade.unfinished(node(state)) is None
    assert check_upgrade.unfinished(node(state, paused=True)) is None


def test_a_failed_upgrade_is_told() -> None:
    """With the label that says so, and that the node is cordoned if it is."""
    finding = check_upgrade.unfinished(node(FAILED))
    assert cause(finding) == "driver/upgrade-failed"
    assert said(finding) == f"node gpu-1: label {LABEL}=upgrade-failed"
    shut = check_upgrade.unfinished(node(FAILED, unschedulable=True))
    assert "spec.unschedulable: true" in said(shut)


@pytest.mark.parametrize("state", [*WAITS, "reboot-required"])
def test_an_unfinished_upgrade_says_what_the_node_waits_for(state: str) -> None:
    """Every state of the state machine, and one that a later release may add."""
    finding = check_upgrade.unfinished(node(state))
    assert cause(finding) == "driver/upgrade-unfinished"
    assert title_of(finding).endswith(f": {state}")
    assert finding is not None
    waits = WAITS.get(state, "for a step that this suite does not know")
    assert full(finding).values["waits"] == waits


def test_paused_upgrades_wait_for_nothing() -> None:
    """The policy says so."""
    finding = check_upgrade.unfinished(node("upgrade-required", paused=True))
    assert finding is not None
    assert str(finding.values["waits"]).startswith("for nothing: upgrades are paused")
    assert "driver.upgradePolicy.autoUpgrade: false" in said(finding)


def test_a_cordoned_node_is_told_with_its_time() -> None:
    """The taint of the node controller has the time; an older cluster's has none."""
    timed = {**TAINT, "timeAdded": "2026-05-01T10:00:00Z"}
    finding = check_cordon.cordoned(node(unschedulable=True, taints=[timed]))
    assert cause(finding) == "kubernetes/cordoned"
    assert said(finding) == "node gpu-1: spec.unschedulable: true since 2026-05-01T10:00:00Z"
    bare = check_cordon.cordoned(node(DONE, unschedulable=True, taints=[TAINT]))
    assert said(bare) == "node gpu-1: spec.unschedulable: true"


@pytest.mark.parametrize(
    "other",
    [
        node(),
        node(unschedulable=False),
        node(taints=[{"key": "dedicated", "effect": "NoSchedule"}]),
        node("drain-required", unschedulable=True, taints=[TAINT]),
        node(FAILED, unschedulable=True),
    ],
)
def test_other_nodes_are_not_cordoned(other: GpuNode) -> None:
    """A taint alone is meant; what the driver's upgrade cordoned is told as the upgrade."""
    assert check_cordon.cordoned(other) is None
