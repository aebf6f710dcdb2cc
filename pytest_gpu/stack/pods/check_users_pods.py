"""Users' GPU pods in trouble on a node that works: noted, never silent.

Of users' pods only states, events and exit codes are read, never logs; a message with which a
container ended may be the end of its log.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.checks import check
from pytest_gpu.evidence import ClusterEvidence, KubeObject
from pytest_gpu.gpu_node import Node, cluster_fact
from pytest_gpu.known import known
from pytest_gpu.stack.kube.events import FRESH
from pytest_gpu.stack.kube.nodes import quantity
from pytest_gpu.stack.kube.objects import (
    condition_of,
    metadata,
    name_of,
    namespace_of,
    object_of,
    optional,
    path_of,
    spec_of,
    status_of,
    time_of,
)
from pytest_gpu.stack.kube.placement import unmet
from pytest_gpu.stack.kube.pods import gpu_requests, node_of
from pytest_gpu.stack.operands import words
from pytest_gpu.stack.operands.found import Key, controller_key
from pytest_gpu.stack.operands.object_events import events_of
from pytest_gpu.stack.operands.state import Container
from pytest_gpu.stack.operands.users import UsersPod, users_pods_of
from pytest_gpu.stack.pods.check_runtimeclasses import SHOWN, some
from pytest_gpu.stack.pods.start_refusal import refused_start

_CRASHES = frozenset({"CrashLoopBackOff", "Error", "OOMKilled"})
"""Reasons of a container that has run and failed; others say why it cannot start."""

_REFUSALS = ("UnexpectedAdmissionError", "TopologyAffinityError", "OutOfnvidia.com/")
"""How the reason begins with which a kubelet refuses a pod because of its devices."""


@check("pods/users-pods-crash", visit=False)
def crashing(node: Node) -> Finding | None:
    """Find users' pods on the node whose containers with a GPU crash now."""
    found = [(user, each) for user in living(node) for each in user.with_gpu if _crashes(each)]
    if not found:
        return None
    user, container = found[0]
    return Finding.of(
        "runtimeclass-pod/users-pods-crash",
        *(line for each in found[:SHOWN] for line in _crash_lines(*each)),
        pods=some([path_of(user.pod) for user, _ in found]),
        pod_name=name_of(user.pod),
        namespace=namespace_of(user.pod),
        container=container.name,
    )


@check("pods/users-pods-refused", visit=False)
def refused(node: Node) -> Finding | None:
    """Find users' pods that the kubelet has just refused because of their devices."""
    found = [user.pod for user in _users(node) if _is_refused(node, user.pod)]
    if not found:
        return None
    return Finding.of(
        "runtimeclass-pod/users-pods-refused",
        *(said for pod in found[:SHOWN] for said in words.refused(pod)),
        pods=some(list(map(path_of, found))),
        pod_name=name_of(found[0]),
        namespace=namespace_of(found[0]),
    )


@check("pods/resource-not-offered", visit=False)
def not_offered(node: Node) -> Finding | None:
    """Find pods that wait for a GPU resource that no node of the cluster offers."""
    offered = _offered(node.cluster)
    waiting = [each for each in _in_vain(node.cluster) if _waits_here(node, each[0])]
    if not waiting or not offered:
        return None
    return Finding.of(
        "runtimeclass-pod/resource-not-offered",
        *(line for pod, key in waiting[:SHOWN] for line in _waiting_lines(node, pod, key)),
        Evidence(source="kubectl get nodes", text=f"allocatable: {', '.join(sorted(offered))}"),
        resources=some(sorted({key for _, key in waiting})),
    )


def living(node: Node) -> Iterator[UsersPod]:
    """Yield those of them that have not failed as a whole."""
    return (each for each in _users(node) if status_of(each.pod).get("phase") != "Failed")


def _users(node: Node) -> Iterator[UsersPod]:
    """Yield the users' pods on a node that ask for a GPU and are not being deleted."""
    for each in known(lambda: users_pods_of(node)) or ():
        if gpu_requests(spec_of(each.pod)) and not metadata(each.pod).get("deletionTimestamp"):
            yield each


@cluster_fact
def _in_vain(cluster: ClusterEvidence) -> Sequence[tuple[KubeObject, str]]:
    """Return the pods without a node and each GPU resource of theirs that no node offers."""
    pods = sorted((p for p in optional(cluster, "pods") if node_of(p) is None), key=path_of)
    asked = ((pod, key) for pod in pods for key in gpu_requests(spec_of(pod)))
    return tuple((pod, key) for pod, key in asked if key not in _offered(cluster))


def _crashes(container: Container) -> bool:
    """Say whether a container ran and fails; one that could not start has other words."""
    return container.failed and container.reason in _CRASHES and not refused_start(container)


def _crash_lines(user: UsersPod, container: Container) -> Iterator[Evidence]:
    yield Evidence(source=user.name, text=f"is {user.state}")
    if (end := container.end) and end.exit is not None:
        text = f"ended with exit code {end.exit} ({end.reason or 'no reason'})"
        again = f", started again {container.restarts} times" if container.restarts > 1 else ""
        yield Evidence(source=f"{user.name}, container {container.name}", text=f"{text}{again}")


def _is_refused(node: Node, pod: KubeObject) -> bool:
    """Say whether a pod was refused a moment ago, and nothing has taken its place."""
    reason = str(status_of(pod).get("reason") or "")
    made = time_of(metadata(pod).get("creationTimestamp"))
    if not reason.startswith(_REFUSALS) or made is None or node.cluster.taken - made > FRESH:
        return False
    return controller_key(pod) not in _running(node.cluster)


@cluster_fact
def _running(cluster: ClusterEvidence) -> frozenset[Key]:
    """Return the controllers of pods of which one runs or has succeeded."""
    pods = optional(cluster, "pods")
    run = (pod for pod in pods if status_of(pod).get("phase") in {"Running", "Succeeded"})
    return frozenset(key for pod in run if (key := controller_key(pod)))


@cluster_fact
def _offered(cluster: ClusterEvidence) -> frozenset[str]:
    """Return the GPU resources that any node of the cluster offers."""
    found = (
        (key, amount)
        for each in optional(cluster, "nodes")
        for key, amount in (status_of(each).get("allocatable") or {}).items()
    )
    return frozenset(key for key, n in found if key.startswith("nvidia.com/") and quantity(n))


def _waits_here(node: Node, pod: KubeObject) -> bool:
    """Say whether a pod waits for a node and could be meant for this one."""
    if status_of(pod).get("phase") != "Pending":
        return False
    placed = condition_of(pod, "PodScheduled") or {}
    return placed.get("status") == "False" and not unmet(spec_of(pod), object_of(node))


def _waiting_lines(node: Node, pod: KubeObject, key: str) -> Sequence[Evidence]:
    state = Evidence(source=f"pod {path_of(pod)}", text=f"is Pending, asks for {key}")
    warnings = [each.evidence for each in events_of(node.cluster, pod) if each.fresh]
    return (state, *(tuple(words.unscheduled(pod)) or warnings[:1]))
