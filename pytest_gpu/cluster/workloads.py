"""A cluster in which only some of the users' pods are considered (``--gpu-workloads``)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pytest_gpu.asked import Asked
from pytest_gpu.evidence import ClusterEvidence, KubeObject, NodeEvidence
from pytest_gpu.memory import Memory, lazy
from pytest_gpu.settings.selector import Selector
from pytest_gpu.stack.kube.objects import labels_of
from pytest_gpu.stack.kube.pods import is_nvidia, uses_gpu


class CountedPods:
    """The same evidence without the users' GPU pods that a selector leaves out.

    NVIDIA's own pods and pods without GPUs stay: they show how the cluster works, whichever
    workloads are considered.
    """

    def __init__(self, cluster: ClusterEvidence, selector: Selector) -> None:
        self.memory = Memory()
        self._cluster = cluster
        self._selector = selector

    @property
    def title(self) -> str:
        """What the user asked for."""
        return self._cluster.title

    @property
    def taken(self) -> datetime:
        """When the evidence was taken."""
        return self._cluster.taken

    @property
    def suite(self) -> str:
        """The version of pytest-gpu that took the evidence."""
        return self._cluster.suite

    @property
    def asked(self) -> Asked:
        """The questions that were asked when it was taken."""
        return self._cluster.asked

    def objects(self, resource: str) -> Sequence[KubeObject]:
        """Return all objects of a resource that are considered."""
        return self._pods if resource == "pods" else self._cluster.objects(resource)

    @lazy
    def _pods(self) -> tuple[KubeObject, ...]:
        return tuple(pod for pod in self._cluster.objects("pods") if self._counts(pod))

    def _counts(self, pod: KubeObject) -> bool:
        return is_nvidia(pod) or not uses_gpu(pod) or self._selector.matches(labels_of(pod))

    def node(self, name: str) -> NodeEvidence:
        """Return one node's evidence."""
        return self._cluster.node(name)
