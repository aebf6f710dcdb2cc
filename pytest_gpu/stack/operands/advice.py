"""What can be advised about an operand that does not come up: by the kind of trouble and owner."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files

from pytest_gpu.causes import Finding, fill_step
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.kube.objects import all_containers_of, spec_of, template_of
from pytest_gpu.stack.operands import trouble
from pytest_gpu.stack.operands.change import change_steps
from pytest_gpu.stack.operands.fault import Fault
from pytest_gpu.stack.operands.operands import Operand
from pytest_gpu.stack.operands.state import Container
from pytest_gpu.stack.operands.waits import DRIVER_VALIDATION
from pytest_gpu.stack.operands.words import refused
from pytest_gpu.steps import Step, Steps, read_step, typed
from pytest_gpu.text.shell import Command, command

UNFINISHED = "unfinished"
NOT_BEGUN = "not-begun"
DRIVER_AWAITED = "driver-awaited"
PODLESS = "podless"
ENDED = "ended"

_LOG_HELPS = frozenset(
    {
        trouble.CONFIGURATION,
        trouble.CRASH,
        trouble.IN_USE,
        trouble.KERNEL_PACKAGES,
        trouble.NETWORK,
        trouble.PATH,
        trouble.PERMISSION,
        trouble.RBAC,
        trouble.UNKNOWN,
        UNFINISHED,
        DRIVER_AWAITED,
    }
)


@cache
def table() -> Mapping[str, Sequence[Step]]:
    """Return the steps of each kind of trouble, with their placeholders."""
    text = files("pytest_gpu.stack.operands").joinpath("advice.toml").read_text(encoding="utf-8")
    steps = {kind: map(read_step, entries) for kind, entries in tomllib.loads(text).items()}
    return {kind: tuple(e for e in each if isinstance(e, Step)) for kind, each in steps.items()}


def kind_of(fault: Fault) -> str:
    """Return the kind of trouble that an operand is in."""
    if not fault.fails:
        return _unfinished(fault.container)
    if fault.operand.pod is None and not fault.said:
        return PODLESS
    if fault.operand.pod is not None and next(refused(fault.operand.pod), None):
        return ENDED
    return trouble.kind_of(fault.reason, fault.said)


def _unfinished(container: Container | None) -> str:
    """Return how far a pod has come that neither fails nor works."""
    if container is None or not container.has_run:
        return NOT_BEGUN
    return DRIVER_AWAITED if container.name == DRIVER_VALIDATION else UNFINISHED


def advice(node: Node, fault: Fault, values: Mapping[str, str]) -> Steps:
    """Return the steps that follow from what an operand says, its owner's place last.

    ``values`` fill the placeholders; those of its container are added here.
    """
    kind = kind_of(fault)
    steps = steps_for(kind, {**values, **_of_container(fault), "node": node.name})
    return (*steps, *_path(kind, fault), *_log(kind, fault), *change_steps(fault, kind))


def steps_for(entry: str, values: Mapping[str, str]) -> Steps:
    """Return the steps of one entry of the table, filled with these values."""
    filling = Finding.of(entry, **values)
    return tuple(fill_step(step, filling) for step in table()[entry])


def _of_container(fault: Fault) -> Mapping[str, str]:
    spec = _spec(fault.operand)
    name = fault.container.name if fault.container else ""
    containers = all_containers_of(spec)
    found = next((each for each in containers if each.get("name") == name), {})
    return {
        "container": name,
        "image": str(found.get("image") or ""),
        "account": str(spec.get("serviceAccountName") or "default"),
    }


def _spec(operand: Operand) -> Mapping[str, object]:
    return spec_of(operand.pod) if operand.pod else template_of(operand.controller or {})


def _path(kind: str, fault: Fault) -> Iterator[Step]:
    """Yield the command that shows the path that the decisive line names."""
    if kind in {trouble.PATH, trouble.PERMISSION} and (path := trouble.path_in(fault.said)):
        yield typed("node", command("ls -ld {path}", path=path))


def _log(kind: str, fault: Fault) -> Iterator[Step]:
    if kind in _LOG_HELPS and fault.operand.pod and fault.container:
        yield typed("cluster", log_command(fault))


def log_command(fault: Fault) -> Command:
    """Return the command that shows the log of the container that fails."""
    container = fault.container
    line = command(
        "kubectl logs {name} -n {namespace} -c {container} --tail=50",
        name=fault.operand.object_name,
        namespace=fault.operand.namespace,
        container=container.name if container else "",
    )
    previous = container is not None and container.restarts and container.state == "waiting"
    return command("{line} --previous", line=line) if previous else line
