"""The ``--gpu-*`` options and their twins in pytest's configuration file."""

from __future__ import annotations

from typing import Literal

import pytest

CLUSTER_HELP = (
    "Run the GPU conformance suite on this cluster: sample:NAME (shipped with this plugin), "
    "path:PATH (a recording), context:NAME, current, in-cluster, local, kind; anything else is a "
    "kubeconfig context or, if there is none of that name, a path"
)

SWITCHES = ("all_layers", "allow_unproven", "read_only", "junit_strict")

NODE_SHELLS = ("pod", "ssh", "local", "none")
"""Ways into a node."""

INI = {
    "nodes": "default for --gpu-nodes",
    "layers": "default for --gpu-layers",
    "all_layers": "default for --gpu-all-layers",
    "node_shell": "default for --gpu-node-shell",
    "kubeconfig": "default for --gpu-kubeconfig",
    "namespace": "default for --gpu-namespace",
    "image": "default for --gpu-image",
    "parallel": "default for --gpu-parallel",
    "read_only": "default for --gpu-read-only",
    "workloads": "default for --gpu-workloads",
    "timeout": "default for --gpu-timeout",
    "allow_unproven": "default for --gpu-allow-unproven",
    "sandbox_pod_config": "pod-config.json for crictl, instead of the shipped one",
    "sandbox_container_config": "container-config.json for crictl, instead of the shipped one",
    "junit_strict": "keep --junit-xml to the schema of the xUnit plugin for Jenkins",
    "junit_unproven": "what an unproven test is in --junit-xml: skipped (default) or failure",
    "cause_link": "address of a page about a cause, with {cause} or {anchor}, for links in Allure",
}
"""Values of pytest's configuration file, without their prefix ``gpu_``."""

_WANTED = {
    "cluster": "name a cluster, such as current, context:NAME, path:PATH or sample:healthy-rke2",
    "nodes": "name nodes, such as gpu-1,gpu-2 or gpu-*, write a label selector, or all",
    "layers": "name a layer, such as driver",
    "node_shell": f"choose one of {', '.join(NODE_SHELLS)}",
    "kubeconfig": "give the path of a kubeconfig",
    "namespace": "name a namespace; the default is pytest-gpu",
    "image": "name an image; the default is python:3-slim",
    "parallel": "give a number of nodes; the default is 100",
    "workloads": "write a label selector, such as team=a",
    "timeout": "give a number of seconds; the default is 300",
    "record": "give the path of the recording",
    "report": "give the path of a .json file",
    "crictl": "give the path of the program",
    "sandbox_pod_config": "give the path of a JSON file",
    "sandbox_container_config": "give the path of a JSON file",
    "junit_unproven": "choose skipped or failure; the default is skipped",
    "cause_link": "give an address, such as https://example.com/causes.html#{anchor}",
}

WANTED = {
    spelt: wanted
    for name, wanted in _WANTED.items()
    for spelt in (f"--gpu-{name.replace('_', '-')}", f"gpu_{name}")
}
"""What to write instead of nothing, by option and by configuration value."""


def add_options(parser: pytest.Parser) -> None:
    """Declare every option and configuration value."""
    group = parser.getgroup("gpu", "GPU conformance")
    group.addoption("--gpu-cluster", metavar="CLUSTER", help=CLUSTER_HELP)
    _add_selection(group)
    _add_outputs(group)
    _add_live(group)
    group.addoption(
        "--gpu-node-shell",
        metavar="WAY",
        help="How to get into nodes: pod, ssh (uses your OpenSSH configuration and sudo -n), "
        "local or none (default: pod; local with --gpu-cluster=local)",
    )
    group.addoption(
        "--gpu-timeout", metavar="SECONDS", help="Time limit of each single wait (default: 300)"
    )
    group.addoption(
        "--gpu-explain",
        metavar="CAUSE",
        help="Explain a cause such as driver/nouveau-holds-gpu, and how to fix it, then exit; a "
        "part of the name finds it, all lists every cause",
    )
    _add_ini(parser)


def _add_selection(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--gpu-nodes",
        metavar="NODES",
        help="Test these nodes: names separated by commas, also gpu-[4,7-9] and gpu-*, a label "
        "selector such as pool=gpu or 'pool in (a,b)', or all (default: every node with a sign of "
        "an NVIDIA GPU)",
    )
    group.addoption(
        "--gpu-layers", metavar="UP-TO", help="Climb up to this layer (default: runtimeclass-pod)"
    )
    group.addoption(
        "--gpu-all-layers",
        action="store_true",
        default=None,
        help="Test the higher layers of a node even if a lower one failed",
    )
    group.addoption(
        "--gpu-workloads",
        metavar="SELECTOR",
        help="Label selector: consider only these GPU pods of users (default: every GPU pod)",
    )


def _add_live(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--gpu-kubeconfig",
        metavar="FILE",
        help="Read this kubeconfig instead of $KUBECONFIG and ~/.kube/config",
    )
    group.addoption(
        "--gpu-namespace",
        metavar="NAME",
        help="Namespace for everything the suite creates in a live cluster (default: pytest-gpu)",
    )
    group.addoption(
        "--gpu-image",
        metavar="IMAGE",
        help="Image for the suite's pods; needs glibc and Python (default: python:3-slim)",
    )
    group.addoption(
        "--gpu-parallel",
        metavar="COUNT",
        help="Number of nodes of a live cluster to visit at the same time (default: 100)",
    )
    group.addoption(
        "--gpu-read-only",
        action="store_true",
        default=None,
        help="Create nothing in a live cluster; what needs a pod stays unproven",
    )
    group.addoption(
        "--gpu-crictl",
        metavar="FILE",
        help="Copy this crictl to nodes that have none; it is removed afterwards",
    )


def _add_outputs(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--gpu-allow-unproven",
        action="store_true",
        default=None,
        help="Exit with 0 even if something could not be decided",
    )
    group.addoption(
        "--gpu-record", metavar="PATH", help="Keep the evidence of this run as a recording"
    )
    group.addoption(
        "--gpu-report",
        metavar="FILE",
        action="append",
        help="Write the verdict to this file; the suffix sets the format: .json (repeatable)",
    )


def _add_ini(parser: pytest.Parser) -> None:
    for name, help_ in INI.items():
        kind: Literal["bool", "string"] = "bool" if name in SWITCHES else "string"
        parser.addini(f"gpu_{name}", help_, type=kind, default=None)
    parser.addini(
        "gpu_causes",
        "TOML files with causes of your own, or patterns of them",
        type="args",  # not paths: that cannot tell what is wrong in a list
        default=None,
    )
