"""The files for crictl, some of which an admin may replace."""

from __future__ import annotations

from dataclasses import replace

from pytest_gpu.errors import Unproven
from pytest_gpu.gpu_node import Node
from pytest_gpu.settings.settings import Settings
from pytest_gpu.stack.sandbox import sandboxes
from pytest_gpu.stack.sandbox.sandboxes import SandboxFiles


def files_for(node: Node, settings: Settings) -> SandboxFiles | None:
    """Return the files for crictl on a node, the admin's own ones first.

    Return ``None`` if there are no such files and crictl was not tried on the node.
    """
    try:
        used: SandboxFiles | None = sandboxes.read(node.evidence).files
    except Unproven:
        used = None
    if settings.sandbox_pod_config is None and settings.sandbox_container_config is None:
        return used
    return admins_files(used or sandboxes.shipped_files(), settings)


def admins_files(files: SandboxFiles, settings: Settings) -> SandboxFiles:
    """Return the files for crictl; those that the configuration names replace the shipped ones."""
    if pod := settings.sandbox_pod_config:
        text = pod.read_text(encoding="utf-8")
        files = replace(files, origin="admin", pod_source=str(pod), pod_text=text)
    if container := settings.sandbox_container_config:
        text = container.read_text(encoding="utf-8")
        files = replace(files, origin="admin", container_source=str(container), container_text=text)
    return files
