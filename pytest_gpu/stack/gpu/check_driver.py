"""Checks of the driver's parts: module, version, libraries."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pytest_gpu.causes import Evidence, Finding, join, unproven
from pytest_gpu.checks import check, question
from pytest_gpu.errors import NotInEvidence, Unproven
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.gpu import nvml as nvml_codes
from pytest_gpu.stack.gpu.check_hardware import reserved_for_machines
from pytest_gpu.stack.gpu.driver import VERSION_FILE, Driver, driver_of, numbers
from pytest_gpu.stack.gpu.kernel_log import kernel_log_of
from pytest_gpu.stack.gpu.libraries import CUDA, NVML
from pytest_gpu.stack.gpu.nvml import nvml_of
from pytest_gpu.stack.gpu.pci import pci_of
from pytest_gpu.stack.host.failed_units import failed_gpu_units
from pytest_gpu.stack.kube.operator import change_values
from pytest_gpu.stack.operands.check_operands import driver_absent, driver_culprit
from pytest_gpu.stack.operands.upgrade import upgrade_evidence

OLDEST = (470,)
"""The oldest driver branch that NVIDIA's container toolkit and device plugin support."""

# What the module says about a GPU that it does not support; each spans several lines of the log.
_REFUSED = "NVRM: The NVIDIA"
_FLAVOUR = re.compile(
    r"not supported by open nvidia\.ko|requires use of the NVIDIA open kernel modules"
)
_BRANCH = re.compile(
    r"supported through the NVIDIA \S+ Legacy drivers|is not supported by the NVIDIA \S+ driver"
)

# module/signing.c and security/lockdown of the kernel; neither message names the module.
_SIGNATURE = re.compile(
    r"Loading of (module with unavailable key|unsigned module) is rejected"
    r"|Lockdown: \S+: unsigned module loading is restricted"
)


@question("gpu/module-files")
def module_files(node: Node) -> object:
    """Return the path of nvidia.ko by kernel; shown when the module is not loaded."""
    return driver_of(node).module_files


@question("gpu/libcuda")
def libcuda(node: Node) -> object:
    """Return the CUDA driver library; pods need it whatever else is missing."""
    return driver_of(node).libcuda


@check("gpu/module-not-loaded")
def module_not_loaded(node: Node) -> Finding | None:
    """Say why the kernel module is not loaded."""
    if platform_gpu(node) or driver_of(node).loaded:
        return None
    if reserved_for_machines(node):
        unproven("the node's label gives its GPUs to virtual machines: no driver is expected here")
    return (
        unsupported_gpu(node)
        or _refused_signature(node)
        or driver_culprit(
            node, *_not_loaded(), *_gpus_without_driver(node), *upgrade_evidence(node)
        )
        or _module_file(node)
    )


def platform_gpu(node: Node) -> bool:
    """Say whether the GPU is the platform's own (WSL, Tegra), without NVIDIA's PCI driver."""
    gpus = known(lambda: pci_of(node))
    return gpus is not None and gpus.platform is not None


def needs_no_nvml(node: Node) -> bool:
    """Say whether this is a Tegra with a driver (L4T) without NVML; nothing is missing there."""
    gpus = known(lambda: pci_of(node))
    return gpus is not None and gpus.platform == "Tegra" and nvml_of(node).missing


def unsupported_gpu(node: Node) -> Finding | None:
    """Say that the installed module refuses this GPU, in the module's own words."""
    log = known(lambda: kernel_log_of(node))
    if log and (said := log.find_wrapped(_REFUSED, _FLAVOUR)):
        choose = change_values(node.cluster, "driver.kernelModuleType", "auto")
        return Finding.of("driver/wrong-module-flavour", said, operator=choose)
    if log and (said := log.find_wrapped(_REFUSED, _BRANCH)):
        return Finding.of("driver/branch-does-not-support-gpu", said)
    return None


def _refused_signature(node: Node) -> Finding | None:
    log = known(lambda: kernel_log_of(node))
    files = known(lambda: driver_of(node).module_files)
    said = log.find(_SIGNATURE) if log else None
    if said is None or (files is not None and driver_of(node).kernel not in files):
        return None
    return Finding.of("driver/module-signature-refused", said, *_not_loaded())


def _module_file(node: Node) -> Finding:
    """Decide by the module's files, or by the libraries if the files were not collected."""
    files = known(lambda: driver_of(node).module_files)
    kernel = known(lambda: driver_of(node).kernel) or "unknown"
    installed = known(lambda: driver_of(node).libnvml) or known(lambda: driver_of(node).libcuda)
    units = failed_gpu_units(node.evidence.commands)
    evidence = [*_lacking(node), *units]
    if files and kernel in files:
        there = Evidence(source=files[kernel], text="present")
        return Finding.of("driver/module-not-loaded", *evidence, there)
    if files or (files is not None and installed):
        found = join([*(files or {})]) or "no kernel"
        text = f"nvidia.ko for {found}; the running kernel is {kernel}"
        others = Evidence(source="/lib/modules", text=text)
        return Finding.of("driver/no-module-for-this-kernel", *evidence, others, kernel=kernel)
    if installed:
        return Finding.of("driver/module-not-loaded", *evidence)
    if absent := driver_absent(node, *evidence):
        return absent
    install = change_values(node.cluster, "driver.enabled", value=True)
    return Finding.of("driver/not-installed", *evidence, operator=install)


def _lacking(node: Node) -> Iterator[Evidence]:
    """Yield that the module is missing, and that an upgrade is under way if there is one."""
    yield from (*_not_loaded(), *_gpus_without_driver(node), *upgrade_evidence(node))


def _not_loaded() -> Iterator[Evidence]:
    yield Evidence(source=VERSION_FILE, text="absent: the kernel module nvidia is not loaded")


def _gpus_without_driver(node: Node) -> Iterator[Evidence]:
    found = known(lambda: pci_of(node))
    for gpu in found.gpus if found else ():
        yield Evidence(source=gpu.path, text=f"NVIDIA GPU, kernel driver: {gpu.driver or 'none'}")


def loaded(node: Node) -> Driver:
    """Return the driver, for questions that only a loaded driver can answer.

    Raises:
        Unproven: it is not loaded.
    """
    if not driver_of(node).loaded:
        raise Unproven("the kernel module nvidia is not loaded")
    return driver_of(node)


@check("gpu/too-old")
def too_old(node: Node) -> Finding | None:
    """Say that the driver is older than branch 470."""
    if platform_gpu(node):
        return None  # L4T and Windows use driver version numbers of their own
    driver = loaded(node)
    if not numbers(driver.version):
        raise NotInEvidence(node.name, "the version of the kernel module")
    if numbers(driver.version) >= OLDEST:
        return None
    said = Evidence(source=driver.version_source, line=1, text=driver.version_line)
    return Finding.of("driver/too-old", said, version=driver.version)


@check("gpu/library-missing")
def library_missing(node: Node) -> Finding | None:
    """Say whether NVML's or CUDA's library is missing on the host."""
    if not _has_nvml(node):
        return _culprit_or("driver/nvml-library-missing", node, NVML)
    if driver_of(node).libcuda is None:
        return _culprit_or("driver/libcuda-missing", node, CUDA)
    return None


def _culprit_or(cause: str, node: Node, library: str) -> Finding:
    """Return the driver container that brings the libraries if it fails, else the cause."""
    return driver_culprit(node, _absent(library)) or Finding.of(cause, _absent(library))


def _has_nvml(node: Node) -> bool:
    """Say whether NVML exists: by its file, or by its answers if the search was not complete."""
    try:
        return driver_of(node).libnvml is not None or needs_no_nvml(node)
    except NotInEvidence:
        return not nvml_of(node).missing


def _absent(library: str) -> Evidence:
    return Evidence(source=library, text="in none of the loader's directories on the host")


@check("gpu/mismatch")
def mismatch(node: Node) -> Finding | None:
    """Say that a library and the loaded module have different versions."""
    if platform_gpu(node):
        return None
    driver = loaded(node)
    evidence = [*_nvml_says_mismatch(node), *_other_versions(driver)]
    if evidence:
        module = Evidence(source=driver.version_source, line=1, text=driver.version_line)
        return Finding.of(
            "driver/library-module-mismatch", module, *evidence, module=loaded_module(node)
        )
    library = known(lambda: driver.libnvml)
    if library is None or library.version is None:
        nvml_of(node).asked()  # its file name has no version; if NVML starts, the versions match
    return None


def loaded_module(node: Node) -> str:
    """Return the loaded module, with its version if that is known."""
    version = known(lambda: driver_of(node).version)
    return f"the loaded module {version}" if version else "the loaded module"


def _nvml_says_mismatch(node: Node) -> Iterator[Evidence]:
    nvml = known(lambda: nvml_of(node))
    if nvml and nvml.error and nvml.error.code == nvml_codes.LIB_RM_VERSION_MISMATCH:
        yield Evidence(source="nvmlInit", text=str(nvml.error))


def _other_versions(driver: Driver) -> Iterator[Evidence]:
    for library in (known(lambda: driver.libnvml), known(lambda: driver.libcuda)):
        if library and library.version not in (None, driver.version):
            yield Evidence(source=library.file, text=f"version {library.version}")
