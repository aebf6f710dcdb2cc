"""Operands wait for each other; the first one that fails by itself is the culprit.

Source: assets/ of NVIDIA's gpu-operator (the init containers ``driver-validation`` and
``toolkit-validation`` of each operand), and what the operator and node feature discovery make:
DaemonSets, and the labels by which these select nodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pytest_gpu.causes import Evidence
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.kube.objects import condition_of, time_of
from pytest_gpu.stack.operands.fault import (
    NOT_STARTED,
    UNTOLERATED,
    Fault,
    fault_of,
    podless,
    unfinished,
)
from pytest_gpu.stack.operands.operands import Operand, cluster_operands, operands_of
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
from pytest_gpu.stack.operands.state import has_run
from pytest_gpu.stack.operands.waits import (
    DRIVER_VALIDATION,
    TRIES,
    awaits,
    awaits_validator,
    is_validation,
    withholds,
)
from pytest_gpu.text.naming import WAITING, listed

WAITS_FOR: Mapping[str, tuple[str, ...]] = {
    NFD: (),
    OPERATOR: (),
    DRIVER: (),
    TOOLKIT: (DRIVER,),
    MIG_MANAGER: (TOOLKIT,),
    MPS: (TOOLKIT,),
    DEVICE_PLUGIN: (TOOLKIT, MIG_MANAGER, MPS),
    DRA: (TOOLKIT,),
    GFD: (TOOLKIT,),
    DCGM: (TOOLKIT,),
    VALIDATOR: (DEVICE_PLUGIN,),
}
"""Which operands on the node must work before one can: the nearest ones."""

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
            fault = _own(node, operand)
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


def _own(node: Node, operand: Operand) -> Fault | None:
    """Return how an operand fails by itself, ``None`` if what it waits for may be why."""
    fault = fault_of(node, operand)
    if fault is None or any(_excuses(node, fault, role) for role in _needs(fault)):
        return None
    return fault


def _needs(fault: Fault) -> tuple[str, ...]:
    """Return the roles that must work before a fault is one of its own.

    A validation tries what others have done. One that the node cannot start may need them as well.
    """
    if fault.container is None or not is_validation(fault.container):
        return ()
    if fault.reason in NOT_STARTED:
        return WAITS_FOR[fault.operand.role]
    return TRIES.get(fault.container.name, ()) if has_run(fault.container) else ()


def _excuses(node: Node, fault: Fault, role: str) -> bool:
    """Say whether operands of a role, or above, do not work, or did not when it was last tried."""
    end = fault.container.end if fault.container else None
    tried = time_of(end.since) if end else None
    return any(not each.ready or _later(each, tried) for each in _from(node, role))


def _later(operand: Operand, tried: datetime | None) -> bool:
    """Say whether an operand has become ready since a time; not if that is not known."""
    condition = condition_of(operand.pod, "Ready") if operand.pod else None
    ready = time_of(condition.get("lastTransitionTime")) if condition else None
    return tried is not None and ready is not None and ready > tried


def _from(node: Node, role: str) -> Iterator[Operand]:
    """Yield the operands of a role on a node, and of all roles that it waits for."""
    there = known(lambda: operands_of(node)) or ()
    return (each for each in there if each.role == role or _is_below(role, each.role))


def _first_fault(node: Node, role: str) -> Fault | None:
    mine = here(node, role)
    faults = (_own(node, each) for each in mine)
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
    faults = (_own(node, each) for each in here(node, VALIDATOR))
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
    what = awaits(operand)
    return bool(what) and (
        what != DRIVER_VALIDATION or not all(each.ready for each in _from(node, DRIVER))
    )


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
        if not each.ready and _is_below(each.role, above) and _own(node, each) is None
    )


def _is_below(role: str, above: str) -> bool:
    """Say whether operands of a role wait for those of another one, also by way of others."""
    return any(each == above or _is_below(each, above) for each in WAITS_FOR[role])
