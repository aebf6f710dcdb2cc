"""The NVIDIA handlers that pods use, and how each uses CDI.

Sources: the toolkit's internal/modifier/cdi.go and internal/config (modes.cdi); for the annotations
that reach a handler, ``GetPassthroughAnnotations`` of containerd's CRI. A device plugin annotates
containers, so ``pod_annotations`` does not pass its annotations on.
"""

from __future__ import annotations

from collections.abc import Iterator

from pytest_gpu.causes import Evidence
from pytest_gpu.gpu_node import Node, fact
from pytest_gpu.stack.containerd import import_glob
from pytest_gpu.stack.containerd.merge import CDI_DIRS
from pytest_gpu.stack.cri.handler import Handler
from pytest_gpu.stack.injection.reached import gpu_runtimes_used
from pytest_gpu.stack.toolkit.own_config import RUNTIME, ToolkitConfig, own_config

PREFIX = "cdi.k8s.io/"
"""The prefix of annotation keys in the CDI standard."""

_DEAF = frozenset({"legacy", "csv"})
_KEY = "nvidia-device-plugin_0"
"""What follows the prefix in the plugin's keys, with the ID of an allocation at the end."""


def heeding(node: Node, prefix: str) -> list[tuple[Handler, ToolkitConfig]]:
    """Return the NVIDIA handlers that read annotations with a prefix, and get them."""
    return [found for found in reading(node, prefix) if is_passed_on(found[0], prefix)]


def reading(node: Node, prefix: str) -> list[tuple[Handler, ToolkitConfig]]:
    """Return the NVIDIA handlers that would read annotations with a prefix."""
    return [
        (runtime, config)
        for runtime, config in handlers_used(node)
        if mode_of(runtime, config) not in _DEAF and prefix in _prefixes(config)
    ]


def deaf_modes(node: Node) -> Iterator[Evidence]:
    """Yield the lines that set handlers to a mode in which they read no annotations."""
    configs = {config.path: config for _, config in handlers_used(node) if config.mode in _DEAF}
    return (config.evidence(f"{RUNTIME}.mode") for config in configs.values())


def is_passed_on(handler: Handler, prefix: str) -> bool:
    """Say whether a handler gets the plugin's annotations of containers."""
    key = f"{prefix}{_KEY}"
    return any(import_glob.matches(each, key) for each in handler.container_annotations)


def _prefixes(config: ToolkitConfig) -> tuple[str, ...]:
    return tuple(map(str, config.value(f"{RUNTIME}.modes.cdi.annotation-prefixes")))


def spec_dirs(config: ToolkitConfig) -> tuple[str, ...]:
    """Return the directories in which an NVIDIA runtime looks for specs."""
    return tuple(map(str, config.value(f"{RUNTIME}.modes.cdi.spec-dirs"))) or CDI_DIRS


def mode_of(runtime: Handler, config: ToolkitConfig) -> str:
    """Return a handler's mode: some programs are named after theirs."""
    suffix = str(runtime.binary).rpartition(".")[2]
    if suffix in {"cdi", "legacy"}:
        return suffix
    return config.mode


@fact
def handlers_used(node: Node) -> list[tuple[Handler, ToolkitConfig]]:
    """Return the NVIDIA handlers that pods use, with their own configuration."""
    return [
        (runtime, own_config(node.evidence, str(runtime.binary)))
        for runtime in gpu_runtimes_used(node)
    ]
