"""Bottlerocket: no shell but in its control and admin containers; its files are made of settings.

Sources: bottlerocket.dev "Settings"; kmod-nvidia's spec (bottlerocket-os) for the libraries.
"""

from __future__ import annotations

from dataclasses import replace

from pytest_gpu.stack.distributions.distribution import UNKNOWN, Product
from pytest_gpu.stack.distributions.signs import Signs

BOTTLEROCKET = replace(
    UNKNOWN,
    name="bottlerocket",
    restart="apiclient reboot",
    restart_kubelet="apiclient reboot",
    sealed=True,
    how="Bottlerocket generates its files from its settings: make changes there (apiclient set,"
    " or the user data). Driver, runtime and handler come with its NVIDIA variants."
    " Commands with sudo show what is meant; on the node, run them in its admin"
    " container (apiclient exec admin bash, then sheltie).",
)

PRODUCTS = (
    Product(
        names=("bottlerocket",),
        signs=Signs(systems=("Bottlerocket",)),
        on=lambda _: BOTTLEROCKET,
        libraries=("/usr/lib/nvidia/tesla",),
    ),
)
