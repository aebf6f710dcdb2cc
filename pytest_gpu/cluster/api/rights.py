"""The rights that a run needs, what each is for, and which of them are missing."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """One right: a verb on a resource, in one namespace or (``namespace`` empty) in all.

    ``only`` is the name of a single object, empty for all. ``use`` says what the right is for, and
    what cannot be decided without it.
    """

    verb: str
    resource: str
    group: str = ""
    namespace: str = ""
    only: str = ""
    use: str = ""

    def __str__(self) -> str:
        where = f"in the namespace {self.namespace}" if self.namespace else "in the whole cluster"
        return f"{self.verb} {self.name} {self.only or where}"

    @property
    def name(self) -> str:
        """The resource as RBAC writes it, with the group after a dot."""
        return f"{self.resource}.{self.group}" if self.group else self.resource

    @property
    def denial(self) -> str:
        """What the API server would answer, in its own words."""
        where = f'in the namespace "{self.namespace}"' if self.namespace else "at the cluster scope"
        return (
            f'forbidden: this user cannot {self.verb} resource "{self.resource}" in API group '
            f'"{self.group}" {where}'
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """The rights that were asked about, and those of them that are missing."""

    missing: tuple[Right, ...]

    @property
    def to_visit(self) -> Right | None:
        """The first missing right that visits to nodes through pods need."""
        found = (r for r in self.missing if r.namespace and (r.verb, r.resource) in _VISITING)
        return next(found, None)


_VISITING = {
    ("create", "pods"),
    ("list", "pods"),
    ("get", "pods/exec"),
}


def reading() -> tuple[Right, ...]:
    """Return the rights to read what Kubernetes knows; each list itself shows whether it is given.

    A cluster without the API group of a resource needs no right to list it.
    """
    waits = "why a workload has no pods: its conditions"
    lists = (
        ("nodes", "", "finding GPU nodes: without it nothing can be tested"),
        ("pods", "", "every layer: which pods use GPUs, and whether they start"),
        ("runtimeclasses", "node.k8s.io", "runtimeclass-pod: whether RuntimeClass objects fit"),
        ("daemonsets", "apps", "runtime, device-plugin: how toolkit and plugin were set up"),
        ("deployments", "apps", "fixes with the names of this operator's Helm release"),
        ("replicasets", "apps", waits),
        ("statefulsets", "apps", waits),
        ("jobs", "batch", waits),
        ("events", "", "why a pod does not start"),
        ("clusterpolicies", "nvidia.com", "the GPU operator's values"),
        ("nvidiadrivers", "nvidia.com", "what the GPU operator was told about drivers"),
        ("resourceslices", "resource.k8s.io", "GPU nodes of NVIDIA's DRA driver"),
        ("resourceclaims", "resource.k8s.io", "which claims wait for a GPU of the DRA driver"),
    )
    return tuple(
        Right(verb="list", resource=resource, group=group, use=use)
        for resource, group, use in lists
    )


def refused(resources: Collection[str]) -> tuple[Right, ...]:
    """Return the rights that are missing where these resources could not be listed."""
    return tuple(right for right in reading() if right.resource in resources)


def preparing(namespace: str, priority: str) -> tuple[Right, ...]:
    """Return the rights to see what an administrator created for the suite."""
    return (
        Right(
            verb="get",
            resource="namespaces",
            only=namespace,
            use="whether it exists; without this right the suite assumes that it does",
        ),
        Right(
            verb="get",
            resource="priorityclasses",
            group="scheduling.k8s.io",
            only=priority,
            use="whether it exists; without this right the suite's pods get no priority class",
        ),
    )


def creating(namespace: str) -> tuple[Right, ...]:
    """Return the rights to visit nodes through pods of one namespace, and to clean up."""
    looks = "visiting nodes: hardware, driver and runtime stay unproven without it"
    cleans = "removing what the run created; without it that stays until its deadline"
    wanted = (
        ("create", "pods", looks),
        ("list", "pods", looks),
        ("watch", "pods", "seeing at once when a pod starts; otherwise pods are listed again"),
        ("deletecollection", "pods", cleans),
        ("get", "pods/exec", looks),
        ("create", "pods/exec", f"{looks} (Kubernetes 1.35 and newer)"),
        ("get", "pods/log", "runtimeclass-pod: what the suite's pod saw"),
        ("delete", "pods", "giving a GPU back before the run ends"),
    )
    return tuple(
        Right(verb=verb, resource=resource, namespace=namespace, use=use)
        for verb, resource, use in wanted
    )
