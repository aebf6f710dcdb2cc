"""What findings say of a runtime, also of one whose configuration is not judged.

What was seen on such a node stays decided; only these names are then the usual ones.
"""

from __future__ import annotations

from pytest_gpu.errors import Unproven
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.kubelet.kubelet import kubelet_of
from pytest_gpu.stack.kubelet.runtime import runtime_of

_CONFIG = {"cri-o": "/etc/crio/crio.conf", "docker": "/etc/docker/daemon.json"}


def default_handler(node: Node) -> str:
    """Return the name of the default handler, ``default`` where it is not known."""
    try:
        return runtime_of(node).default_runtime
    except Unproven:
        return "default"


def config_path(node: Node) -> str:
    """Return the configuration file of the runtime, the usual one where it is not known."""
    try:
        return runtime_of(node).config_path
    except Unproven:
        return _CONFIG.get(_name(node), "the runtime's configuration")


def _name(node: Node) -> str:
    try:
        return kubelet_of(node).runtime
    except Unproven:
        return ""
