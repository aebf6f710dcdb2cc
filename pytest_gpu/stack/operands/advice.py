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
from pytest_gpu.stack.operands.host_path import mounts_of, on_host
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
        trouble.ADDRESS,
        trouble.COMPILER,
        trouble.CONFIGURATION,
        trouble.CRASH,
        trouble.IN_USE,
        trouble.KERNEL_PACKAGES,
        trouble.NETWORK,
        trouble.NVML,
        trouble.PACKAGES,
        trouble.PATH,
        trouble.PERMISSION,
        trouble.RBAC,
        trouble.SILENT,
        trouble.STOPPED,
        trouble.UNKNOWN,
        UNFINISHED,
        DRIVER_AWAITED,
    }
)


@cache
def table() -> Mapping[str, Sequence[Step]]:
    """Return the steps of each kind of trouble, with their placeholders."""
    return read_table("pytest_gpu.stack.operands", "advice.toml")


def read_table(package: str, name: str) -> Mapping[str, Sequence[Step]]:
    """Return the steps by kind from a file of a package, with their placeholders."""
    text = files(package).joinpath(name).read_text(encoding="utf-8")
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
    kind = trouble.kind_of(fault.reason, fault.said)
    if kind == trouble.IMAGE:
        return trouble.kind_of_pull("\n".join(each.text for each in fault.words))
    return _kind_of_end(fault) if kind == trouble.UNKNOWN else kind


def _kind_of_end(fault: Fault) -> str:
    """Return what the end of a container tells whose words tell nothing."""
    container = fault.container
    end = container.end if container and container.has_run else None
    kind = trouble.kind_of_exit(end.exit if end else None)
    return trouble.SILENT if kind == trouble.UNKNOWN and end and not fault.said else kind


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
        "registry": _registry(str(found.get("image") or "")),
        "account": str(spec.get("serviceAccountName") or "default"),
        "missing": " ".join(trouble.missing_in(fault.said) or ()),
    }


def _registry(image: str) -> str:
    """Return the host in an image's name; names without one are Docker Hub's."""
    host, _, rest = image.partition("/")
    return host if rest and ("." in host or ":" in host) else "registry-1.docker.io"


def _spec(operand: Operand) -> Mapping[str, object]:
    return spec_of(operand.pod) if operand.pod else template_of(operand.controller or {})


def _path(kind: str, fault: Fault) -> Iterator[Step]:
    """Yield the command that shows, on the host, the path that the decisive line names."""
    if kind in {trouble.PATH, trouble.PERMISSION} and (path := _host_path(fault)):
        yield typed("node", command("ls -ld {path}", path=path))


def _host_path(fault: Fault) -> str | None:
    path = trouble.path_in(fault.said)
    if path is None or fault.container is None:
        return path
    specs = (_spec(fault.operand), template_of(fault.operand.controller or {}))
    mounts = (mounts_of(spec, fault.container.name) for spec in specs)
    return on_host(path, next(filter(None, mounts), {}))


def _log(kind: str, fault: Fault) -> Iterator[Step]:
    helps = kind in _LOG_HELPS and fault.operand.pod
    if helps and fault.container and fault.container.has_run:
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
