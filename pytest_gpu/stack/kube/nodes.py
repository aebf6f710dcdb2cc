"""Kubernetes nodes: which have GPUs, whether they are ready, which taints keep pods away."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_gpu.causes import Evidence
from pytest_gpu.errors import NotInEvidence
from pytest_gpu.evidence import ClusterEvidence, KubeObject
from pytest_gpu.stack.kube.objects import (
    condition_of,
    labels_of,
    name_of,
    optional,
    spec_of,
    status_of,
)
from pytest_gpu.text.naming import natural

RESOURCE_PREFIX = "nvidia.com/"
DRA_DRIVER = "gpu.nvidia.com"
NVIDIA_VENDOR = "0x10de"

_NFD = "feature.node.kubernetes.io/"
_NFD_LABELS = tuple(f"{_NFD}pci-{key}.present" for key in ("10de", "0302_10de", "0300_10de"))
_CLOUD_LABELS = (
    "cloud.google.com/gke-accelerator",
    "k8s.amazonaws.com/accelerator",
    "kubernetes.azure.com/accelerator",
)
_INSTANCE_LABELS = ("node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type")
# AWS: the families p and g, except g4ad (AMD). Azure: the N series, except its AMD sizes. Google:
# machine types that always have GPUs.
_GPU_INSTANCE = re.compile(
    r"(p\d[\w-]*|gr?\d(dn|s|g|e|f|en)?)\."
    r"|Standard_N(C|D(?!.*MI300)|V(?!\d+as_v4))"
    r"|a[2-4]x?-\w+gpu|g2-standard"
)

SIGNS = (
    "capacity or allocatable with a resource nvidia.com/*",
    "labels nvidia.com/gpu* (GPU feature discovery, GPU operator)",
    f"labels {', '.join(_NFD_LABELS)} (node feature discovery)",
    f"labels {', '.join(_CLOUD_LABELS)}",
    "label node.kubernetes.io/instance-type of a GPU family (AWS p*, g*; Azure N*; Google a*, g2)",
    f"ResourceSlices of the DRA driver {DRA_DRIVER}",
    "an NVIDIA function on the PCI bus, where the node was visited",
)
"""Every sign of a GPU node that is checked, in words for the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuNodeSigns:
    """A node that may have GPUs, and the signs for it."""

    name: str
    signs: tuple[str, ...]


UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
"""The taint that the node controller gives to a cordoned node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """The Ready condition of a node: ``status`` is True, False, Unknown, or "" if missing."""

    status: str
    reason: str = ""
    message: str = ""

    @property
    def ready(self) -> bool:
        """Whether the kubelet reports the node as ready."""
        return self.status == "True"

    @property
    def said(self) -> str:
        """What the condition says beside its status, its reason if it has no message."""
        return self.message or self.reason or "no reason is given"

    @property
    def shown(self) -> str:
        """The condition as one line of evidence."""
        status = ", ".join(filter(None, (f"Ready={self.status}", self.reason)))
        return f"{status}: {self.message}" if self.message else status


def find_gpu_nodes(cluster: ClusterEvidence) -> tuple[GpuNodeSigns, ...]:
    """Return the nodes with at least one sign of a GPU, in natural order.

    Any sign is enough: a dead device plugin or a missing label must not remove a node from the
    test. A label is a sign, never a proof.

    Raises:
        NotInEvidence: the nodes were not read.
    """
    sliced = dra_nodes(cluster)
    found = []
    for node in cluster.objects("nodes"):
        signs = object_signs(node)
        if name_of(node) in sliced:
            signs = (*signs, f"a ResourceSlice of {DRA_DRIVER}")
        # Reading the bus is the most expensive check, so it is done only without other signs.
        if signs := signs or tuple(_visit_signs(cluster, name_of(node))):
            found.append(GpuNodeSigns(name=name_of(node), signs=signs))
    return tuple(sorted(found, key=lambda node: natural(node.name)))


def object_signs(node: KubeObject) -> tuple[str, ...]:
    """Return the signs of a GPU in a Node object itself."""
    labels = labels_of(node)
    return (*_resource_signs(node), *_label_signs(labels), *_instance_signs(labels))


def _resource_signs(node: KubeObject) -> Iterator[str]:
    for table in ("capacity", "allocatable"):
        for key, amount in (status_of(node).get(table) or {}).items():
            if key.startswith(RESOURCE_PREFIX):
                yield f"{table} {key}: {amount}"


def _label_signs(labels: Mapping[str, str]) -> Iterator[str]:
    for key, value in labels.items():
        if _says_gpu(key) and value not in {"false", "0"}:
            yield f"label {key}={value}"


def _says_gpu(key: str) -> bool:
    gfd = key == "nvidia.com/gpu" or key.startswith("nvidia.com/gpu.")
    return gfd or key in _NFD_LABELS or key in _CLOUD_LABELS


def _instance_signs(labels: Mapping[str, str]) -> Iterator[str]:
    for key in _INSTANCE_LABELS:
        if _GPU_INSTANCE.match(labels.get(key, "")):
            yield f"label {key}={labels[key]}"
            return


def _visit_signs(cluster: ClusterEvidence, name: str) -> Iterator[str]:
    """Yield the first NVIDIA function with a display class that a visit found on the PCI bus."""
    evidence = cluster.node(name)
    bus = "/sys/bus/pci/devices"
    try:
        for function in evidence.names(bus) or ():
            vendor = (evidence.read(f"{bus}/{function}/vendor") or b"").strip().decode()
            kind = (evidence.read(f"{bus}/{function}/class") or b"").strip().decode()
            if vendor == NVIDIA_VENDOR and kind.startswith("0x03"):
                yield f"PCI function {function}"
                return
    except NotInEvidence:
        return


def dra_nodes(cluster: ClusterEvidence) -> frozenset[str]:
    """Return the nodes for which NVIDIA's DRA driver published ResourceSlices."""
    slices = (spec_of(each) for each in optional(cluster, "resourceslices"))
    return frozenset(
        str(spec["nodeName"])
        for spec in slices
        if spec.get("driver") == DRA_DRIVER and spec.get("nodeName")
    )


def readiness(node: KubeObject) -> Readiness:
    """Return a node's Ready condition."""
    condition = condition_of(node, "Ready") or {}
    return Readiness(
        status=str(condition.get("status", "")),
        reason=str(condition.get("reason", "")),
        message=str(condition.get("message", "")),
    )


def taints(node: KubeObject) -> Sequence[Mapping[str, str]]:
    """Return a node's taints."""
    return spec_of(node).get("taints") or ()


def cordon(node: KubeObject) -> tuple[Evidence, ...]:
    """Return that a node is cordoned (unschedulable), and since when if that is known."""
    if not spec_of(node).get("unschedulable"):
        return ()
    since = [
        f" since {taint['timeAdded']}"
        for taint in taints(node)
        if taint.get("key") == UNSCHEDULABLE and taint.get("timeAdded")
    ]
    text = f"spec.unschedulable: true{''.join(since[:1])}"
    return (Evidence(source=f"node {name_of(node)}", text=text),)


def show_taint(taint: Mapping[str, str]) -> str:
    """Return a taint as kubectl shows it: ``key=value:effect``."""
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint.get('key', '')}{value}:{taint.get('effect', '')}"


def tolerates(tolerations: Sequence[Mapping[str, str]], taint: Mapping[str, str]) -> bool:
    """Say whether a pod's tolerations match a taint (Kubernetes: taints and tolerations)."""
    return any(_matches(toleration, taint) for toleration in tolerations)


def _matches(toleration: Mapping[str, str], taint: Mapping[str, str]) -> bool:
    if toleration.get("effect") not in {None, "", taint.get("effect")}:
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in {None, "", taint.get("key")}
    same_key = toleration.get("key") == taint.get("key")
    return same_key and (toleration.get("value") or "") == (taint.get("value") or "")


def quantity(value: object) -> int:
    """Return the amount of an extended resource, which is always an integer.

    Kubernetes prints ``"8"``, and ``1k`` for 1000.
    """
    text = str(value)
    powers = {"k": 10**3, "M": 10**6, "G": 10**9}
    return int(text[:-1]) * powers[text[-1]] if text[-1:] in powers else int(text)
