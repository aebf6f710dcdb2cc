"""The GPU operator's upgrade of the driver container on a node: how far it is, since when, and why.

Source: pkg/upgrade of NVIDIA's k8s-operator-libs (consts.go, common_manager.go, drain_manager.go):
a label of the node, annotations with times, events about the node. And k8s-driver-manager, which
sets the labels ``nvidia.com/gpu.deploy.*`` to ``paused-for-driver-upgrade`` while it works.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.kube.nodes import cordon
from pytest_gpu.stack.kube.objects import (
    annotations_of,
    labels_of,
    object_of,
    optional,
    path_of,
    template_of,
)
from pytest_gpu.stack.kube.operator import policy_section
from pytest_gpu.stack.kube.placement import unmet
from pytest_gpu.stack.operands.object_events import events_of
from pytest_gpu.stack.operands.roles import role_of

LABEL = "nvidia.com/gpu-driver-upgrade-state"
"""The state of the operator's upgrade on a node."""

DONE, FAILED = "upgrade-done", "upgrade-failed"
REQUIRED = "upgrade-required"

WAITS: Mapping[str, str] = {
    REQUIRED: "for its turn: the operator upgrades a few nodes at a time"
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

SKIP = "nvidia.com/gpu-driver-upgrade.skip"
SAFE_LOAD = "nvidia.com/gpu-driver-upgrade.driver-wait-for-safe-load"
_SINCE: Mapping[str, str] = {
    "wait-for-jobs-required": "nvidia.com/gpu-driver-upgrade-wait-for-pod-completion-start-time",
    "validation-required": "nvidia.com/gpu-driver-upgrade-validation-start-time",
}
"""Annotations with the Unix time at which the operator began to wait in a state."""

_EVENT = "DriverUpgrade"
"""How the reason of the operator's events about the upgrade ends."""

PAUSED = "paused-for-driver-upgrade"


def upgrade_of(node: Node, *symptom: Evidence) -> Finding | None:
    """Return that an upgrade of the driver failed or has not finished on a node, else ``None``.

    ``symptom`` is what the node lacks because of it.
    """
    state = _state(node)
    if state in ("", DONE):
        return None
    evidence = (*upgrade_evidence(node), *symptom)
    if state == FAILED:
        return Finding.of("driver/upgrade-failed", *evidence)
    waits = _idle(node) or WAITS.get(state, "for a step that this suite does not know")
    return Finding.of("driver/upgrade-unfinished", *evidence, state=state, waits=waits)


def upgrades(node: Node) -> bool:
    """Say whether the operator's upgrade of the driver is under way, or failed, on this node."""
    return _state(node) not in ("", DONE)


def upgrade_evidence(node: Node) -> tuple[Evidence, ...]:
    """Return how far an upgrade is that is not done, since when, and what the operator says."""
    if not upgrades(node):
        return ()
    return (*_progress(node), *cordon(object_of(node)), *_said(node))


def paused(node: Node, role: str) -> tuple[Evidence, ...]:
    """Return the label by which the driver's upgrade keeps the pods of a role from a node."""
    found = (each for each in optional(node.cluster, "daemonsets") if role_of(each) == role)
    labels = known(lambda: labels_of(object_of(node))) or {}
    return tuple(
        Evidence(
            source=f"daemonset {path_of(each)}",
            text=f"selects {key}={value}; the node has {key}={PAUSED}",
        )
        for each in found
        for key, value in unmet(template_of(each), object_of(node)).items()
        if labels.get(key) == PAUSED
    )


def _state(node: Node) -> str:
    return labels_of(object_of(node)).get(LABEL, "")


def _progress(node: Node) -> Iterator[Evidence]:
    state, notes = _state(node), annotations_of(object_of(node))
    where = f"node {node.name}"
    yield Evidence(source=where, text=f"label {LABEL}={state}")
    since = notes.get(_SINCE.get(state, ""), "")
    if time := _time(since):
        yield Evidence(source=where, text=f"annotation {_SINCE[state]}: {since} ({time})")
    if notes.get(SAFE_LOAD):
        yield Evidence(source=where, text=f"annotation {SAFE_LOAD}: the new driver pod waits")
    yield from _held(node)


def _time(seconds: str) -> str:
    """Return a Unix time as text, nothing for what is none."""
    if not (seconds.isascii() and seconds.isdecimal() and len(seconds) <= _DIGITS):
        return ""
    return f"{datetime.fromtimestamp(int(seconds), UTC):%Y-%m-%dT%H:%M:%SZ}"


_DIGITS = 10
"""Digits of a Unix time until the year 2286."""


def _held(node: Node) -> Iterator[Evidence]:
    """Yield what keeps the operator from going on by an admin's wish."""
    policy = policy_section(node.cluster, "driver").get("upgradePolicy")
    if isinstance(policy, Mapping) and policy.get("autoUpgrade") is False:
        yield Evidence(source="ClusterPolicy", text="driver.upgradePolicy.autoUpgrade: false")
    if _state(node) == REQUIRED and labels_of(object_of(node)).get(SKIP) == "true":
        yield Evidence(source=f"node {node.name}", text=f"label {SKIP}=true")


def _idle(node: Node) -> str:
    """Return that a node waits for nothing, and why, if an admin has held its upgrade."""
    held = next(_held(node), None)
    if held is None:
        return ""
    if held.source == "ClusterPolicy":
        return "for nothing: upgrades are paused (driver.upgradePolicy.autoUpgrade)"
    return f"for nothing: its label {SKIP} leaves it out"


def _said(node: Node) -> Iterator[Evidence]:
    """Yield the operator's latest warning about the upgrade of a node, an old one with its age."""
    events = events_of(node.cluster, object_of(node))
    yield from [each.evidence for each in events if each.reason.endswith(_EVENT)][:1]
