"""Canonical Kubernetes, the snap k8s.

Source: documentation.ubuntu.com/canonical-kubernetes "Snap".
"""

from __future__ import annotations

from pytest_gpu.stack.distributions.command_line import ArgumentsFile
from pytest_gpu.stack.distributions.distribution import Distribution, Product
from pytest_gpu.stack.distributions.signs import Signs

HOME = "/snap/k8s/"

K8S_SNAP = Distribution(
    name="k8s-snap",
    restart="sudo snap restart k8s.containerd",
    kubelet_unit="snap.k8s.kubelet",
    restart_kubelet="sudo snap restart k8s.kubelet",
    containerd_unit="snap.k8s.containerd",
    home=HOME,
    arguments=ArgumentsFile.of_snap("k8s", "/var/snap/k8s/common/args/kubelet"),
)

PRODUCTS = (
    Product(
        names=("k8s-snap",),
        signs=Signs(folders=(HOME,), labels=("k8sd.io/role",)),
        on=lambda _: K8S_SNAP,
        configs=(
            "/var/lib/k8s-containerd/k8s-containerd/etc/containerd/config.toml",
            "/var/snap/k8s/common/etc/containerd/config.toml",
        ),
    ),
)
