"""Whether the NVIDIA runtime's own configuration works on this host."""

from __future__ import annotations

import posixpath

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.checks import check
from pytest_gpu.errors import Unproven
from pytest_gpu.gpu_node import Node, fact
from pytest_gpu.known import known
from pytest_gpu.stack.gpu import libraries
from pytest_gpu.stack.gpu.pci import pci_of
from pytest_gpu.stack.host.nvidia_programs import is_bottlerockets
from pytest_gpu.stack.injection.reached import gpu_runtimes
from pytest_gpu.stack.toolkit import config_patch
from pytest_gpu.stack.toolkit.own_config import (
    CLI,
    DEFAULTS,
    HOST_LDCONFIG_SINCE,
    JIT_CDI,
    JIT_CDI_SINCE,
    MODES,
    NORMALIZED_SINCE,
    RUNTIME,
    ToolkitConfig,
    own_config,
)

_ROOT = f"{CLI}.root"
_LDCONFIG = f"{CLI}.ldconfig"
_MODE = f"{RUNTIME}.mode"
_CONTAINERS = libraries.OPERATOR_ROOT
_OF_LIBRARIES = ("usr", "lib", "lib64")


@check("toolkit/own-config-wrong")
def own_config_wrong(node: Node) -> Finding | None:
    """Find what is wrong in the NVIDIA runtime's own config.toml.

    Raises:
        NotInEvidence: the file, or a path that it names, was not collected.
        Unproven: it depends on the toolkit's version, which is not known.
    """
    for config in own_configs(node):
        if finding := _unreadable(node, config) or _wrong_mode(node, config):
            return finding
        if finding := _wrong_path(node, config):
            return finding
    return None


@fact
def own_configs(node: Node) -> list[ToolkitConfig]:
    """Return the own configurations of the NVIDIA runtimes that pods can get.

    Bottlerocket's runtime reads no such file.

    Raises:
        NotInEvidence: one was not collected.
    """
    binaries = [str(runtime.binary) for runtime in gpu_runtimes(node)]
    own = [binary for binary in binaries if not is_bottlerockets(binary)]
    found = {each.path: each for binary in own if (each := own_config(node.evidence, binary))}
    return list(found.values())


def _unreadable(node: Node, config: ToolkitConfig) -> Finding | None:
    if config.error:
        seen = Evidence(source=config.path, text=f"is not valid TOML: {config.error}")
        return Finding.of("runtime/toolkit-config-invalid", seen, path=config.path)
    for name in config.mistyped():
        return Finding.of(
            "runtime/toolkit-config-mistyped",
            config.evidence(name),
            path=config.path,
            patch=config_patch.of_its_type(node, config, name),
            name=name,
            kind=_KINDS[type(DEFAULTS[name])],
        )
    return None


_KINDS = {bool: "true or false", str: "a string", list: "a list of strings", dict: "a table"}


def _wrong_mode(node: Node, config: ToolkitConfig) -> Finding | None:
    known = {*MODES, JIT_CDI} if (config.version or JIT_CDI_SINCE) >= JIT_CDI_SINCE else {*MODES}
    if config.mode not in known:
        return Finding.of(
            "runtime/toolkit-mode-unknown",
            config.evidence(_MODE),
            path=config.path,
            patch=config_patch.set_own(node, config, _MODE, "auto"),
            mode=config.mode,
            modes=", ".join(sorted(known)),
        )
    if config.mode != "csv" or not pci_of(node).gpus:
        return None
    return Finding.of(
        "runtime/toolkit-mode-csv",
        config.evidence(_MODE),
        Evidence(source=pci_of(node).gpus[0].path, text="is a GPU on the PCI bus, not a Tegra"),
        path=config.path,
        patch=config_patch.set_own(node, config, _MODE, "auto"),
    )


def _wrong_path(node: Node, config: ToolkitConfig) -> Finding | None:
    """Find a root or an ldconfig that does not exist; CDI specs have paths of their own."""
    if config.mode in {"cdi", "csv"}:
        return None
    return _wrong_root(node, config) or (_wrong_ldconfig(node, config) if config.by_hook else None)


def _wrong_root(node: Node, config: ToolkitConfig) -> Finding | None:
    root = config.value(_ROOT)
    if root in {"", "/"}:
        return _driver_elsewhere(node, config) if config.by_hook else None
    if any(_is_there(node, posixpath.join(root, name)) for name in _OF_LIBRARIES):
        return None
    there = _is_there(node, root)
    return Finding.of(
        "runtime/toolkit-root-without-driver" if there else "runtime/toolkit-root-missing",
        config.evidence(_ROOT),
        Evidence(source=root, text=f"has no {_OF_LIBRARIES[0]} in it" if there else "is not there"),
        path=config.path,
        patch=config_patch.root_of_the_host(node, config, _ROOT),
        root=root,
        right="/",
    )


def _driver_elsewhere(node: Node, config: ToolkitConfig) -> Finding | None:
    """Find the host set as the driver's root although only a container has the driver.

    Source: libnvidia-container looks for the driver's libraries only below its root; the GPU
    operator writes the folder of its driver container there.

    Raises:
        NotInEvidence: a container has the driver, but not all of the host was collected.
    """
    library = known(lambda: libraries.find(node.evidence, libraries.NVML))
    if library is None or not library.path.startswith(libraries.OPERATOR_ROOT):
        return None
    on_host = (each for each in libraries.DIRECTORIES if not each.startswith(_CONTAINERS))
    if any(_is_there(node, f"{folder}/{libraries.NVML}") for folder in on_host):
        return None
    return Finding.of(
        "runtime/toolkit-root-without-driver",
        config.evidence(_ROOT),
        Evidence(source=library.path, text="is the only copy: the driver runs in a container"),
        path=config.path,
        patch=config_patch.set_own(node, config, _ROOT, _CONTAINERS),
        root="/",
        right=_CONTAINERS,
    )


def _wrong_ldconfig(node: Node, config: ToolkitConfig) -> Finding | None:
    """Find an ldconfig that the hook cannot run; ``@`` marks a path on the host."""
    told = str(config.value(_LDCONFIG))
    if not told.startswith("@"):
        return _containers_ldconfig(node, config) if told else None
    path = told.removeprefix("@")
    other = path.removesuffix(".real") if path.endswith(".real") else f"{path}.real"
    there = _is_there(node, path)
    if there and not _is_wrapper(node, config, other):
        return None
    if not there and _is_there(node, other) and _takes_either(config, path, other):
        return None
    right = f"@{other}" if _is_there(node, other) else "@/sbin/ldconfig"
    return Finding.of(
        "runtime/toolkit-ldconfig-missing",
        config.evidence(_LDCONFIG),
        Evidence(source=path, text=f"is a script that calls {other}" if there else "is not there"),
        path=config.path,
        ldconfig=told,
        right=right,
        patch=config_patch.set_own(node, config, _LDCONFIG, right),
    )


def _is_wrapper(node: Node, config: ToolkitConfig, other: str) -> bool:
    """Say whether an old toolkit is set to run Ubuntu's script, which no container can run."""
    old = config.version is not None and config.version < NORMALIZED_SINCE
    return old and other.endswith(".real") and _is_there(node, other)


def _takes_either(config: ToolkitConfig, path: str, other: str) -> bool:
    if config.version is None:
        raise Unproven(f"{path} is missing; only toolkits from 1.15 on use {other} instead")
    return config.version >= NORMALIZED_SINCE


def _containers_ldconfig(node: Node, config: ToolkitConfig) -> Finding | None:
    allowed = config.value("features").get("allow-ldconfig-from-container")
    if allowed or (config.version or (0,)) < HOST_LDCONFIG_SINCE:
        return None
    told = str(config.value(_LDCONFIG))
    return Finding.of(
        "runtime/toolkit-ldconfig-of-container",
        config.evidence(_LDCONFIG),
        path=config.path,
        patch=config_patch.set_own(node, config, _LDCONFIG, f"@{told}"),
        ldconfig=told,
    )


def _is_there(node: Node, path: str) -> bool:
    return node.evidence.entry(node.evidence.resolve(path)) is not None
