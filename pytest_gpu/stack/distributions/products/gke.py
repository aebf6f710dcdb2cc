"""Google Kubernetes Engine, on its Container-Optimized OS and on Ubuntu.

Source: docs.cloud.google.com "Customize containerd configuration in GKE nodes".
"""

from __future__ import annotations

from dataclasses import replace

from pytest_gpu.stack.distributions.distribution import UNKNOWN, Product
from pytest_gpu.stack.distributions.signs import Signs

_CRICTL = ("/home/kubernetes/bin/crictl",)

GKE = replace(
    UNKNOWN,
    name="gke",
    crictl=_CRICTL,
    how="GKE writes containerd's configuration itself when it creates a node: a change by hand"
    " lasts only as long as this node. Configure the supported options in the node pool"
    " (gcloud container node-pools update --containerd-config-from-file). On its"
    " Container-Optimized OS, GKE's own device plugin injects GPUs, without a handler.",
)

PRODUCTS = (
    Product(
        names=("gke",),
        signs=Signs(
            systems=("Container-Optimized OS",),
            versions=("-gke.",),
            labels=("cloud.google.com/gke-nodepool",),
        ),
        on=lambda _: GKE,
        crictl=(_CRICTL,),
    ),
)
