"""What a failing operand says about itself, best line first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from pytest_gpu.causes import Evidence
from pytest_gpu.evidence import KubeObject
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.kube.objects import path_of, status_of
from pytest_gpu.stack.operands.container_log import lines_of, plain
from pytest_gpu.stack.operands.decisive import decisive, shortened
from pytest_gpu.stack.operands.logs import Log, last_log, previous_log
from pytest_gpu.stack.operands.operands import Operand
from pytest_gpu.stack.operands.state import Condition, Container, conditions_in, containers_in
from pytest_gpu.stack.operands.trouble import STOPPED, kind_of_exit

# The kubelet's event of a crash loop: it repeats the state.
_STATE = re.compile(r"Back-off restarting failed container")


def words_of(node: Node, operand: Operand) -> tuple[Evidence, ...]:
    """Return what an operand says, best first: logs, messages, recent events, conditions.

    Of a container that fails, or is not ready, this is the line of its log that says why, and what
    the kubelet says of it. It explains the operand's state; it does not prove one.
    """
    events = tuple(e.evidence for e in operand.events if e.fresh and not _STATE.search(e.text))
    if operand.pod is None:
        # A controller that makes no pod tries again ever more seldom.
        last = tuple(each.evidence for each in operand.events[:1])
        return (*(events or last), *_of_conditions(operand.name, operand.conditions))
    said = (
        each
        for container in troubled(operand.containers)
        for each in (*_logged(node, operand.pod, container), *_told(operand.pod, container))
    )
    return _once(*refused(operand.pod), *said, *events, *unscheduled(operand.pod))


def _once(*words: Evidence) -> tuple[Evidence, ...]:
    return tuple({(each.source, each.text): each for each in words}.values())


def refused(pod: KubeObject) -> Iterator[Evidence]:
    """Yield why a pod has ended as a whole: evicted, or refused by the kubelet."""
    status = status_of(pod)
    if status.get("phase") == "Failed" and status.get("reason"):
        text = f"{status['reason']}: {status.get('message') or ''}".removesuffix(": ")
        yield Evidence(source=f"pod {path_of(pod)}", text=shortened(plain(text)))


def endings(pod: KubeObject) -> tuple[Evidence, ...]:
    """Return how those of a pod's containers ended that fail now: exit code, reason, restarts."""
    return tuple(
        Evidence(source=f"pod {path_of(pod)}, container {each.name}", text=each.ending)
        for each in containers_in(pod)
        if each.failed and each.ending
    )


def unscheduled(pod: KubeObject) -> Iterator[Evidence]:
    """Yield why the scheduler finds no node for a pod."""
    found = (each for each in conditions_in(pod) if each.kind == "PodScheduled")
    yield from _of_conditions(f"pod {path_of(pod)}", found)


def _of_conditions(of: str, conditions: Iterable[Condition]) -> Iterator[Evidence]:
    for each in conditions:
        if each.failed and each.message:
            text = shortened(plain(f"{each.reason}: {each.message}"))
            yield Evidence(source=f"condition {each.kind} of {of}", text=text)


def logged_by(node: Node, pod: KubeObject) -> tuple[Evidence, ...]:
    """Return the lines of a pod's logs that say most: of its troubled containers, else of all.

    Ask for operands only: logs of users' pods are not collected.
    """
    containers = containers_in(pod)
    main = tuple(each for each in containers if not each.init)
    asked = troubled(containers) or main
    return tuple(said for each in asked for said in _logged(node, pod, each))


def troubled(containers: Sequence[Container]) -> tuple[Container, ...]:
    """Return the containers that fail now; else those that run and are not ready."""
    failed = tuple(each for each in containers if each.failed)
    return failed or tuple(e for e in containers if e.state == "running" and not e.ready)


def _logged(node: Node, pod: KubeObject, container: Container) -> Iterator[Evidence]:
    """Yield the decisive line of the latest run that printed anything."""
    if not container.has_run:
        return
    for read in (last_log, previous_log):
        if said := decisive_of(
            read(node.evidence, pod, container), stopped=_was_stopped(container)
        ):
            yield said
            return


def _was_stopped(container: Container) -> bool:
    """Say whether something outside ended the run whose log is read."""
    end = container.end if container.failed else None
    return end is not None and kind_of_exit(end.exit) == STOPPED


def _told(pod: KubeObject, container: Container) -> Iterator[Evidence]:
    """Yield what the kubelet says: how a container ended, or why it cannot start."""
    where = f"pod {path_of(pod)}, container {container.name}"
    end = container.end if container.has_run else None
    if end and end.message and (said := decisive(lines_of(end.message))):
        yield Evidence(source=f"{where}, when it ended", text=shortened(said.text))
    elif container.message and not container.has_run:
        text = f"{container.reason}: {plain(container.message)}"
        yield Evidence(source=where, text=shortened(text))


def decisive_of(log: Log | None, *, stopped: bool = False) -> Evidence | None:
    """Return the line of a log that says why, ``None`` for one that is empty or unknown."""
    said = decisive(log.lines, stopped=stopped) if log else None
    if log is None or said is None:
        return None
    line = said.number if log.whole else None
    return Evidence(source=log.source, line=line, text=shortened(said.text))
