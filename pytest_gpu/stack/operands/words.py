"""What a failing operand says about itself, best line first."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from pytest_gpu.causes import Evidence
from pytest_gpu.evidence import KubeObject
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.kube.objects import path_of
from pytest_gpu.stack.operands.container_log import lines_of, plain
from pytest_gpu.stack.operands.decisive import decisive, shortened
from pytest_gpu.stack.operands.logs import Log, last_log, previous_log
from pytest_gpu.stack.operands.operands import Operand
from pytest_gpu.stack.operands.state import Container


def words_of(node: Node, operand: Operand) -> tuple[Evidence, ...]:
    """Return what an operand says, best first: logs, messages, then recent events.

    Of a container that fails, or is not ready, this is the line of its log that says why, and what
    the kubelet says of it. It explains the operand's state; it does not prove one.
    """
    found = [*_of_containers(node, operand), *_of_events(operand)]
    return tuple({(each.source, each.text): each for each in found}.values())


def _of_containers(node: Node, operand: Operand) -> Iterator[Evidence]:
    if operand.pod is None:
        return
    failed = [each for each in operand.containers if each.failed]
    for container in failed or [each for each in operand.containers if _is_unready(each)]:
        yield from _of_container(node, operand.pod, container)


def _is_unready(container: Container) -> bool:
    return container.state == "running" and not container.ready


def _of_container(node: Node, pod: KubeObject, container: Container) -> Iterator[Evidence]:
    where = f"pod {path_of(pod)}, container {container.name}"
    if _has_run(container):
        yield from islice(_logged(node, pod, container), 1)
        end = container.end
        if end and end.message and (said := decisive(lines_of(end.message))):
            yield Evidence(source=f"{where}, when it ended", text=shortened(said.text))
    elif container.message:
        text = f"{container.reason}: {plain(container.message)}"
        yield Evidence(source=where, text=shortened(text))


def _has_run(container: Container) -> bool:
    """Say whether its latest run is what it says: one that cannot be created has not run."""
    return container.state != "waiting" or container.reason == "CrashLoopBackOff"


def _logged(node: Node, pod: KubeObject, container: Container) -> Iterator[Evidence]:
    for read in (last_log, previous_log):
        if said := decisive_of(read(node.evidence, pod, container)):
            yield said


def decisive_of(log: Log | None) -> Evidence | None:
    """Return the line of a log that says why, ``None`` for one that is empty or unknown."""
    said = decisive(log.lines) if log else None
    if log is None or said is None:
        return None
    line = said.number if log.whole else None
    return Evidence(source=log.source, line=line, text=shortened(said.text))


def _of_events(operand: Operand) -> Iterator[Evidence]:
    yield from (each.evidence for each in operand.events if each.fresh)
