"""The finding of an operand that does not come up: by its own words if they are known."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.operands.advice import advice
from pytest_gpu.stack.operands.chain import Culprit
from pytest_gpu.stack.operands.fault import Fault, state_text
from pytest_gpu.stack.operands.given import given
from pytest_gpu.stack.operands.known_words import by_own_words
from pytest_gpu.stack.operands.operands import Operand
from pytest_gpu.stack.operands.roles import (
    DCGM,
    DEVICE_PLUGIN,
    DRA,
    DRIVER,
    GFD,
    MIG_MANAGER,
    MPS,
    NFD,
    OPERATOR,
    TOOLKIT,
    VALIDATOR,
)
from pytest_gpu.steps import Steps

COMPONENTS: Mapping[str, str] = {
    NFD: "node feature discovery",
    OPERATOR: "GPU operator",
    DRIVER: "driver container",
    TOOLKIT: "container toolkit",
    MIG_MANAGER: "MIG manager",
    DEVICE_PLUGIN: "device plugin",
    MPS: "MPS control daemon",
    DRA: "DRA driver",
    GFD: "GPU feature discovery",
    DCGM: "DCGM exporter",
    VALIDATOR: "operator's validator",
}
"""What an operand is called, by its role."""


def told(node: Node, culprit: Culprit, cause: str, *symptom: Evidence) -> Finding:
    """Return the finding of an operand that does not come up.

    ``cause`` is the one of its layer, which is taken if no row of the messages knows its words.
    ``symptom`` is what the layer lacks because of it; one that waits is shown among those.
    """
    fault = culprit.fault
    waits = {each.name for each in culprit.waiting}
    lacks = (each for each in symptom if each.source not in waits)
    evidence = (*culprit.evidence, *given(fault), *lacks)
    values = _values(fault.operand)
    if known := by_own_words(node, fault, evidence, values):
        return known
    return Finding.of(
        cause,
        *evidence,
        component=values["component"],
        object=values["object"],
        state=values["state"],
        kind=values["kind"],
        name=values["name"],
        namespace=values["namespace"],
        advice=advice_of(node, fault),
    )


def told_by_own_words(node: Node, culprit: Culprit) -> Finding | None:
    """Return the finding of an operand if a row of the messages knows its words."""
    return by_own_words(node, culprit.fault, culprit.evidence, _values(culprit.fault.operand))


def advice_of(node: Node, fault: Fault) -> Steps:
    """Return the steps that follow from what an operand says."""
    return advice(node, fault, _values(fault.operand))


def _values(operand: Operand) -> Mapping[str, str]:
    return {
        "component": COMPONENTS[operand.role],
        "object": operand.name,
        "state": state_text(operand),
        "kind": operand.kind,
        "name": operand.object_name,
        "namespace": operand.namespace,
    }
