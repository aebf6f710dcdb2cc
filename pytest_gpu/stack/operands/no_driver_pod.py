"""Why the operator's driver selects no pod for a node: labels, or no DaemonSet at all.

Source: controllers/state_manager.go of NVIDIA's gpu-operator. It sets ``nvidia.com/gpu.deploy.*``
on GPU nodes, keeps a value that is there, and removes all if ``gpu.deploy.operands`` is ``false``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pytest_gpu.causes import Evidence
from pytest_gpu.evidence import ClusterEvidence, KubeObject
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.kube.objects import (
    labels_of,
    name_of,
    namespace_of,
    object_of,
    path_of,
    template_of,
)
from pytest_gpu.stack.kube.operator import cluster_policy
from pytest_gpu.stack.kube.placement import unmet
from pytest_gpu.stack.operands.advice import steps_for
from pytest_gpu.stack.operands.chain import here
from pytest_gpu.stack.operands.container_log import plain
from pytest_gpu.stack.operands.decisive import shortened
from pytest_gpu.stack.operands.roles import DRIVER, OPERATOR, role_of
from pytest_gpu.stack.operands.state import conditions_in
from pytest_gpu.stack.operands.unreconciled import DRIVERS, Refusal, refusals
from pytest_gpu.steps import Steps

_DEPLOY = "nvidia.com/gpu.deploy."
_OPERANDS = f"{_DEPLOY}operands"
_SHOWN = 3
"""DaemonSets that are shown."""


class Why(StrEnum):
    """Why a node gets no driver pod: entries of ``advice.toml``."""

    OPERANDS_OFF = "operands-off"
    DEPLOY_LABEL = "deploy-label"
    DEPLOY_LABEL_MISSING = "deploy-label-missing"
    OTHER_NODES = "other-nodes"
    NOT_MADE = "not-made"
    NOT_RECONCILED = "not-reconciled"
    NO_OPERATOR = "no-operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSelected:
    """Why a node gets no driver pod, and what can be done."""

    evidence: tuple[Evidence, ...]
    advice: Steps


def why_not_selected(node: Node) -> NotSelected:
    """Return why the operator, which owns the driver, has no pod of it for a node."""
    policy = cluster_policy(node.cluster) or {}
    made = _daemonsets(node.cluster)
    labels = labels_of(object_of(node))
    owned = Evidence(source=_named(policy), text="driver.enabled: true")
    shown = (
        *(_about(each, node) for each in (made or ())[:_SHOWN]),
        *_switched_off(node, labels),
        *_none_made(made),
        *_conditions(policy),
        *(each.evidence for each in _of_drivers(node)),
    )
    return NotSelected(evidence=(owned, *shown), advice=_advice(node, made, labels, policy))


def _daemonsets(cluster: ClusterEvidence) -> Sequence[KubeObject] | None:
    """Return the driver's DaemonSets, ``None`` if nobody read them."""
    found = known(lambda: cluster.objects("daemonsets"))
    return None if found is None else [each for each in found if role_of(each) == DRIVER]


def _named(policy: KubeObject) -> str:
    return f"clusterpolicy {name_of(policy)}"


def _about(daemonset: KubeObject, node: Node) -> Evidence:
    labels = labels_of(object_of(node))
    wanted = unmet(template_of(daemonset), object_of(node))
    each = (
        f"selects {key}={value}; the node has "
        + (f"{key}={labels[key]}" if key in labels else f"no label {key}")
        for key, value in wanted.items()
    )
    text = ", ".join(each) or "its node affinity does not allow this node"
    return Evidence(source=f"daemonset {path_of(daemonset)}", text=text)


def _switched_off(node: Node, labels: Mapping[str, str]) -> Iterator[Evidence]:
    if labels.get(_OPERANDS) == "false":
        yield Evidence(source=f"node {node.name}", text=f"label {_OPERANDS}=false")


def _none_made(made: Sequence[KubeObject] | None) -> Iterator[Evidence]:
    if made is not None and not made:
        yield Evidence(source="daemonsets", text="none of them is the driver's")


def _conditions(policy: KubeObject) -> Iterator[Evidence]:
    for each in conditions_in(policy):
        if each.failed and each.message:
            text = shortened(plain(f"{each.reason}: {each.message}"))
            yield Evidence(source=f"condition {each.kind} of {_named(policy)}", text=text)


def _of_drivers(node: Node) -> Iterator[Refusal]:
    return (each for each in refusals(node) if each.kind == DRIVERS)


def _advice(
    node: Node,
    made: Sequence[KubeObject] | None,
    labels: Mapping[str, str],
    policy: KubeObject,
) -> Steps:
    if labels.get(_OPERANDS) == "false":
        return steps_for(Why.OPERANDS_OFF, {"node": node.name})
    if not made:
        return _unmade(node, policy)
    for daemonset in made:
        for key in unmet(template_of(daemonset), object_of(node)):
            if key.startswith(_DEPLOY):
                kind = Why.DEPLOY_LABEL if key in labels else Why.DEPLOY_LABEL_MISSING
                place = namespace_of(daemonset)
                return steps_for(kind, {"node": node.name, "key": key, "namespace": place})
    return steps_for(Why.OTHER_NODES, {"node": node.name})


def _unmade(node: Node, policy: KubeObject) -> Steps:
    pods = (each for each in here(node, OPERATOR) if each.pod is not None)
    if (pod := next(pods, None)) is None:
        return steps_for(Why.NO_OPERATOR, {})
    where = {"operator": pod.object_name, "namespace": pod.namespace}
    if said := next(_of_drivers(node), None):
        return steps_for(Why.NOT_RECONCILED, {**where, "kind": said.kind, "name": said.name})
    return steps_for(Why.NOT_MADE, {**where, "policy": name_of(policy)})
