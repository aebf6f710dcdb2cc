"""Whether an operand fails by itself, or because of what it waits for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.kube.objects import condition_of, spec_of, time_of
from pytest_gpu.stack.kube.pods import asks_for_cdi
from pytest_gpu.stack.kube.runtimeclass import class_of
from pytest_gpu.stack.operands.fault import NOT_STARTED, Fault, fault_of
from pytest_gpu.stack.operands.operands import Operand, operands_of
from pytest_gpu.stack.operands.roles import DRIVER, VALIDATOR
from pytest_gpu.stack.operands.waits import (
    DRIVER_VALIDATION,
    TOOLKIT_VALIDATION,
    TRIES,
    WAITS_FOR,
    is_below,
    is_validation,
)

_LOADED = "/proc/driver/nvidia/version"
"""A file of the loaded kernel module."""


def own_fault(node: Node, operand: Operand) -> Fault | None:
    """Return how an operand fails by itself, ``None`` if what it waits for may be why."""
    fault = fault_of(node, operand)
    return fault if fault and not _is_excused(node, fault) else None


def _is_excused(node: Node, fault: Fault) -> bool:
    at = fault.container
    if at is None or not is_validation(at):
        return False
    if at.name == DRIVER_VALIDATION and at.has_run:
        return _lacks_driver(node)
    return _has_no_class(fault) or any(_excuses(node, fault, role) for role in _needs(fault))


def _lacks_driver(node: Node) -> bool:
    """Say whether the node is known to have no driver, which its own layer tells."""
    return known(lambda: node.evidence.read(_LOADED) is None) is True


def _has_no_class(fault: Fault) -> bool:
    """Say whether nothing asks for GPUs for a container that looks for what the toolkit injects.

    The operator gives its validator a RuntimeClass or an annotation: without, that is the fault.
    """
    pod, at = fault.operand.pod or {}, fault.container
    looks = at is not None and at.name == TOOLKIT_VALIDATION and fault.operand.role == VALIDATOR
    return looks and not class_of(spec_of(pod)) and not asks_for_cdi(pod)


def driver_may_come(node: Node) -> bool:
    """Say whether a wait for the driver makes sense: there is none yet, or its pod is not ready."""
    return _lacks_driver(node) or not all(each.ready for each in _from(node, DRIVER))


def _needs(fault: Fault) -> tuple[str, ...]:
    """Return the roles that must work before a fault is one of its own.

    A validation tries what others have done. One that the node cannot start may need them as well.
    """
    if fault.reason in NOT_STARTED:
        return WAITS_FOR[fault.operand.role]
    at = fault.container
    return TRIES.get(at.name, ()) if at and at.has_run else ()


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
    return (each for each in there if each.role == role or is_below(role, each.role))
