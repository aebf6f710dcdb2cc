"""The files for crictl, some of which an admin may replace."""

from __future__ import annotations

from dataclasses import replace

from pytest_gpu.settings.settings import Settings
from pytest_gpu.stack.sandbox.sandboxes import SandboxFiles


def admins_files(files: SandboxFiles, settings: Settings) -> SandboxFiles:
    """Return the files for crictl; those that the configuration names replace the shipped ones."""
    if pod := settings.sandbox_pod_config:
        text = pod.read_text(encoding="utf-8")
        files = replace(files, origin="admin", pod_source=str(pod), pod_text=text)
    if container := settings.sandbox_container_config:
        text = container.read_text(encoding="utf-8")
        files = replace(files, origin="admin", container_source=str(container), container_text=text)
    return files
