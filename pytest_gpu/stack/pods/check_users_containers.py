"""Users' GPU pods on a node whose containers cannot be started, or do not end: noted.

The words are those of the kubelet and the runtime; logs of users' pods are not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.checks import check
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.kube.nodes import readiness
from pytest_gpu.stack.kube.objects import (
    metadata,
    name_of,
    namespace_of,
    object_of,
    path_of,
    time_of,
)
from pytest_gpu.stack.operands.object_events import events_of
from pytest_gpu.stack.operands.users import UsersPod, users_pods_of
from pytest_gpu.stack.pods.check_runtimeclasses import SHOWN, some
from pytest_gpu.stack.pods.check_users_pods import living
from pytest_gpu.stack.pods.start_refusal import refused_start

LATE = timedelta(minutes=5)
"""How long a pod's containers may run on when their time to end is over.

The kubelet then kills them at once, and tries it again each few seconds.
"""


@check("pods/users-pods-not-started", visit=False)
def not_started(node: Node) -> Finding | None:
    """Find users' pods on the node of which a container with a GPU cannot be started."""
    found = [
        (user, each.name, said)
        for user in living(node)
        for each in user.with_gpu
        if (said := refused_start(each))
    ]
    if not found:
        return None
    return Finding.of(
        "runtimeclass-pod/users-pods-not-started",
        *(line for each in found[:SHOWN] for line in _refusal(*each)),
        container=found[0][1],
        **_pods([user for user, _, _ in found]),
    )


def _refusal(user: UsersPod, container: str, said: str) -> Iterator[Evidence]:
    yield Evidence(source=f"{user.name}, container {container}", text=said)
    yield Evidence(source=user.name, text=f"is {user.state}")


def _pods(users: list[UsersPod]) -> dict[str, str]:
    """Return the values that name pods: all of them, and the first one."""
    first = users[0].pod
    names = some(list(dict.fromkeys(path_of(each.pod) for each in users)))
    return {"pods": names, "pod_name": name_of(first), "namespace": namespace_of(first)}


@check("pods/users-pods-do-not-end", visit=False)
def not_ending(node: Node) -> Finding | None:
    """Find users' deleted GPU pods whose containers still run, on a node that is Ready."""
    if not readiness(object_of(node)).ready:
        return None
    found = [each for each in known(lambda: users_pods_of(node)) or () if _is_overdue(node, each)]
    if not found:
        return None
    return Finding.of(
        "runtimeclass-pod/users-pods-do-not-end",
        *(line for user in found[:SHOWN] for line in _late_lines(node, user)),
        **_pods(found),
    )


def _is_overdue(node: Node, user: UsersPod) -> bool:
    """Say whether a pod that should have ended still runs, and so holds its GPU."""
    runs = any(each.state == "running" for each in user.with_gpu)
    return runs and (_late_by(node, user) or LATE) > LATE


def _late_by(node: Node, user: UsersPod) -> timedelta | None:
    """Return the time since a deleted pod should have ended, its grace period included."""
    until = time_of(metadata(user.pod).get("deletionTimestamp"))
    return node.cluster.taken - until if until else None


def _late_lines(node: Node, user: UsersPod) -> Iterator[Evidence]:
    minutes = int((_late_by(node, user) or LATE).total_seconds() // 60)
    running = ", ".join(each.name for each in user.containers if each.state == "running")
    text = f"should have ended {minutes} min ago, but still runs: {running}"
    yield Evidence(source=user.name, text=text)
    warnings = (each for each in events_of(node.cluster, user.pod) if each.fresh)
    yield from (e.evidence for e in warnings if e.reason == "FailedKillPod")
