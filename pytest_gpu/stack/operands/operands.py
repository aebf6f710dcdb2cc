"""What the workloads of the GPU stack are and say: one kind of fact for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pytest_gpu.evidence import ClusterEvidence, KubeObject
from pytest_gpu.gpu_node import Node, cluster_fact, fact
from pytest_gpu.stack.kube.objects import (
    name_of,
    namespace_of,
    optional,
    path_of,
    spec_of,
    status_of,
)
from pytest_gpu.stack.kube.placement import fitting
from pytest_gpu.stack.kube.pod_state import ended, kubectl_state
from pytest_gpu.stack.operands.found import (
    CONTROLLERS,
    controller_key,
    is_maker,
    maker_of,
    named,
    pods_by_node,
)
from pytest_gpu.stack.operands.object_events import Event, events_of
from pytest_gpu.stack.operands.roles import ROLES, role_of
from pytest_gpu.stack.operands.state import (
    Condition,
    Container,
    conditions_in,
    containers_in,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operand:
    """A workload of the GPU stack: one pod of it, or that it has none.

    Attributes:
        role: what it does, one of ``roles.ROLES``.
        pod: its pod, ``None`` if its controller has made none.
        controller: the DaemonSet, Deployment or other object that makes its pods, if it is known.
        owner: what made the controller or the pod, such as the ClusterPolicy: what must be changed
            to change them for good. An installation by Helm has none: ``operator.helm_release``.
        containers: its init containers and containers, in the order they start.
        events: warnings about the pod, then about its controller, each newest first.
        conditions: those of the pod, or of the controller if there is no pod.
    """

    role: str
    pod: KubeObject | None
    controller: KubeObject | None
    owner: KubeObject | None
    containers: tuple[Container, ...]
    events: tuple[Event, ...]
    conditions: tuple[Condition, ...]

    @property
    def name(self) -> str:
        """Its name in evidence: the pod, else its controller."""
        if self.pod is not None:
            return f"pod {path_of(self.pod)}"
        return named(self.controller) if self.controller is not None else self.role

    @property
    def kind(self) -> str:
        """The kind of that object as kubectl takes it: ``pod``, ``daemonset``."""
        return "pod" if self.pod is not None else _kind(self._object).lower()

    @property
    def object_name(self) -> str:
        """The name of that object in its namespace."""
        return name_of(self._object)

    @property
    def namespace(self) -> str:
        """The namespace of that object."""
        return namespace_of(self._object)

    @property
    def _object(self) -> KubeObject:
        return self.pod or self.controller or {}

    @property
    def state(self) -> str:
        """What ``kubectl get pods`` shows, or that there is no pod."""
        return kubectl_state(self.pod) if self.pod is not None else "has no pod"

    @property
    def failing(self) -> Container | None:
        """The first container that cannot start or has ended with an error, now."""
        return next((each for each in self.containers if each.failed), None)

    @property
    def ready(self) -> bool:
        """Whether it works now: all its containers are ready, or it has done its work."""
        if self.pod is None:
            return False
        if ended(self.pod):
            return status_of(self.pod).get("phase") == "Succeeded"
        main = [each for each in self.containers if not each.init]
        return bool(main) and all(each.ready for each in main)


@fact
def operands_of(node: Node) -> tuple[Operand, ...]:
    """Return the operands of a node, in the order in which they wait for each other.

    A DaemonSet that selects this node and has no pod on it is one without a pod.

    Raises:
        NotInEvidence: the pods were not read.
    """
    cluster = node.cluster
    there = pods_by_node(cluster).get(node.name, ())
    found = [_of_pod(cluster, role, pod) for role, pod in there]
    made = {path_of(each.controller) for each in found if each.controller is not None}
    missing = (each for each in fitting(cluster, node.name) if path_of(each) not in made)
    found += (_without_pod(cluster, role, each) for each in missing if (role := role_of(each)))
    return _sorted(found)


@cluster_fact
def cluster_operands(cluster: ClusterEvidence) -> tuple[Operand, ...]:
    """Return the operands that belong to no node: Deployments and the like, with their pods.

    And those of them that have made fewer pods than they should, without a pod.

    Raises:
        NotInEvidence: the pods were not read.
    """
    found = []
    for pods in pods_by_node(cluster).values():
        for role, pod in pods:
            operand = _of_pod(cluster, role, pod)
            if operand.controller is not None and _kind(operand.controller) != "DaemonSet":
                found.append(operand)
    for each in _controllers(cluster):
        if _kind(each) != "DaemonSet" and (made := role_of(each)) and lacking(each):
            found.append(_without_pod(cluster, made, each))
    return _sorted(found)


def _controllers(cluster: ClusterEvidence) -> Iterator[KubeObject]:
    """Yield what makes pods and is made by nothing that does so itself."""
    for resource in CONTROLLERS:
        for each in optional(cluster, resource):
            key = controller_key(each)
            if key is None or key[0] not in CONTROLLERS.values():
                yield each


def lacking(controller: KubeObject) -> int:
    """Return how many pods a controller should have and does not have."""
    status, spec = status_of(controller), spec_of(controller)
    if _kind(controller) == "DaemonSet":
        wanted = status.get("desiredNumberScheduled") or 0
        return max(0, int(wanted) - int(status.get("currentNumberScheduled") or 0))
    if _kind(controller) == "Job" or not status:
        return 0
    wanted = 1 if spec.get("replicas") is None else spec["replicas"]
    return max(0, int(wanted) - int(status.get("replicas") or 0))


def _of_pod(cluster: ClusterEvidence, role: str, pod: KubeObject) -> Operand:
    maker = maker_of(cluster, pod)
    # The operator makes some pods itself.
    controller = maker if maker is not None and is_maker(maker) else None
    above = events_of(cluster, controller) if controller is not None else ()
    return Operand(
        role=role,
        pod=pod,
        controller=controller,
        owner=maker_of(cluster, controller) if controller is not None else maker,
        containers=containers_in(pod),
        events=(*events_of(cluster, pod), *above),
        conditions=conditions_in(pod),
    )


def _without_pod(cluster: ClusterEvidence, role: str, controller: KubeObject) -> Operand:
    return Operand(
        role=role,
        pod=None,
        controller=controller,
        owner=maker_of(cluster, controller),
        containers=(),
        events=events_of(cluster, controller),
        conditions=conditions_in(controller),
    )


def _kind(thing: KubeObject) -> str:
    return str(thing.get("kind"))


def _sorted(found: list[Operand]) -> tuple[Operand, ...]:
    return tuple(sorted(found, key=lambda each: (ROLES.index(each.role), each.name)))
