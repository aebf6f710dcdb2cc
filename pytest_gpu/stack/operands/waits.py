"""Who waits for whom, and the init containers that wait or try what others have done.

Source: NVIDIA/gpu-operator at 05da5d1, assets/state-*/0500_daemonset.yaml and
cmd/nvidia-validator/main.go. ``driver-validation`` looks for a driver for ever; whatever it does
with one ends with 1 if that fails. The validator's others try once and end with 1, so they wait by
being started again. ``toolkit-validation`` of all other pods looks for a file that the validator's
one writes: it never ends with an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

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
from pytest_gpu.stack.operands.state import Container

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

DRIVER_VALIDATION = "driver-validation"
TOOLKIT_VALIDATION = "toolkit-validation"
TRIES: Mapping[str, tuple[str, ...]] = {
    TOOLKIT_VALIDATION: (TOOLKIT,),
    "cuda-validation": (TOOLKIT,),
    "plugin-validation": (DEVICE_PLUGIN,),
}
"""Whose work they try: until that is done, their errors are no failure of their own."""

_NAME = re.compile(r"[a-z-]{1,40}-validation")


def is_validation(container: Container) -> bool:
    """Say whether an init container waits for another operand or tries its work."""
    return container.init and _NAME.fullmatch(container.name) is not None


def stands_at(operand: Operand) -> Container | None:
    """Return the first container of a pod that is not done, ``None`` if there is none."""
    # A status may leave out the init containers, which are done once another container has begun.
    begun = any(each.state in {"running", "terminated"} for each in operand.containers)
    return next(
        (e for e in operand.containers if not (_is_done(e) or (begun and _unseen(e)))), None
    )


def _is_done(container: Container) -> bool:
    return container.ready or (container.state == "terminated" and container.exit == 0)


def _unseen(container: Container) -> bool:
    return container.init and not container.state


def awaits(operand: Operand) -> str:
    """Return the name of the validation that runs in a pod now, empty if none does."""
    at = stands_at(operand)
    return at.name if at and at.state == "running" and is_validation(at) else ""


def awaits_validator(operand: Operand) -> bool:
    """Say whether a pod waits for the file which says that the toolkit has been validated."""
    return operand.role != VALIDATOR and awaits(operand) == TOOLKIT_VALIDATION


def withholds(operand: Operand, container: Container | None) -> bool:
    """Say whether others wait because a container fails: a stage of the validator up to theirs."""
    stages = {DRIVER_VALIDATION, TOOLKIT_VALIDATION}
    return operand.role == VALIDATOR and container is not None and container.name in stages


def is_below(role: str, above: str) -> bool:
    """Say whether operands of a role wait for those of another one, also by way of others."""
    return any(each == above or is_below(each, above) for each in WAITS_FOR[role])
