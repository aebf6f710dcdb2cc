"""ResourceClaims that wait on a node: which, of which pod, and why."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_gpu.errors import NotInEvidence
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.kube.claims import WaitingClaim, waiting_claims_of
from tests.support.fake_evidence import FakeCluster, FakeNode, node_object

Object = dict[str, Any]
UNSCHEDULED = "0/3 nodes are available: 3 cannot allocate all claims."


def claim(name: str, request: Object, **status: Object) -> Object:
    """Return a claim with one request."""
    spec = {"devices": {"requests": [{"name": "gpu", **request}]}}
    return {"metadata": {"name": name, "namespace": "team"}, "spec": spec, "status": status}


def pod(name: str, entry: Object, *, made: str = "", **more: Any) -> Object:
    """Return a pod that is Pending and has one claim."""
    told = [{"name": entry["name"], "resourceClaimName": made}] if made else []
    condition = {"type": "PodScheduled", "status": "False", "message": UNSCHEDULED}
    status = {"phase": "Pending", "conditions": [condition], "resourceClaimStatuses": told}
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "team"},
        "spec": {"containers": [], "resourceClaims": [entry], **more.pop("spec", {})},
        "status": {**status, **more},
    }


def waiting(*pods: Object, claims: tuple[Object, ...] = ()) -> tuple[WaitingClaim, ...]:
    """Return the claims that wait on the node."""
    objects = {"nodes": [node_object(labels={"zone": "a"})], "pods": list(pods)}
    cluster = FakeCluster(
        nodes={"gpu-1": FakeNode()}, objects={**objects, "resourceclaims": list(claims)}
    )
    return waiting_claims_of(Node("gpu-1", cluster))


TEMPLATE = {"name": "gpu", "resourceClaimTemplateName": "one-gpu"}
SHARED = {"name": "gpu", "resourceClaimName": "shared"}


def test_a_claim_that_no_device_was_allocated_to_waits() -> None:
    """With the words of the pod's condition; the claim was made from a template."""
    exactly = {"exactly": {"deviceClassName": "gpu.nvidia.com"}}
    found = waiting(
        pod("train", TEMPLATE, made="train-gpu-x"), claims=(claim("train-gpu-x", exactly),)
    )
    assert found == (
        WaitingClaim(
            name="team/train-gpu-x",
            pod="team/train",
            classes=("gpu.nvidia.com",),
            exists=True,
            allocated=False,
            reason=UNSCHEDULED,
        ),
    )


def test_a_claim_with_devices_waits_until_its_pod_has_started() -> None:
    """On the node of the pod; v1beta1 has the class in the request."""
    bound = pod("infer", SHARED, spec={"nodeName": "gpu-1"}, conditions=[])
    mig = claim("shared", {"deviceClassName": "mig.nvidia.com"}, allocation={"devices": {}})
    [found] = waiting(bound, claims=(mig,))
    assert (found.name, found.allocated, found.classes) == (
        "team/shared",
        True,
        ("mig.nvidia.com",),
    )
    running = {"name": "c", "state": {"running": {}}}
    started = {**bound, "status": {"phase": "Running", "containerStatuses": [running]}}
    assert waiting(started, claims=(mig,)) == ()


def test_a_claim_that_does_not_exist_is_told_by_the_pods_name_for_it() -> None:
    """Nobody made one from the template; the other was never created."""
    [made, named] = waiting(pod("a", TEMPLATE), pod("b", SHARED))
    assert [(each.name, each.exists, each.classes) for each in (made, named)] == [
        ("gpu", False, ()),
        ("shared", False, ()),
    ]


def test_alternatives_are_all_told() -> None:
    """Any of them would do."""
    either = [{"deviceClassName": "gpu.nvidia.com"}, {"deviceClassName": "mig.nvidia.com"}]
    [found] = waiting(pod("a", SHARED), claims=(claim("shared", {"firstAvailable": either}),))
    assert found.classes == ("gpu.nvidia.com", "mig.nvidia.com")


@pytest.mark.parametrize(
    "spec", [{"nodeName": "gpu-2"}, {"nodeSelector": {"zone": "b"}}], ids=["bound", "selector"]
)
def test_what_waits_elsewhere_does_not_wait_here(spec: Object) -> None:
    """Bound to another node, or to labels that this one lacks."""
    assert waiting(pod("a", SHARED, spec=spec), claims=(claim("shared", {}),)) == ()
    assert waiting(pod("a", SHARED, spec={"nodeSelector": {"zone": "a"}})) != ()


def test_without_the_list_of_claims_nothing_is_known() -> None:
    """That none waits would be a guess."""
    cluster = FakeCluster(
        nodes={"gpu-1": FakeNode()}, objects={"nodes": [node_object()], "pods": []}
    )
    with pytest.raises(NotInEvidence):
        waiting_claims_of(Node("gpu-1", cluster))
