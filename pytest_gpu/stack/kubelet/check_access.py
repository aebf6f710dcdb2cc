"""Whether a node can be seen at all, and whether its kubelet lives while its runtime serves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.checks import check
from pytest_gpu.errors import NotInEvidence, Unproven
from pytest_gpu.evidence import CommandResult, Door
from pytest_gpu.gpu_node import Node
from pytest_gpu.message_file import Where
from pytest_gpu.messages import meanings
from pytest_gpu.stack.distributions.detect import distribution_of
from pytest_gpu.stack.host.processes import Process
from pytest_gpu.stack.host.systemd_unit import service
from pytest_gpu.stack.kube.nodes import readiness
from pytest_gpu.stack.kube.objects import object_of
from pytest_gpu.stack.kubelet.check_pressure import evicted_for
from pytest_gpu.stack.kubelet.kubelet import kubelet_of
from pytest_gpu.stack.kubelet.serving import serving_runtime

NEEDED = ("pods", "runtimeclasses")
"""The resources without which no verdict on a node can be reached."""

TOGETHER = 60.0
"""Seconds between the kubelet's stop and containerd's start that are one and the same event:
systemd stops what is bound to a unit before it starts the unit again."""

_FORBIDDEN = re.compile(r"forbidden(?:.*cannot (?P<verb>\w+) resource \"?(?P<what>[\w/]+))?", re.I)
_INACTIVE = re.compile(r"Active: (?:inactive|failed) ")
_SINCE = re.compile(r"since \w{3} (?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC")
_STOPPED = re.compile(
    r"Active: (inactive|failed|deactivating)|\A(?>.*?Stopp(?:ing|ed) ).*[Kk]ubelet"
)
_CUT_OFF = re.compile(
    r"\A(?>.*?containerd\.sock).*(?:broken pipe|connection refused|connection reset)"
)
_BOUND = re.compile(r"\s*(Requires|BindsTo|PartOf)\s*=.*(containerd|docker)")


@check("kubelet/api-silent")
def api_silent(node: Node) -> None:
    """Check that Kubernetes shows the node and what every later layer asks for.

    Raises:
        NotInEvidence: it does not; the message says what is missing.
    """
    if _alone(node):
        return
    readiness(object_of(node))
    for resource in NEEDED:
        node.cluster.objects(resource)


def _alone(node: Node) -> bool:
    """Say whether the user asked for this machine alone, without Kubernetes."""
    return node.evidence.door.kind == "local" and not readiness(object_of(node)).status


@check("kubelet/no-door")
def no_door(node: Node) -> Finding | None:
    """Find a NotReady node that let nobody in, and a node that evicts every pod.

    Raises:
        Unproven: nobody was let in to a Ready node, or nobody tried, or a right is missing.
    """
    door = node.evidence.door
    if door.kind != "none":
        return None
    state = readiness(object_of(node))
    if denied := _FORBIDDEN.search(door.reason):
        why = "a policy of the cluster refuses it"
        if denied["verb"]:
            why = f"{denied['verb']} {denied['what']} is missing"
        raise Unproven(f"the node was not visited: {why} ({door.reason})")
    if finding := evicted_for(node, _told_by(door)):
        return finding
    if state.ready or not door.reason or "gpu-node-shell" in door.reason:
        raise Unproven(f"the node was not visited: {door.reason or 'nobody tried'}")
    told = meanings(state.message, Where.NODE_READY)
    return Finding.of(
        told[0].cause if told else "access/no-door",
        Evidence(source=f"node {node.name}", text=f"Ready={state.status}: {state.message}"),
        _told_by(door),
        reason=door.reason,
        message=state.message or state.reason,
    )


def _told_by(door: Door) -> Evidence:
    return Evidence(source="the suite's way into the node", text=door.reason)


@check("kubelet/kubelet-stopped")
def kubelet_stopped(node: Node) -> Finding | None:
    """Find a kubelet that is silent although the node's runtime serves.

    If the runtime does not serve either, the runtime is what has to be looked at first.

    Raises:
        NotInEvidence: it is not known which processes run.
        Unproven: no kubelet was recognised, and yet somebody reports the node Ready.
    """
    if _alone(node) or kubelet_of(node).running:
        return None
    state = readiness(object_of(node))
    if state.ready:
        raise Unproven("no process of the node was recognised as its kubelet; yet it is Ready")
    runtime = serving_runtime(node)
    if runtime is None:
        return None
    together = tuple(_with_containerd(node, runtime))
    cause = "access/kubelet-stopped-with-containerd" if together else "access/kubelet-stopped"
    return Finding.of(
        cause,
        Evidence(source=f"node {node.name}", text=f"Ready={state.status}: {state.message}"),
        Evidence(source="/proc", text="no kubelet runs"),
        Evidence(source="/proc", text=f"pid {runtime.pid} runs: {' '.join(runtime.argv)}"),
        *_status_lines(node),
        *together,
    )


def _status(node: Node) -> Iterator[CommandResult]:
    """Yield what systemd and its journal say about the kubelet's unit."""
    units = ("kubelet", distribution_of(node).kubelet_unit)
    for result in node.evidence.commands:
        asks = result.argv[:1] in {("systemctl",), ("journalctl",)}
        if asks and any(unit in word for word in result.argv[1:] for unit in units):
            yield result


def _status_lines(node: Node) -> Iterator[Evidence]:
    for result in _status(node):
        source = " ".join(result.argv)
        for number, line in enumerate(result.stdout.splitlines(), 1):
            if _STOPPED.search(line):
                yield Evidence(source=source, line=number, text=line.strip())


def _with_containerd(node: Node, runtime: Process) -> Iterator[Evidence]:
    """Yield what shows that the kubelet was stopped because containerd was restarted."""
    stopped = _stopped_at(node)
    if stopped and runtime.started and abs(runtime.started - stopped.timestamp()) <= TOGETHER:
        began = datetime.fromtimestamp(runtime.started, UTC)
        text = f"{runtime.program} started at {began:%Y-%m-%d %H:%M:%S} UTC, as the kubelet stopped"
        yield Evidence(source=f"/proc/{runtime.pid}/stat", text=text)
    yield from _cut_off(node)


def _stopped_at(node: Node) -> datetime | None:
    for result in _status(node):
        inactive = (line for line in result.stdout.splitlines() if _INACTIVE.search(line))
        for match in filter(None, map(_SINCE.search, inactive)):
            return datetime.fromisoformat(match["time"]).replace(tzinfo=UTC)
    return None


def _cut_off(node: Node) -> Iterator[Evidence]:
    """Yield the log line of the lost containerd connection right before systemd's stop."""
    for result in _status(node):
        last: Evidence | None = None
        for number, line in enumerate(result.stdout.splitlines(), 1):
            if "kubelet[" in line and _CUT_OFF.search(line):
                last = Evidence(source=" ".join(result.argv), line=number, text=_ends(line))
            elif "systemd[" in line and "Stopping" in line and last is not None:
                yield last
                return


def _ends(line: str) -> str:
    """Return both ends of a long log line: who speaks, and what went wrong in the end."""
    text = line.strip()
    return text if len(text) <= 200 else f"{text[:80]} … {text[-110:]}"


@check("kubelet/bound-unit")
def bound_unit(node: Node) -> Finding | None:
    """Find a kubelet unit that systemd stops with containerd: it lives until the next restart."""
    for path in _unit_files(node):
        try:
            text = (node.evidence.read(path) or b"").decode(errors="replace")
        except NotInEvidence:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if _BOUND.match(line):
                said = Evidence(source=path, line=number, text=line.strip())
                return Finding.of("access/kubelet-bound-to-containerd", said, file=path)
    return None


def _unit_files(node: Node) -> Iterator[str]:
    """Yield the files that systemd makes the kubelet's unit of."""
    yield from service(node.evidence, distribution_of(node).kubelet_unit).files
