"""Users' GPU workloads that never become pods, because the API server refuses these: noted.

Sources: pkg/controller of Kubernetes: a ReplicaSet says so in its condition ReplicaFailure, which
its Deployment repeats; a StatefulSet, a Job and a DaemonSet only by events.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.checks import check
from pytest_gpu.evidence import ClusterEvidence, KubeObject
from pytest_gpu.gpu_node import Node, cluster_fact
from pytest_gpu.stack.kube.objects import (
    condition_of,
    name_of,
    namespace_of,
    object_of,
    optional,
    path_of,
    spec_of,
    status_of,
    template_of,
)
from pytest_gpu.stack.kube.placement import takes
from pytest_gpu.stack.kube.pods import gpu_requests
from pytest_gpu.stack.operands.container_log import plain
from pytest_gpu.stack.operands.found import CONTROLLERS, controller_key
from pytest_gpu.stack.operands.object_events import events_of
from pytest_gpu.stack.operands.operands import lacking
from pytest_gpu.stack.operands.roles import role_of
from pytest_gpu.stack.pods.check_runtimeclasses import SHOWN, some

_LAST_TRY = timedelta(minutes=20)
"""The greatest age of a refusal that still holds: controllers wait up to 1000 seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Podless:
    """A workload that lacks pods: its object, how many, and the words of the refusal."""

    workload: KubeObject
    kind: str
    lacks: int
    said: Evidence

    @property
    def evidence(self) -> Iterator[Evidence]:
        """What it lacks, and why."""
        asks = ", ".join(f"{key}: {n}" for key, n in gpu_requests(self._template).items())
        name = f"{self.kind.lower()} {path_of(self.workload)}"
        yield Evidence(source=name, text=f"pods that it lacks: {self.lacks}, each asks for {asks}")
        yield self.said

    @property
    def _template(self) -> Mapping[str, Any]:
        return template_of(self.workload)

    def is_for(self, node: KubeObject) -> bool:
        """Say whether its pods could run on a node, which offers one of the things they ask for."""
        offered = status_of(node).get("allocatable") or {}
        return takes(node, self._template) and any(
            k in offered for k in gpu_requests(self._template)
        )


@check("pods/users-workloads-without-pods", visit=False)
def podless(node: Node) -> Finding | None:
    """Find users' workloads that could run on the node and whose pods the API server refuses."""
    here = object_of(node)
    found = [each for each in _podless(node.cluster) if each.is_for(here)]
    if not found:
        return None
    first = found[0]
    return Finding.of(
        "runtimeclass-pod/users-workloads-without-pods",
        *(line for each in found[:SHOWN] for line in each.evidence),
        workloads=some([f"{e.kind.lower()} {path_of(e.workload)}" for e in found]),
        kind=first.kind.lower(),
        name=name_of(first.workload),
        namespace=namespace_of(first.workload),
    )


@cluster_fact
def _podless(cluster: ClusterEvidence) -> Sequence[_Podless]:
    """Return the users' GPU workloads whose pods are refused, those of a Deployment once."""
    found: dict[object, _Podless] = {}
    for resource in ("deployments", "replicasets", "statefulsets", "jobs", "daemonsets"):
        kind = CONTROLLERS[resource]
        for each in sorted(optional(cluster, resource), key=path_of):
            key = controller_key(each) or (kind, namespace_of(each), name_of(each))
            if key not in found and (made := _refused(cluster, kind, each)):
                found[key] = made
    return tuple(found.values())


def _refused(cluster: ClusterEvidence, kind: str, workload: KubeObject) -> _Podless | None:
    if not gpu_requests(template_of(workload)):
        return None
    lacks = _lacking(kind, workload)
    said = _says(cluster, kind, workload) if lacks else None
    if said is None or role_of({"kind": kind, **workload}):
        return None
    return _Podless(workload=workload, kind=kind, lacks=lacks, said=said)


def _lacking(kind: str, workload: KubeObject) -> int:
    """Return how many pods a workload should have now and does not have."""
    if kind != "Job":
        return lacking({"kind": kind, **workload})
    spec, status = spec_of(workload), status_of(workload)
    if spec.get("suspend"):
        return 0
    at_once, all_of_them = _number(spec, "parallelism", 1), spec.get("completions")
    left = at_once if all_of_them is None else int(all_of_them) - _number(status, "succeeded", 0)
    return max(0, min(at_once, left) - _number(status, "active", 0))


def _number(values: Mapping[str, Any], key: str, usual: int) -> int:
    value = values.get(key)
    return usual if value is None else int(value)


def _says(cluster: ClusterEvidence, kind: str, workload: KubeObject) -> Evidence | None:
    """Return the words of the refusal that holds now: a condition, else a recent event."""
    failure = condition_of(workload, "ReplicaFailure") or {}
    if failure.get("status") == "True" and failure.get("reason") == "FailedCreate":
        where = f"condition ReplicaFailure of {kind.lower()} {path_of(workload)}"
        return Evidence(source=where, text=plain(str(failure.get("message") or "FailedCreate")))
    events = (e for e in events_of(cluster, workload) if e.reason == "FailedCreate")
    return next((each.evidence for each in events if each.age <= _LAST_TRY), None)
