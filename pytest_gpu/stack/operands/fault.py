"""How an operand fails by itself, unlike one that works, starts, or waits for another one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pytest_gpu.causes import Evidence
from pytest_gpu.evidence import KubeObject
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.kube.nodes import show_taint, taints, tolerates
from pytest_gpu.stack.kube.objects import (
    condition_of,
    metadata,
    object_of,
    status_of,
    template_of,
    time_of,
)
from pytest_gpu.stack.operands.operands import Operand, lacking
from pytest_gpu.stack.operands.state import Container
from pytest_gpu.stack.operands.waits import stands_at
from pytest_gpu.stack.operands.words import endings, words_of
from pytest_gpu.text.duration import lasting

_BEFORE_START = frozenset({"FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"})
"""Warnings about a pod whose containers cannot be made yet."""

NOT_STARTED = frozenset(
    {
        "FailedCreatePodSandBox",
        "CreateContainerError",
        "RunContainerError",
        "StartError",
        "ContainerCannotRun",
    }
)
"""Reasons of a container that the node could not start."""

UNTOLERATED = "Untolerated"
"""The reason of an operand that a taint keeps away: often that is meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """An operand that does not come up.

    Attributes:
        operand: what does not come up.
        container: the container that fails, ``None`` if there is no single one.
        reason: one word of Kubernetes, such as ``ImagePullBackOff``; may be empty.
        evidence: its state, how it ended, then its own words.
        words: its own words, best first.
        fails: whether it fails; else it has neither failed nor come up.
    """

    operand: Operand
    container: Container | None
    reason: str
    evidence: tuple[Evidence, ...]
    words: tuple[Evidence, ...] = ()
    fails: bool = True

    @property
    def said(self) -> str:
        """What it says best, empty if it says nothing."""
        return self.words[0].text if self.words else ""


def fault_of(node: Node, operand: Operand) -> Fault | None:
    """Return how an operand fails, ``None`` if it does not.

    It is not known here whether that is because of what it waits for.
    """
    if operand.ready:
        return None
    if operand.pod is None:
        return _without_pod(node, operand)
    if metadata(operand.pod).get("deletionTimestamp"):
        return None
    found = _failing(operand) or _not_begun(operand) or _refused(operand.pod)
    return found and _fault(node, operand, *found)


def unfinished(node: Node, operand: Operand) -> Fault | None:
    """Return an operand that has not come up as a fault, whether or not it waits for another one.

    An old warning about it explains that.
    """
    if operand.pod is None or operand.ready:
        return None
    last = (each.evidence for each in operand.events if each.about == operand.name)
    fault = _fault(node, operand, stands_at(operand), "", *tuple(last)[:1])
    told = replace(fault.evidence[0], text=f"{state_text(operand)}{_since(node, operand)}")
    return replace(fault, fails=False, evidence=(told, *fault.evidence[1:]))


def _since(node: Node, operand: Operand) -> str:
    """Return how long ago the container started that keeps a pod from being ready, if known."""
    at = stands_at(operand)
    begun = time_of(at.since) if at else None
    if at is None or begun is None:
        return ""
    return f"; {at.name} started {lasting(node.cluster.taken - begun)} ago"


def podless(node: Node, operand: Operand) -> Fault:
    """Return a controller that selects a node and has no pod there as a fault.

    That it should have one must be known otherwise; what is said of it, however old, explains it.
    """
    reason = operand.events[0].reason if operand.events else ""
    return _fault(node, operand, None, reason)


Where = tuple[Container | None, str]


def _failing(operand: Operand) -> Where | None:
    """Return the first container that fails, and why."""
    failing = operand.failing
    if failing is None:
        return None
    reason = failing.reason
    if reason in {"CrashLoopBackOff", "Error"} and failing.end and failing.end.reason:
        reason = failing.end.reason
    return failing, reason


def _not_begun(operand: Operand) -> Where | None:
    """Return why the containers of a pod are not made, by a recent warning."""
    if any(each.state in {"running", "terminated"} for each in operand.containers):
        return None
    event = next((e for e in operand.events if e.fresh and e.reason in _BEFORE_START), None)
    return (None, event.reason) if event else None


def _refused(pod: KubeObject) -> Where | None:
    """Return why the scheduler or the kubelet refuses a pod."""
    status = status_of(pod)
    if status.get("phase") == "Failed":
        return None, str(status.get("reason") or "Failed")
    placed = condition_of(pod, "PodScheduled") or {}
    if placed.get("status") == "False":
        return None, str(placed.get("reason") or "Unschedulable")
    return None


def _without_pod(node: Node, operand: Operand) -> Fault | None:
    """Return why a controller has no pod here, ``None`` if nothing shows that it should."""
    if repelled := tuple(_repelled(node, operand)):
        return _fault(node, operand, None, UNTOLERATED, *repelled)
    refused = next((each for each in operand.events if each.reason == "FailedCreate"), None)
    if lacking(operand.controller or {}) or (refused and refused.fresh):
        return _fault(node, operand, None, refused.reason if refused else "")
    return None


def _repelled(node: Node, operand: Operand) -> Iterator[Evidence]:
    """Yield the taints of the node that keep a controller's pods away."""
    template = template_of(operand.controller or {})
    for taint in known(lambda: tuple(taints(object_of(node)))) or ():
        own = str(taint.get("key", "")).startswith("node.kubernetes.io/")
        hard = taint.get("effect") in {"NoSchedule", "NoExecute"} and not own
        if hard and not tolerates(template.get("tolerations") or (), taint):
            yield Evidence(
                source=f"node {node.name}", text=f"untolerated taint {show_taint(taint)}"
            )


_SHOWN = 4
"""Lines of an operand's own words that are shown."""


def _fault(
    node: Node,
    operand: Operand,
    container: Container | None,
    reason: str,
    *more: Evidence,
) -> Fault:
    words = tuple(dict.fromkeys((*words_of(node, operand), *more)))[:_SHOWN]
    ended = endings(operand.pod) if operand.pod else ()
    return Fault(
        operand=operand,
        container=container,
        reason=reason,
        evidence=(shown_state(operand), *ended, *words),
        words=words,
    )


def shown_state(operand: Operand) -> Evidence:
    """Return an operand's state as evidence."""
    return Evidence(source=operand.name, text=state_text(operand))


def state_text(operand: Operand) -> str:
    """Return an operand's state as it follows its name: ``is Init:Error``, ``has no pod``."""
    if operand.pod is None:
        return f"{operand.state}{' on this node' if operand.kind == 'daemonset' else ''}"
    if operand.state == "Running":
        return "is Running, but not ready"
    return f"is {operand.state}"
