"""Users' pods that need a GPU of a node: their state, never their logs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_gpu.evidence import ClusterEvidence, KubeObject
from pytest_gpu.gpu_node import Node, cluster_fact, fact
from pytest_gpu.stack.kube.objects import all_containers_of, path_of, spec_of, status_of
from pytest_gpu.stack.kube.pod_state import kubectl_state
from pytest_gpu.stack.kube.pods import asks_for_cdi, gpu_requests, node_of, uses_gpu
from pytest_gpu.stack.operands.roles import role_of
from pytest_gpu.stack.operands.state import Container, containers_in


@dataclass(frozen=True, slots=True, kw_only=True)
class UsersPod:
    """A user's pod that needs a GPU.

    Attributes:
        pod: the pod.
        containers: its init containers and containers, in the order they start.
    """

    pod: KubeObject
    containers: tuple[Container, ...]

    @property
    def name(self) -> str:
        """Its name in evidence."""
        return f"pod {path_of(self.pod)}"

    @property
    def state(self) -> str:
        """What ``kubectl get pods`` shows."""
        return kubectl_state(self.pod)

    @property
    def with_gpu(self) -> tuple[Container, ...]:
        """The containers that ask for a GPU themselves, init containers too."""
        specs = all_containers_of(spec_of(self.pod))
        names = {str(each.get("name")) for each in specs if gpu_requests({"containers": [each]})}
        return tuple(each for each in self.containers if each.name in names)


@fact
def users_pods_of(node: Node) -> tuple[UsersPod, ...]:
    """Return the users' GPU pods of a node, without those that have succeeded.

    Raises:
        NotInEvidence: the pods were not read.
    """
    return tuple(
        UsersPod(pod=pod, containers=containers_in(pod))
        for pod in _by_node(node.cluster).get(node.name, ())
    )


@cluster_fact
def _by_node(cluster: ClusterEvidence) -> Mapping[str, Sequence[KubeObject]]:
    found: dict[str, list[KubeObject]] = {}
    for pod in sorted(cluster.objects("pods"), key=path_of):
        needs = uses_gpu(pod) or asks_for_cdi(pod)
        if needs and status_of(pod).get("phase") != "Succeeded" and not role_of(pod):
            found.setdefault(node_of(pod) or "", []).append(pod)
    return found
