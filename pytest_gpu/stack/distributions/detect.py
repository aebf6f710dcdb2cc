"""Which Kubernetes distribution a node runs, by what is to be seen of it.

Hints for reading and for fixes only: no verdict rests on a name. What a node reports of itself
comes first, then the program that is its kubelet, then labels and files; another distribution
that merely lies or runs beside it says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_gpu.errors import NotInEvidence
from pytest_gpu.evidence import KubeObject, NodeEvidence
from pytest_gpu.gpu_node import Node, fact
from pytest_gpu.stack.distributions import kubelet_process
from pytest_gpu.stack.distributions import products as known
from pytest_gpu.stack.distributions.products import Distribution
from pytest_gpu.stack.host.processes import Process, processes_of
from pytest_gpu.stack.kube.objects import annotations_of, labels_of, node_info, object_of

__all__ = ["Distribution", "detect"]

_SNAPS = {
    "/snap/k8s/": known.K8S_SNAP,
    "/snap/microk8s/": known.MICROK8S,
    "/snap/kubelet-eks/": known.EKS_UBUNTU,
}
_SYSTEMS = (
    ("Talos", known.TALOS),
    ("Bottlerocket", known.BOTTLEROCKET),
    ("Container-Optimized OS", known.GKE),
)
_LABELS = (
    ("kubernetes.azure.com/cluster", known.AKS),
    ("cloud.google.com/gke-nodepool", known.GKE),
    ("k8sd.io/role", known.K8S_SNAP),
    ("microk8s.io/cluster", known.MICROK8S),
)
_KUBEADM_FILES = (
    "/var/lib/kubelet/kubeadm-flags.env",
    "/etc/systemd/system/kubelet.service.d/10-kubeadm.conf",
    "/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf",
)


def detect(node: KubeObject, processes: Sequence[Process], evidence: NodeEvidence) -> Distribution:
    """Return the distribution; one of the name ``unknown`` where nothing speaks for any."""
    own = [process for process in processes if not process.foreign]
    kubelet = kubelet_process.find(own)
    return (
        _by_report(node, own)
        or (_by_program(kubelet, node, own) if kubelet else None)
        or _by_labels(node)
        or (known.KUBEADM if _is_kubeadm(node, kubelet, evidence) else None)
        or (None if kubelet else _by_others(node, own))
        or known.UNKNOWN
    )


def _by_report(node: KubeObject, processes: Sequence[Process]) -> Distribution | None:
    """Tell by what the kubelet reports of itself and of its system (status.nodeInfo)."""
    info = node_info(node)
    version, system = str(info.get("kubeletVersion", "")), str(info.get("osImage", ""))
    for name in ("rke2", "k3s"):
        if f"+{name}" in version:
            return _rancher(name, node, processes)
    if "+k0s" in version:
        return known.k0s(_k0s_unit(processes))
    for beginning, found in _SYSTEMS:
        if system.startswith(beginning):
            return found
    if "-eks-" in version:
        return _eks(system)
    return known.GKE if "-gke." in version else None


def _eks(system: str) -> Distribution:
    if system.startswith("Amazon Linux 2023"):
        return known.EKS_AL2023
    return known.EKS_UBUNTU if system.startswith("Ubuntu") else known.EKS


def _by_program(
    process: Process, node: KubeObject, processes: Sequence[Process]
) -> Distribution | None:
    """Tell by where a program lies, or by its name where that is the distribution's."""
    path = process.exe or process.words[0]
    for folder, snap in _SNAPS.items():
        if path.startswith(folder):
            return snap
    for name in ("rke2", "k3s"):
        if path.startswith(f"/var/lib/rancher/{name}/") or process.is_program(name):
            return _rancher(name, node, processes)
    if path.startswith("/var/lib/k0s/") or process.is_program("k0s"):
        return known.k0s(_k0s_unit(processes))
    return None


def _by_labels(node: KubeObject) -> Distribution | None:
    labels = labels_of(node)
    if any(label.startswith("eks.amazonaws.com/") for label in labels):
        return _eks(str(node_info(node).get("osImage", "")))
    return next((found for label, found in _LABELS if label in labels), None)


def _is_kubeadm(node: KubeObject, kubelet: Process | None, evidence: NodeEvidence) -> bool:
    """Say whether kubeadm set this node up: its annotation, its kubelet's flags, its files."""
    if "kubeadm.alpha.kubernetes.io/cri-socket" in annotations_of(node):
        return True
    if kubelet:
        told = kubelet.flag("--bootstrap-kubeconfig") or ""
        return told.startswith("/etc/kubernetes/bootstrap-kubelet.conf") or any(
            _is_there(evidence, path) for path in _KUBEADM_FILES
        )
    return any(_is_there(evidence, path) for path in _KUBEADM_FILES)


def _is_there(evidence: NodeEvidence, path: str) -> bool:
    try:
        return evidence.read(path) is not None
    except NotInEvidence:
        return False


def _by_others(node: KubeObject, processes: Sequence[Process]) -> Distribution | None:
    """Tell by the programs that run, of a node whose kubelet does not."""
    found = (_by_program(process, node, processes) for process in processes)
    return next((each for each in found if each), None)


def _rancher(name: str, node: KubeObject, processes: Sequence[Process]) -> Distribution:
    runtime = str(node_info(node).get("containerRuntimeVersion", ""))
    major = runtime.rpartition("//")[2].partition(".")[0]
    unit = _rancher_unit(name, server=_is_server(name, node, processes))
    return known.rancher(name, unit, containerd=1 if major == "1" else 2)


def _rancher_unit(name: str, *, server: bool) -> str:
    if name == "rke2":
        return "rke2-server" if server else "rke2-agent"
    return "k3s" if server else "k3s-agent"


def _is_server(name: str, node: KubeObject, processes: Sequence[Process]) -> bool:
    """Say whether a node of k3s or RKE2 is a server: the process knows, else the role's label."""
    roles = {word for words in _words_of(processes, name) for word in words[1:2]}
    if roles & {"server", "agent"}:
        return "server" in roles
    return any(
        label.startswith("node-role.kubernetes.io/control-plane") for label in labels_of(node)
    )


def _k0s_unit(processes: Sequence[Process]) -> str:
    commands = {word for words in _words_of(processes, "k0s") for word in words[1:2]}
    return "k0scontroller" if "controller" in commands else "k0sworker"


def _words_of(processes: Sequence[Process], program: str) -> Iterator[tuple[str, ...]]:
    for process in processes:
        words = process.words
        if words[0].rpartition("/")[2] == program:
            yield words


@fact
def distribution_of(node: Node) -> Distribution:
    """Return which Kubernetes distribution this node runs, with its commands and paths."""
    try:
        seen = processes_of(node)
    except NotInEvidence:
        # A node without a door still has a name for its distribution: the version suffix.
        seen = ()
    return detect(object_of(node), seen, node.evidence)
