"""One GPU node under test: its evidence, and its facts, each worked out once when first asked."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.errors import NotInEvidence, Unproven
from pytest_gpu.evidence import ClusterEvidence, KubeObject, NodeEvidence
from pytest_gpu.kube.objects import node_object
from pytest_gpu.node import cdi, containerd, distribution, kernel_log, nvml, pci, processes, toolkit
from pytest_gpu.node import driver as driver_facts
from pytest_gpu.node import kubelet as kubelet_facts
from pytest_gpu.node import runtimes as runtime_facts
from pytest_gpu.steps import Value


class GpuNode:
    """What conformance tests ask. Every fact comes from the evidence and from nothing else."""

    def __init__(self, name: str, cluster: ClusterEvidence) -> None:
        self.name = name
        self.cluster = cluster

    def __repr__(self) -> str:
        return f"GpuNode({self.name!r})"

    @cached_property
    def evidence(self) -> NodeEvidence:
        """All that was seen of this node."""
        return self.cluster.node(self.name)

    @cached_property
    def object(self) -> KubeObject:
        """The Node object."""
        return node_object(self.cluster, self.name)

    @cached_property
    def judged_alone(self) -> bool:
        """Whether this is a machine by itself (``local``): its Node object has but a name.

        What Kubernetes would hand to its containers is then not asked, which is no pass of it: the
        verdict says up to which layer the machine conforms.
        """
        return self.evidence.door.kind == "local" and not self.object.get("status")

    @cached_property
    def processes(self) -> tuple[processes.Process, ...]:
        """The processes that run on the node."""
        return processes.running(self.evidence)

    @cached_property
    def distribution(self) -> distribution.Distribution:
        """Which Kubernetes distribution this node runs, and its commands and paths."""
        try:
            seen = self.processes
        except NotInEvidence:
            # A node without a door still has a name for its distribution: the version suffix.
            seen = ()
        return distribution.detect(self.object, seen, self.evidence)

    @cached_property
    def kubelet(self) -> kubelet_facts.Kubelet:
        """The kubelet: whether it runs, and which runtime it uses."""
        return kubelet_facts.read(self.object, self.processes, self.evidence, self.distribution)

    @cached_property
    def containerd(self) -> containerd.Containerd:
        """The containerd that this kubelet uses, with its configuration as it merges it."""
        return containerd.serving(
            self.kubelet, self.processes, self.evidence, self.object, self.distribution
        )

    @cached_property
    def runtimes(self) -> tuple[runtime_facts.Runtime, ...]:
        """Every container runtime on the node, and whom it serves."""
        return runtime_facts.read(self.kubelet, self.processes, self.evidence)

    @cached_property
    def toolkit(self) -> toolkit.Toolkit:
        """The NVIDIA container toolkit: which containerd it was told to configure."""
        return toolkit.read(self.cluster, self.name)

    @cached_property
    def cdi(self) -> cdi.CdiSpecs:
        """The CDI specs that the runtime can see."""
        return cdi.read(self.evidence, self.containerd.config.cdi_dirs)

    @cached_property
    def pci(self) -> pci.PciGpus:
        """The NVIDIA functions on the PCI bus, or the platform's own GPU."""
        return pci.read(self.evidence)

    @cached_property
    def driver(self) -> driver_facts.Driver:
        """The NVIDIA kernel driver and its user-space libraries."""
        return driver_facts.read(self.evidence)

    @cached_property
    def nvml(self) -> nvml.Nvml:
        """What NVML answered on the node."""
        return nvml.read(self.evidence)

    @cached_property
    def kernel_log(self) -> kernel_log.KernelLog:
        """The kernel's messages of the NVIDIA driver."""
        return kernel_log.read(self.evidence)

    def finding(self, cause: str, *evidence: Evidence, **values: Value) -> Finding:
        """Return a finding of this node: the values every cause may name are filled in."""
        return Finding(cause=cause, evidence=evidence, values={**self.values, **values})

    @cached_property
    def values(self) -> Mapping[str, str]:
        """The placeholders any cause may use: node, distribution and its commands and paths."""
        where = self.distribution
        return {
            "node": self.name,
            "distribution": where.name,
            "family": where.family,
            "how": where.how.replace("NODE", self.name),
            "restart": where.restart.replace("NODE", self.name),
            "kubelet_unit": where.kubelet_unit,
            "restart_kubelet": where.restart_kubelet.replace("NODE", self.name),
            "containerd_unit": where.containerd_unit,
            "crictl": f"sudo {' '.join(where.crictl)} --runtime-endpoint unix://{self._socket}",
        }

    @property
    def _socket(self) -> str:
        """The kubelet's CRI socket, where that is known, else the distribution's usual one."""
        try:
            return self.kubelet.socket
        except Unproven:
            return self.distribution.socket
