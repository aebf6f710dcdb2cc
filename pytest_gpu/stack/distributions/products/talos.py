"""Talos: no shell at all; its files are made of the machine configuration.

Sources: docs.siderolabs.com "Containerd"; nvidia-pkgs' pkg.yaml (siderolabs/extensions) of older
and newer releases for the libraries.
"""

from __future__ import annotations

from dataclasses import replace

from pytest_gpu.stack.distributions.distribution import UNKNOWN, Product
from pytest_gpu.stack.distributions.signs import Signs

TALOS = replace(
    UNKNOWN,
    name="talos",
    restart="talosctl --nodes {node} reboot",
    restart_kubelet="talosctl --nodes {node} service kubelet restart",
    config="/etc/cri/containerd.toml",
    sealed=True,
    how="Talos has no shell, and generates its files from the machine configuration: make"
    " changes there (talosctl patch machineconfig --nodes NODE; for containerd, in the"
    " machine file /etc/cri/conf.d/20-customization.part, or in a CRICustomizationConfig"
    " in newer releases). The NVIDIA runtime is a system extension of its image."
    " Commands with sudo show what is meant; they do not run there.",
)

PRODUCTS = (
    Product(
        names=("talos",),
        signs=Signs(systems=("Talos",)),
        on=lambda _: TALOS,
        libraries=("/usr/local/glibc/usr/lib", "/usr/local/lib"),
    ),
)
