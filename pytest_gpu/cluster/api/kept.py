"""Which objects of a list are kept: a cluster may have very many that have no part in GPUs."""

from __future__ import annotations

import json

from pytest_gpu.cluster.api.answers import strange
from pytest_gpu.evidence import KubeObject
from pytest_gpu.stack.kube.objects import condition_of, path_of, spec_of

MANY_PODS = 2000
"""Up to this many pods all are kept; of more, only those that may concern GPUs."""

MAX_LIST = 128 << 20
"""Characters of the objects that are kept of one list, in JSON; 10,000 pods have half of it."""

_USERS = frozenset({"replicasets", "statefulsets", "jobs", "resourceclaims"})


class Kept:
    """The objects of a list that are kept: within a budget, each name once.

    Of workloads that only users have, those that may concern GPUs and have something to tell.
    """

    def __init__(self, resource: str) -> None:
        self.objects: dict[str, KubeObject] = {}
        self._resource = resource
        self._sizes: dict[str, int] = {}
        self._total = 0
        self._is_long = False

    def add(self, thing: KubeObject) -> None:
        """Keep an object; of many pods only those that may concern GPUs.

        Raises:
            ApiError: there is one of this name, or the list exceeds its budget.
        """
        name, text = path_of(thing), json.dumps(thing).lower()
        if name in self.objects:
            raise strange(f"{self._resource}: {name} is in the list twice")
        if self._is_dropped(thing, text):
            return
        self.objects[name], self._sizes[name] = thing, len(text)
        self._total += len(text)
        if self._resource == "pods" and not self._is_long and len(self.objects) > MANY_PODS:
            self._shorten()
        if self._total > MAX_LIST:
            raise strange(f"the list of {self._resource} was cut off after {MAX_LIST >> 20} MiB")

    def _is_dropped(self, thing: KubeObject, text: str) -> bool:
        if self._resource in _USERS:
            return not may_concern_gpus(text) or is_over(thing)
        return self._is_long and not may_concern_gpus(text)

    def _shorten(self) -> None:
        self._is_long = True
        for name, thing in list(self.objects.items()):
            if not may_concern_gpus(json.dumps(thing).lower()):
                del self.objects[name]
                self._total -= self._sizes[name]


def may_concern_gpus(text: str) -> bool:
    """Return whether anything in a pod refers to GPUs: a request, an image, a class, a label."""
    return "nvidia" in text or "gpu" in text


def is_over(workload: KubeObject) -> bool:
    """Return whether a workload wants no pods any more: an old revision, a Job that is done."""
    done = condition_of(workload, "Complete")
    return spec_of(workload).get("replicas") == 0 or (done or {}).get("status") == "True"
