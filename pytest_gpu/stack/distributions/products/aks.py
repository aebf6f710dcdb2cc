"""Azure Kubernetes Service.

Source: learn.microsoft.com "AKS node access".
"""

from __future__ import annotations

from dataclasses import replace

from pytest_gpu.stack.distributions.distribution import UNKNOWN, Product
from pytest_gpu.stack.distributions.signs import Signs

AKS = replace(
    UNKNOWN,
    name="aks",
    how="AKS replaces nodes when it scales or upgrades: a change by hand lasts only as long as"
    " this node. To get a shell on it: kubectl debug node/NODE -it --profile=sysadmin"
    " --image=busybox, then chroot /host.",
)

PRODUCTS = (
    Product(
        names=("aks",),
        signs=Signs(labels=("kubernetes.azure.com/cluster",)),
        on=lambda _: AKS,
    ),
)
