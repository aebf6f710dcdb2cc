"""What the GPU operator says that it could not do, in the conditions of what it was told.

Source: internal/conditions, controllers/clusterpolicy_controller.go, nvidiadriver_controller.go and
state_manager.go of NVIDIA's gpu-operator. ``Error`` is ``True`` also while it only waits for pods
(reasons that end in ``NotReady``), and of an NVIDIADriver that is not used (``Reconciled``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.evidence import ClusterEvidence, KubeObject
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.kube.objects import (
    labels_of,
    name_of,
    namespace_of,
    object_of,
    optional,
    spec_of,
    status_of,
)
from pytest_gpu.stack.kube.operator import cluster_policy, policy_section
from pytest_gpu.stack.operands.advice import steps_for
from pytest_gpu.stack.operands.container_log import plain
from pytest_gpu.stack.operands.decisive import shortened
from pytest_gpu.stack.operands.found import pods_by_node
from pytest_gpu.stack.operands.roles import DEVICE_PLUGIN, OPERATOR, TOOLKIT, role_of
from pytest_gpu.stack.operands.state import Condition, conditions_in

POLICY, DRIVERS = "clusterpolicy", "nvidiadriver"
"""Kinds of what tells the operator what to make, as kubectl takes them."""

_SECTIONS = {TOOLKIT: "toolkit", DEVICE_PLUGIN: "devicePlugin"}
_NAMES = {TOOLKIT: "container toolkit", DEVICE_PLUGIN: "device plugin"}
_BEFORE = ("pre-requisites", "state-operator-metrics", "state-driver", "state-container-toolkit")
_STATES = {
    TOOLKIT: _BEFORE,
    DEVICE_PLUGIN: (*_BEFORE, "state-operator-validation", "state-device-plugin"),
}
"""What the operator does up to the DaemonSet of a role, in its order; at an error it stops."""

_STATE = re.compile(r"Failed to reconcile (?P<state>[\w-]{1,64}): ")
_ONLY_WAITS = re.compile(r"\w{0,64}NotReady|Reconciled")
_UNUSED = "disabled"
"""The state of an NVIDIADriver whose ClusterPolicy does not use such objects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An error of the operator about an object that tells it what to make.

    Attributes:
        kind: the kind of that object, as kubectl takes it.
        name: its name.
        condition: what the operator says.
    """

    kind: str
    name: str
    condition: Condition

    @property
    def evidence(self) -> Evidence:
        """The condition as evidence."""
        text = shortened(plain(f"{self.condition.reason}: {self.condition.message}"))
        return Evidence(source=f"condition {self.condition.kind} of {self}", text=text)

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def refusals(node: Node) -> Iterator[Refusal]:
    """Yield the operator's errors about its ClusterPolicy and the NVIDIADrivers for a node."""
    if policy := cluster_policy(node.cluster):
        yield from _refusals(POLICY, policy)
    labels = labels_of(object_of(node))
    for each in optional(node.cluster, "nvidiadrivers"):
        wanted = spec_of(each).get("nodeSelector") or {}
        if wanted.items() <= labels.items() and status_of(each).get("state") != _UNUSED:
            yield from _refusals(DRIVERS, each)


def _refusals(kind: str, thing: KubeObject) -> Iterator[Refusal]:
    for each in conditions_in(thing):
        if each.failed and each.message and not _ONLY_WAITS.fullmatch(each.reason):
            yield Refusal(kind=kind, name=name_of(thing), condition=each)


def unreconciled(node: Node, role: str, *symptom: Evidence) -> Finding | None:
    """Return why the operator, which runs, has made no operand of a role anywhere.

    ``None`` if it has, if it should not, or if what it says has nothing to do with the role.
    """
    operator = _operator(node.cluster)
    if operator is None or not _is_wanted(node.cluster, role) or _is_made(node.cluster, role):
        return None
    refusal = next((each for each in refusals(node) if _stops(each, role)), None)
    if refusal is None:
        return None
    return Finding.of(
        "operator/not-reconciled",
        refusal.evidence,
        Evidence(source="daemonsets", text=f"none of them is the {_NAMES[role]}'s"),
        *symptom,
        object=str(refusal),
        kind=refusal.kind,
        name=refusal.name,
        advice=steps_for("not-reconciled", _values(refusal, operator)),
    )


def _values(refusal: Refusal, operator: KubeObject) -> dict[str, str]:
    where = {"operator": name_of(operator), "namespace": namespace_of(operator)}
    return {**where, "kind": refusal.kind, "name": refusal.name}


def _operator(cluster: ClusterEvidence) -> KubeObject | None:
    """Return a running pod of the operator, wherever it runs."""
    pods = known(lambda: pods_by_node(cluster)) or {}
    found = (pod for there in pods.values() for role, pod in there if role == OPERATOR)
    return next((each for each in found if status_of(each).get("phase") == "Running"), None)


def _is_wanted(cluster: ClusterEvidence, role: str) -> bool:
    policy = cluster_policy(cluster)
    return (
        policy is not None and policy_section(cluster, _SECTIONS[role]).get("enabled") is not False
    )


def _is_made(cluster: ClusterEvidence, role: str) -> bool:
    """Say whether there is a DaemonSet of a role; also where nobody read them."""
    daemonsets = known(lambda: cluster.objects("daemonsets"))
    return daemonsets is None or any(role_of(each) == role for each in daemonsets)


def _stops(refusal: Refusal, role: str) -> bool:
    """Say whether an error keeps the operator from making the operand of a role."""
    state = stopped_at(refusal.condition.message)
    return refusal.kind == POLICY and (state is None or state in _STATES[role])


def stopped_at(message: str) -> str | None:
    """Return the state that the operator could not reconcile, ``None`` if it began with none."""
    found = _STATE.match(message)
    return found["state"] if found else None
