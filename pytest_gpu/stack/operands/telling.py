"""The finding of an operand that does not come up: by its own words if they are known."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.gpu_node import Node
from pytest_gpu.message_file import Where
from pytest_gpu.messages import Understood, understood
from pytest_gpu.stack.kube.objects import spec_of
from pytest_gpu.stack.kube.runtimeclass import class_of
from pytest_gpu.stack.operands.advice import advice
from pytest_gpu.stack.operands.chain import Culprit
from pytest_gpu.stack.operands.fault import NOT_STARTED, Fault, state_text
from pytest_gpu.stack.operands.given import given
from pytest_gpu.stack.operands.logs import is_logged
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
    for said in fault.words:
        if meaning := _meaning(node, fault, said):
            first = (said, *(each for each in evidence if each is not said))
            own = {"handler": _handler(fault.operand), "scope": f"{values['object']} cannot start"}
            return Finding.of(meaning.cause, *first, *meaning.evidence, **{**own, **meaning.values})
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


def _meaning(node: Node, fault: Fault, said: Evidence) -> Understood | None:
    """Return what a message means, ``None`` if no row knows it.

    With the words in which a node refuses to start a container it would refuse any other pod's.
    """
    refused = fault.reason in NOT_STARTED and not is_logged(said)
    places = (Where.OPERAND, Where.POD, Where.ANY_POD) if refused else (Where.OPERAND,)
    found = (understood(node, said.text, where) for where in places)
    return next((each for each in found if each), None)


def _handler(operand: Operand) -> str:
    """Return the RuntimeClass of a pod; a pod that names none has the default handler."""
    return class_of(spec_of(operand.pod or {})) or "default"


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
