"""Amazon EKS: on Amazon Linux 2 and 2023, and on Ubuntu.

Sources: docs.aws.amazon.com/eks; awslabs.github.io/amazon-eks-ami; ``files/bootstrap.sh`` of
Amazon's and of Canonical's images, which copies a file of the image over containerd's.
"""

from __future__ import annotations

from dataclasses import replace

from pytest_gpu.stack.distributions.distribution import UNKNOWN, Distribution, Product
from pytest_gpu.stack.distributions.signs import Observed, Signs

EKS = replace(UNKNOWN, name="eks")
EKS_AL2023 = replace(
    EKS,
    name="eks-al2023",
    family="eks",
    how="nodeadm writes containerd's configuration at every boot: make a lasting change in"
    " spec.containerd.config of the NodeConfig in the node's user data.",
)
EKS_UBUNTU = replace(
    EKS,
    name="eks-ubuntu",
    family="eks",
    kubelet_unit="snap.kubelet-eks.daemon",
    restart_kubelet="sudo snap restart kubelet-eks",
)

_SIGNS = Signs(versions=("-eks-",), folders=("/snap/kubelet-eks/",), labels=("eks.amazonaws.com/",))


def _on(seen: Observed) -> Distribution:
    if seen.system.startswith("Amazon Linux 2023"):
        return EKS_AL2023
    # Only Ubuntu's images have the kubelet in a snap.
    by_snap = any(map(_SIGNS.in_program, seen.processes))
    return EKS_UBUNTU if by_snap or seen.system.startswith("Ubuntu") else EKS


PRODUCTS = (
    Product(
        names=("eks", "eks-al2023", "eks-ubuntu"),
        signs=_SIGNS,
        on=_on,
        copied=(
            "/etc/eks/containerd/containerd-config.toml",
            "/usr/local/share/eks/nvidia-runtime-config.toml",
        ),
    ),
)
