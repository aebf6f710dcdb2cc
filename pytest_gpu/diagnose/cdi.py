"""Whether the CDI specs of a node are what its runtime can use, and whether it uses them at all."""

from __future__ import annotations

import posixpath

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.diagnose.injection import needs_no_handler
from pytest_gpu.diagnose.reached import gpu_runtimes
from pytest_gpu.diagnose.toolkit import mode, own_configs
from pytest_gpu.errors import Unproven
from pytest_gpu.node.gpu_node import GpuNode


def uses_cdi(node: GpuNode) -> bool:
    """Say whether GPUs come as CDI devices here: else a stale spec harms nobody yet."""
    if not gpu_runtimes(node) or needs_no_handler(node):
        return True
    return any(mode(config) == "cdi" for config in own_configs(node))


def cdi_spec_stale(node: GpuNode) -> Finding | None:
    """Find a CDI spec of GPUs that is unusable or names host paths that are gone.

    Raises:
        NotInEvidence: a directory or a path was not looked at.
    """
    if node.cdi.unknown and node.containerd.config.cdi_enabled:
        raise Unproven(f"nobody listed {', '.join(node.cdi.unknown)}")
    for spec in node.cdi.specs:
        if spec.error and "nvidia" in posixpath.basename(spec.path):
            seen = Evidence(source=spec.path, text=spec.error)
            return node.finding("runtime/cdi-spec-stale", seen, path=spec.path)
        gone = [path for path in spec.host_paths if node.evidence.entry(path) is None]
        if gone and "nvidia" in spec.kind:
            seen = Evidence(source=spec.path, text=f"names {', '.join(gone)}: not there")
            return node.finding("runtime/cdi-spec-stale", seen, path=spec.path)
    return None
