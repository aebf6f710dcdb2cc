"""Whether the NVIDIA toolkit's own configuration and CDI specs fit this host."""

from __future__ import annotations

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.diagnose.reached import gpu_runtimes
from pytest_gpu.node.gpu_node import GpuNode
from pytest_gpu.node.toolkit import ToolkitConfig, own_config


def own_config_wrong(node: GpuNode) -> Finding | None:
    """Find what is wrong in the NVIDIA runtime's own config.toml.

    Raises:
        NotInEvidence: nobody looked for it, or for a path it names.
    """
    for config in own_configs(node):
        if config.error:
            seen = Evidence(source=config.path, text=f"is no valid TOML: {config.error}")
            return node.finding("runtime/toolkit-config-invalid", seen, path=config.path)
        wrong = _root_missing(node, config) or _ldconfig_missing(node, config)
        if finding := wrong or _mode_csv(node, config):
            return finding
    return None


def own_configs(node: GpuNode) -> list[ToolkitConfig]:
    """Return the own configurations of the NVIDIA runtimes that pods can get."""
    binaries = [str(runtime.binary) for runtime in gpu_runtimes(node)]
    found = {each.path: each for b in binaries if (each := own_config(node.evidence, b))}
    return list(found.values())


def _cli(config: ToolkitConfig, key: str) -> str:
    section = config.table.get("nvidia-container-cli", {})
    return str(section.get(key, "")) if isinstance(section, dict) else ""


def _root_missing(node: GpuNode, config: ToolkitConfig) -> Finding | None:
    root = _cli(config, "root")
    if root in {"", "/"} or node.evidence.entry(root) is not None:
        return None
    return node.finding(
        "runtime/toolkit-root-missing",
        Evidence(source=config.path, text=f'root = "{root}"'),
        Evidence(source=root, text="is not there"),
        path=config.path,
        root=root,
    )


def _ldconfig_missing(node: GpuNode, config: ToolkitConfig) -> Finding | None:
    told = _cli(config, "ldconfig")
    # "@" means: the host's own, not the container's.
    path = told.removeprefix("@")
    if not told.startswith("@") or node.evidence.entry(path) is not None:
        return None
    return node.finding(
        "runtime/toolkit-ldconfig-missing",
        Evidence(source=config.path, text=f'ldconfig = "{told}"'),
        Evidence(source=path, text="is not there"),
        path=config.path,
        ldconfig=told,
    )


def mode(config: ToolkitConfig) -> str:
    """Return how the NVIDIA runtime brings GPUs in: ``auto``, ``cdi``, ``legacy``, ``csv``."""
    section = config.table.get("nvidia-container-runtime", {})
    return str(section.get("mode", "auto")) if isinstance(section, dict) else "auto"


def _mode_csv(node: GpuNode, config: ToolkitConfig) -> Finding | None:
    if mode(config) != "csv" or not node.pci.gpus:
        return None
    return node.finding(
        "runtime/toolkit-mode-csv",
        Evidence(source=config.path, text='mode = "csv" on a node whose GPUs are on the PCI bus'),
        path=config.path,
    )
