"""Plain Kubernetes as kubeadm sets it up.

Source: kubernetes.io "Configuring each kubelet in your cluster using kubeadm".
"""

from __future__ import annotations

from dataclasses import replace

from pytest_gpu.stack.distributions.distribution import UNKNOWN, Product
from pytest_gpu.stack.distributions.signs import Observed, Signs
from pytest_gpu.stack.kube.objects import annotations_of

KUBEADM = replace(UNKNOWN, name="kubeadm")

_FILES = (
    "/var/lib/kubelet/kubeadm-flags.env",
    "/etc/systemd/system/kubelet.service.d/10-kubeadm.conf",
    "/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf",
)


def _set_up(seen: Observed) -> bool:
    """Say whether kubeadm set this node up: its annotation, its kubelet's flags, its files."""
    if "kubeadm.alpha.kubernetes.io/cri-socket" in annotations_of(seen.node):
        return True
    told = seen.kubelet.flag("--bootstrap-kubeconfig") if seen.kubelet else None
    bootstrap = (told or "").startswith("/etc/kubernetes/bootstrap-kubelet.conf")
    return bootstrap or any(map(seen.has, _FILES))


PRODUCTS = (Product(names=("kubeadm",), signs=Signs(set_up=_set_up), on=lambda _: KUBEADM),)
