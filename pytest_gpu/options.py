"""The ``--gpu-*`` options and their twins in pytest's configuration file."""

from __future__ import annotations

from typing import Literal

import pytest

CLUSTER_HELP = (
    "Run the GPU conformance suite on this cluster: sample:NAME (shipped with this plugin), "
    "path:PATH (a recording), context:NAME, current, in-cluster, local, kind; anything else is a "
    "context of the kubeconfig, else a path"
)

SWITCHES = ("all_layers", "allow_unproven")

INI = {
    "nodes": "default for --gpu-nodes",
    "layers": "default for --gpu-layers",
    "all_layers": "default for --gpu-all-layers",
    "workloads": "default for --gpu-workloads",
    "timeout": "default for --gpu-timeout",
    "allow_unproven": "default for --gpu-allow-unproven",
    "sandbox_pod_config": "pod-config.json for crictl, instead of the shipped one",
    "sandbox_container_config": "container-config.json for crictl, instead of the shipped one",
}
"""Values of pytest's configuration file, without their prefix ``gpu_``."""


def add_options(parser: pytest.Parser) -> None:
    """Declare every option and configuration value."""
    group = parser.getgroup("gpu", "GPU conformance")
    group.addoption("--gpu-cluster", metavar="CLUSTER", help=CLUSTER_HELP)
    _add_selection(group)
    _add_outputs(group)
    group.addoption(
        "--gpu-timeout", metavar="SECONDS", help="Longest time of every single wait (default: 300)"
    )
    group.addoption(
        "--gpu-explain",
        metavar="CAUSE",
        help="Print what a cause such as driver/nouveau means and how it is fixed, then exit",
    )
    _add_ini(parser)


def _add_selection(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--gpu-nodes",
        metavar="NODES",
        help="Test these nodes: names separated by commas, a label selector such as pool=gpu, or "
        "all (default: every node with a sign of an NVIDIA GPU)",
    )
    group.addoption(
        "--gpu-layers", metavar="UP-TO", help="Climb up to this layer (default: runtimeclass-pod)"
    )
    group.addoption(
        "--gpu-all-layers",
        action="store_true",
        default=None,
        help="Test the higher layers of a node although a lower one failed",
    )
    group.addoption(
        "--gpu-workloads",
        metavar="SELECTOR",
        help="Label selector of the users' pods that count (default: every GPU pod)",
    )


def _add_outputs(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--gpu-allow-unproven",
        action="store_true",
        default=None,
        help="Exit with 0 although something could not be decided",
    )
    group.addoption(
        "--gpu-record", metavar="PATH", help="Keep the evidence of this run as a recording"
    )
    group.addoption(
        "--gpu-report",
        metavar="FILE",
        action="append",
        help="Write the verdict to this file, by its suffix: .json (repeatable)",
    )


def _add_ini(parser: pytest.Parser) -> None:
    for name, help_ in INI.items():
        kind: Literal["bool", "string"] = "bool" if name in SWITCHES else "string"
        parser.addini(f"gpu_{name}", help_, type=kind, default=None)
