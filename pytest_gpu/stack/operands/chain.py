"""Operands wait for each other; the first one that fails by itself is the culprit.

Source: assets/ of NVIDIA's gpu-operator (the init containers ``driver-validation`` and
``toolkit-validation`` of each operand), and what the operator and node feature discovery make:
DaemonSets, and the labels by which these select nodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_gpu.causes import Evidence
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.operands.excuses import driver_may_come, own_fault
from pytest_gpu.stack.operands.fault import UNTOLERATED, Fault, fault_of, podless, unfinished
from pytest_gpu.stack.operands.operands import Operand, cluster_operands, operands_of
from pytest_gpu.stack.operands.roles import DRIVER, NFD, OPERATOR, TOOLKIT, VALIDATOR
from pytest_gpu.stack.operands.waits import (
    DRIVER_VALIDATION,
    WAITS_FOR,
    awaits,
    awaits_validator,
    is_below,
    withholds,
)
from pytest_gpu.text.naming import WAITING, listed

MAKERS = (OPERATOR, NFD)
"""What makes operands for a node: they matter where there is none, not later."""

_SETS_UP = (DRIVER, TOOLKIT)
"""Whom all others must wait for, also if they do not fail and just never come up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Culprit:
    """The first operand of a chain that does not come up by itself.

    Attributes:
        fault: how it fails.
        waiting: the node's operands that wait for it; they are not causes.
    """

    fault: Fault
    waiting: tuple[Operand, ...]

    @property
    def role(self) -> str:
        """The culprit's role."""
        return self.fault.operand.role

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """Its state and words, then who waits for it."""
        return (*self.fault.evidence, *waiting_evidence(self.waiting))


def waiting_evidence(waiting: Sequence[Operand]) -> Iterator[Evidence]:
    """Yield who waits, with their states; nothing if nobody does."""
    if waiting:
        names = listed(f"{each.object_name} ({each.state})" for each in waiting)
        yield Evidence(source=WAITING, text=names)


def culprit_for(node: Node, role: str) -> Culprit | None:
    """Return why an operand of a role does not work on a node, ``None`` if nothing shows it.

    That is the operand itself if it fails by itself, else the nearest one that it waits for and
    that does; where there is no such operand, it is what should have made one.
    """
    if not here(node, role):
        return next(failing(node, *MAKERS), None)
    fault = _first_fault(node, role) or _first_unfinished(node, role)
    return _culprit(node, fault) if fault else None


def failing(node: Node, *roles: str) -> Iterator[Culprit]:
    """Yield the operands of these roles that fail by themselves, in the order of the chain.

    An operand that a taint keeps away is left out: often that is meant.
    """
    for role in roles:
        for operand in here(node, role):
            fault = own_fault(node, operand)
            if fault and fault.reason != UNTOLERATED:
                yield _culprit(node, fault)


def here(node: Node, role: str) -> tuple[Operand, ...]:
    """Return the operands of a role on a node; of the makers also those that serve all nodes."""
    found = list(known(lambda: operands_of(node)) or ())
    if role in MAKERS:
        names = {each.name for each in found}
        everywhere = known(lambda: cluster_operands(node.cluster)) or ()
        found += (each for each in everywhere if each.name not in names)
    return tuple(each for each in found if each.role == role)


def without_pod(node: Node, role: str) -> Culprit | None:
    """Return the operand of a role that selects a node and has no pod there, if there is one."""
    found = (each for each in here(node, role) if each.pod is None)
    return next((_culprit(node, podless(node, each)) for each in found), None)


def _first_fault(node: Node, role: str) -> Fault | None:
    mine = here(node, role)
    faults = (own_fault(node, each) for each in mine)
    if own := next((each for each in faults if each), None):
        return own
    if mine and all(each.ready for each in mine):
        return None
    above = (_first_fault(node, each) for each in WAITS_FOR[role])
    return next((each for each in above if each), None) or _withheld(node, mine)


def _withheld(node: Node, mine: Sequence[Operand]) -> Fault | None:
    """Return how the validator fails to prove that the toolkit works, if these wait for that."""
    if not any(map(awaits_validator, mine)):
        return None
    faults = (own_fault(node, each) for each in here(node, VALIDATOR))
    return next((e for e in faults if e and withholds(e.operand, e.container)), None)


def _first_unfinished(node: Node, role: str) -> Fault | None:
    """Return the first operand that neither fails nor waits, and has not come up."""
    mine = here(node, role)
    found = (unfinished(node, each) for each in mine if not _waits(node, each))
    if own := next((each for each in found if each), None):
        return own
    if mine and all(each.ready for each in mine):
        return None
    above = (_first_unfinished(node, each) for each in WAITS_FOR[role] if each in _SETS_UP)
    return next((each for each in above if each), None)


def _waits(node: Node, operand: Operand) -> bool:
    """Say whether an operand waits for another one: for a driver only if one may still come."""
    if fault_of(node, operand) is not None:
        return own_fault(node, operand) is None
    what = awaits(operand)
    return bool(what) and (what != DRIVER_VALIDATION or driver_may_come(node))


def _culprit(node: Node, fault: Fault) -> Culprit:
    waiting = waiting_for(node, fault.operand.role)
    if withholds(fault.operand, fault.container):
        there = known(lambda: operands_of(node)) or ()
        waiting += tuple(each for each in there if awaits_validator(each))
    return Culprit(fault=fault, waiting=waiting)


def waiting_for(node: Node, above: str) -> tuple[Operand, ...]:
    """Return the operands of a node that wait for those of a role and do not fail themselves."""
    return tuple(
        each
        for each in known(lambda: operands_of(node)) or ()
        if not each.ready and is_below(each.role, above) and own_fault(node, each) is None
    )
