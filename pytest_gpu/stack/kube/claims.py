"""ResourceClaims that wait: of pods that have not started, and why. No check judges them yet.

Source: the API reference of resource.k8s.io, v1 and v1beta1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_gpu.evidence import ClusterEvidence, KubeObject
from pytest_gpu.gpu_node import Node, cluster_fact, fact
from pytest_gpu.stack.kube.events import why
from pytest_gpu.stack.kube.objects import node_object, path_of, spec_of, status_of
from pytest_gpu.stack.kube.placement import takes
from pytest_gpu.stack.kube.pod_state import ended, has_started
from pytest_gpu.stack.kube.pods import node_of


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingClaim:
    """A claim of a pod that has not started.

    Attributes:
        name: its namespace and name; of one that does not exist, what the pod calls it.
        pod: the pod's namespace and name.
        classes: the DeviceClasses that it asks for.
        exists: whether there is such a claim.
        allocated: whether devices were allocated to it.
        reason: the newest warning about the pod, else its conditions', else empty.
    """

    name: str
    pod: str
    classes: tuple[str, ...]
    exists: bool
    allocated: bool
    reason: str


@fact
def waiting_claims_of(node: Node) -> tuple[WaitingClaim, ...]:
    """Return the claims of pods on this node, and of those without a node that it could take.

    Whether it could is said by nodeSelector and affinity; taints are not checked.

    Raises:
        NotInEvidence: the pods, the claims or the nodes were not read.
    """
    known = node_object(node.cluster, node.name)
    return tuple(
        claim
        for pod, claims in _of_pods(node.cluster)
        if node_of(pod) == node.name or (node_of(pod) is None and takes(known, spec_of(pod)))
        for claim in claims
    )


@cluster_fact
def _of_pods(cluster: ClusterEvidence) -> Sequence[tuple[KubeObject, Sequence[WaitingClaim]]]:
    claims = {path_of(each): each for each in cluster.objects("resourceclaims")}
    pods = (pod for pod in cluster.objects("pods") if spec_of(pod).get("resourceClaims"))
    waiting = (pod for pod in pods if not ended(pod) and not has_started(pod))
    return [(pod, tuple(_claims(cluster, pod, claims))) for pod in sorted(waiting, key=path_of)]


def _claims(
    cluster: ClusterEvidence, pod: KubeObject, claims: Mapping[str, KubeObject]
) -> Iterator[WaitingClaim]:
    reason = why(cluster, pod)
    space, _, _ = path_of(pod).rpartition("/")
    for entry, name in _named(pod):
        claim = claims.get(f"{space}/{name}" if space else name)
        yield WaitingClaim(
            name=path_of(claim) if claim else name or entry,
            pod=path_of(pod),
            classes=tuple(_classes(claim)) if claim else (),
            exists=claim is not None,
            allocated=bool(claim and status_of(claim).get("allocation")),
            reason=reason,
        )


def _named(pod: KubeObject) -> Iterator[tuple[str, str]]:
    """Yield what a pod calls each claim, and its name, empty if none was made from the template."""
    statuses = status_of(pod).get("resourceClaimStatuses") or ()
    made = {str(each.get("name")): str(each.get("resourceClaimName") or "") for each in statuses}
    for each in spec_of(pod)["resourceClaims"]:
        entry = str(each.get("name"))
        yield entry, str(each.get("resourceClaimName") or made.get(entry, ""))


def _classes(claim: KubeObject) -> Iterator[str]:
    requests = (spec_of(claim).get("devices") or {}).get("requests") or ()
    for request in requests:
        for each in _alternatives(request):
            if each.get("deviceClassName"):
                yield str(each["deviceClassName"])


def _alternatives(request: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the devices one of which a request asks for; v1beta1 has them in the request."""
    return request.get("firstAvailable") or (request.get("exactly") or request,)
