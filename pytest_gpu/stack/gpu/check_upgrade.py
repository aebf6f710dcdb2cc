"""Checks of the GPU operator's upgrade of the driver, which takes the node out of service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.checks import check
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.kube.nodes import cordon
from pytest_gpu.stack.kube.objects import labels_of, object_of
from pytest_gpu.stack.kube.operator import policy_section

LABEL = "nvidia.com/gpu-driver-upgrade-state"
"""The state of the operator's upgrade on this node (k8s-operator-libs, pkg/upgrade/consts.go)."""

DONE, FAILED = "upgrade-done", "upgrade-failed"

WAITS: Mapping[str, str] = {
    "upgrade-required": "for its turn: the operator upgrades a few nodes at a time"
    " (driver.upgradePolicy.maxParallelUpgrades)",
    "cordon-required": "to be cordoned",
    "wait-for-jobs-required": "for the jobs that driver.upgradePolicy.waitForCompletion names",
    "pod-deletion-required": "until the pods with GPUs are deleted",
    "drain-required": "until the node is drained",
    "node-maintenance-required": "for the maintenance operator, which cordons and drains the node",
    "post-maintenance-required": "for the operator, after the node's maintenance",
    "pod-restart-required": "for the new driver pod to run",
    "validation-required": "for the operator's validator to pass with the new driver",
    "uncordon-required": "to be uncordoned",
}
"""What a node in one of these states waits for (NVIDIA's documentation of driver upgrades)."""


@check("gpu/driver-upgrade", visit=False)
def unfinished(node: Node) -> Finding | None:
    """Return a note on an upgrade of the driver that failed or has not finished on this node."""
    state = labels_of(object_of(node)).get(LABEL, "")
    if state in ("", DONE):
        return None
    seen = (*_state(node, state), *cordon(object_of(node)))
    if state == FAILED:
        return Finding.of("driver/upgrade-failed", *seen)
    waits = WAITS.get(state, "for a step that this suite does not know")
    return Finding.of("driver/upgrade-unfinished", *seen, state=state, waits=_paused(node) or waits)


def _state(node: Node, state: str) -> Iterator[Evidence]:
    yield Evidence(source=f"node {node.name}", text=f"label {LABEL}={state}")
    if _paused(node):
        yield Evidence(source="ClusterPolicy", text="driver.upgradePolicy.autoUpgrade: false")


def _paused(node: Node) -> str:
    """Return what the node waits for if the operator's upgrades are paused, else nothing."""
    policy = policy_section(node.cluster, "driver").get("upgradePolicy")
    paused = isinstance(policy, Mapping) and policy.get("autoUpgrade") is False
    return "for nothing: upgrades are paused (driver.upgradePolicy.autoUpgrade)" if paused else ""


def upgrades(node: Node) -> bool:
    """Say whether the operator's upgrade of the driver is under way, or failed, on this node."""
    return labels_of(object_of(node)).get(LABEL, "") not in ("", DONE)
