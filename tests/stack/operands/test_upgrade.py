"""A driver upgrade that is stuck: noted on a node that works, the cause on one that does not."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pytest_gpu.cluster.recording.recorded import open_recording
from pytest_gpu.stack.gpu import check_upgrade
from pytest_gpu.stack.operands.upgrade import FAILED, LABEL, PAUSED, SAFE_LOAD, SKIP
from tests.stack.gpu.gpu_machine import said
from tests.stack.gpu.test_check_upgrade import node as node_in
from tests.stack.operands.test_driver_container import (
    CRASH,
    NAME,
    Cluster,
    Object,
    driver_pod,
    lines,
)

PLUGIN = "nvidia.com/gpu.deploy.device-plugin"
SAMPLES = ("healthy-kubeadm", "healthy-rke2")
DRAIN = "Failed to drain the node, error when evicting pods: global timeout reached: 5m0s"


class Upgrade(Cluster):
    """A copy of a healthy sample whose node the operator upgrades."""

    def state(self, state: str, *, paused: bool = True, **notes: str) -> None:
        """Set the state of the node, cordon it, and keep the plugin from it."""

        def change(made: Object) -> None:
            made["metadata"]["labels"][LABEL] = state
            made["metadata"].setdefault("annotations", {}).update(notes)
            made["spec"]["unschedulable"] = True
            if paused:
                made["metadata"]["labels"][PLUGIN] = PAUSED

        self.change_nodes(change)
        if paused:
            self._no_plugin()

    def change_nodes(self, change: Any) -> None:
        """Change the node's object."""

        def changed(nodes: Object) -> None:
            for each in nodes["items"]:
                if each["metadata"]["name"] == self.copy.node.name:
                    change(each)

        self.copy.edit_yaml(self.copy.folder / "kubernetes/nodes.yaml", changed)

    def _no_plugin(self) -> None:
        def without(pods: Object) -> None:
            kept = (e for e in pods["items"] if "device-plugin" not in e["metadata"]["name"])
            pods["items"] = list(kept)

        def zero(made: Object) -> None:
            made["status"]["allocatable"]["nvidia.com/gpu"] = "0"

        self.copy.edit_yaml(self.copy.folder / "kubernetes/pods.yaml", without)
        self.change_nodes(zero)

    def warn(self, message: str, minutes: int) -> None:
        """Add what the operator says about the node's upgrade."""
        with open_recording(self.copy.folder, "copy") as cluster:
            when = (cluster.taken - timedelta(minutes=minutes)).isoformat()
        about = {"kind": "Node", "name": self.copy.node.name}
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": "upgrade.1", "namespace": "default"},
            "type": "Warning",
            "reason": "GPUDriverUpgrade",
            "message": message,
            "lastTimestamp": when,
            "involvedObject": about,
        }
        self.add("events", event)


def told(node: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return source and text of a verdict's evidence."""
    return [(source, text) for source, _, text in lines(node)]


@pytest.fixture(params=SAMPLES)
def upgrade(request: pytest.FixtureRequest, tmp_path: Path) -> Upgrade:
    """Return a healthy cluster whose node may be upgraded."""
    return Upgrade(request.param, tmp_path)


def test_an_upgrade_that_failed_keeps_the_plugin_away(upgrade: Upgrade) -> None:
    """The operator's own words, however old, since the state is of now; no tolerations."""
    upgrade.state(FAILED)
    upgrade.warn(DRAIN, 190)
    node = upgrade.verdict()
    assert (node["layer"], node["cause"]) == ("device-plugin", "driver/upgrade-failed")
    name = upgrade.copy.node.name
    assert (f"event of node {name}, 190 min ago", f"GPUDriverUpgrade: {DRAIN}") in told(node)
    assert (f"node {name}", f"label {LABEL}={FAILED}") in told(node)
    assert any(f"the node has {PLUGIN}={PAUSED}" in text for _, text in told(node))
    assert "olerations" not in "\n".join(node["fix"])


@pytest.mark.parametrize("state", ["pod-restart-required", "drain-required"])
def test_an_upgrade_that_has_not_finished_keeps_the_plugin_away(
    state: str, upgrade: Upgrade
) -> None:
    """It is the cause for now, whether it is stuck or goes on."""
    upgrade.state(state)
    node = upgrade.verdict()
    assert node["cause"] == "driver/upgrade-unfinished"
    assert "unschedulable: true" in str(told(node))


def test_a_driver_pod_that_fails_is_why_the_upgrade_is_stuck(upgrade: Upgrade) -> None:
    """Its words are more than the label says."""
    upgrade.state(FAILED)
    upgrade.add("pods", driver_pod(CRASH, upgrade.copy.node.name))
    upgrade.log("Could not resolve Linux kernel version\n")
    node = upgrade.verdict()
    assert node["cause"] == "driver/operand-fails"
    assert ("Could not resolve Linux kernel version") in str(told(node))
    assert f"label {LABEL}={FAILED}" in str(told(node))
    assert NAME in "\n".join(node["fix"])


def test_a_node_that_works_amid_an_upgrade(upgrade: Upgrade) -> None:
    """It conforms, and the upgrade is noted with what the operator says; no cordon besides."""
    upgrade.state(FAILED, paused=False)
    upgrade.warn(DRAIN, 3)
    node = upgrade.verdict()
    assert node["verdict"] == "conforms"
    [noted] = node["latent"]
    assert noted["cause"] == "driver/upgrade-failed"
    assert DRAIN in str(noted["evidence"])


def test_a_pause_that_no_upgrade_explains(upgrade: Upgrade) -> None:
    """Near miss: the upgrade is done, so the label that is left is told as such."""
    upgrade.state("upgrade-done")
    node = upgrade.verdict()
    assert node["cause"] == "device-plugin/not-scheduled"
    assert PAUSED in str(told(node))


def test_another_reason_to_have_no_plugin(upgrade: Upgrade) -> None:
    """Near miss: the node waits for its turn, and its plugin is not paused."""
    upgrade.state("upgrade-required")
    upgrade.change_nodes(lambda made: made["metadata"]["labels"].update({PLUGIN: "false"}))
    node = upgrade.verdict()
    assert node["cause"] == "device-plugin/not-scheduled"


def test_a_node_that_was_upgraded(upgrade: Upgrade) -> None:
    """The repaired twin."""
    done = {LABEL: "upgrade-done", "pool": "upgraded"}
    upgrade.change_nodes(lambda made: made["metadata"]["labels"].update(done))
    upgrade.warn(DRAIN, 600)
    node = upgrade.verdict()
    assert (node["verdict"], node["latent"]) == ("conforms", [])


@pytest.mark.parametrize(
    ("state", "annotation", "value", "shown"),
    [
        (
            "validation-required",
            "nvidia.com/gpu-driver-upgrade-validation-start-time",
            "1768291200",
            "2026-01-13T08:00:00Z",
        ),
        (
            "wait-for-jobs-required",
            "nvidia.com/gpu-driver-upgrade-wait-for-pod-completion-start-time",
            "1768294800",
            "2026-01-13T09:00:00Z",
        ),
        ("pod-restart-required", SAFE_LOAD, "nvidia-driver-x", "the new driver pod waits"),
    ],
)
def test_since_when_the_operator_waits(state: str, annotation: str, value: str, shown: str) -> None:
    """Its annotations say so; one of another state, or none, says nothing."""
    assert shown in said(check_upgrade.unfinished(node_in(state, notes={annotation: value})))
    assert shown not in said(check_upgrade.unfinished(node_in(state)))


@pytest.mark.parametrize("value", ["", "now", "-5", "9" * 40, "²"])
def test_what_is_no_time(value: str) -> None:
    """It is left out."""
    key = "nvidia.com/gpu-driver-upgrade-validation-start-time"
    found = check_upgrade.unfinished(node_in("validation-required", notes={key: value}))
    assert "annotation" not in said(found)


def test_a_node_that_upgrades_leave_out() -> None:
    """It waits for nothing, as its label says; once its upgrade has begun, the label is late."""
    found = check_upgrade.unfinished(node_in("upgrade-required", labels={SKIP: "true"}))
    assert found is not None
    assert f"label {SKIP}=true" in said(found)
    assert str(found.values["waits"]) == f"for nothing: its label {SKIP} leaves it out"
    begun = check_upgrade.unfinished(node_in("drain-required", labels={SKIP: "true"}))
    assert SKIP not in said(begun)
