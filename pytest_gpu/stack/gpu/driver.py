"""The NVIDIA kernel driver: its module, its version, its libraries and device nodes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath

from pytest_gpu.errors import NotInEvidence
from pytest_gpu.evidence import NodeEvidence
from pytest_gpu.gpu_node import Node, fact
from pytest_gpu.known import known
from pytest_gpu.memory import lazy
from pytest_gpu.stack.gpu import device_nodes, kernel_modules, libraries

VERSION_FILE = "/proc/driver/nvidia/version"
# "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.161.08  Sat Feb ..." or
# "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.14  Release Build ...".
_NVRM = "NVRM version:"
_MODULE = re.compile(r"Kernel Module\s+(?:for \S+\s+)?(\d{1,6}(?:\.\d{1,6}){1,3})\b")
_VERSION = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6}){1,3}")


class Driver:
    """The driver's facts, each computed when first used; any may raise ``NotInEvidence``."""

    def __init__(self, evidence: NodeEvidence) -> None:
        self._evidence = evidence

    @lazy
    def loaded(self) -> bool:
        """Whether the kernel module ``nvidia`` is loaded."""
        try:
            if self._evidence.read(VERSION_FILE) is not None:
                return True
        except NotInEvidence:
            return "nvidia" in self.modules
        return "nvidia" in (known(lambda: self.modules) or ())

    @lazy
    def modules(self) -> frozenset[str]:
        """The names of all loaded kernel modules."""
        return kernel_modules.loaded(self._evidence)

    @lazy
    def kernel(self) -> str:
        """The running kernel's release, as ``uname -r`` prints it."""
        return kernel_modules.release(self._evidence)

    @lazy
    def module_files(self) -> Mapping[str, str]:
        """The path of nvidia.ko by kernel release, for the releases that have one."""
        return kernel_modules.nvidia_files(self._evidence, self.kernel)

    @lazy
    def version_source(self) -> str:
        """The file that contains the version of the loaded module."""
        try:
            found = _told(kernel_modules.text(self._evidence, VERSION_FILE))
        except NotInEvidence:
            found = ""
        return VERSION_FILE if found else "/sys/module/nvidia/version"

    @lazy
    def version_line(self) -> str:
        """The line in which the loaded module names its version."""
        lines = kernel_modules.text(self._evidence, self.version_source).splitlines()
        return lines[0].strip() if lines else ""

    @lazy
    def version(self) -> str:
        """The version of the loaded module, such as ``535.161.08``."""
        found = _told(self.version_line) or self.version_line
        if not _VERSION.fullmatch(found):
            raise NotInEvidence(self._evidence.name, f"a version in {self.version_source}")
        return found

    @lazy
    def libnvml(self) -> libraries.Library | None:
        """The NVML library, ``None`` if it is proven absent."""
        return libraries.find(self._evidence, libraries.NVML, self._loaded_from())

    @lazy
    def libcuda(self) -> libraries.Library | None:
        """The CUDA driver library, ``None`` if it is proven absent."""
        return libraries.find(self._evidence, libraries.CUDA, self.directory)

    @lazy
    def directory(self) -> str | None:
        """The directory that holds NVML's library, ``None`` if it is not known."""
        try:
            library = self.libnvml
        except NotInEvidence:
            return self._loaded_from()
        return str(PurePosixPath(library.path).parent) if library else None

    @lazy
    def nodes(self) -> device_nodes.DeviceNodes:
        """The device nodes of the host, or of a driver that runs in a container."""
        host = device_nodes.read(self._evidence)
        if not (self.directory or "").startswith(libraries.OPERATOR_ROOT):
            return host
        try:
            own = device_nodes.read(self._evidence, libraries.OPERATOR_ROOT)
        except NotInEvidence:
            return host
        return own if own.entries else host

    @lazy
    def majors(self) -> Mapping[str, int]:
        """Major numbers by name, from /proc/devices."""
        return device_nodes.majors(self._evidence)

    def _loaded_from(self) -> str | None:
        """Return the directory from which NVML was loaded, a hint for finding the rest."""
        try:
            path = str((self._evidence.nvml or {}).get("library") or "")
        except NotInEvidence:
            return None
        return str(PurePosixPath(path).parent) if path.startswith("/") else None


def read(evidence: NodeEvidence) -> Driver:
    """Return the driver of a node."""
    return Driver(evidence)


def _told(text: str) -> str:
    """Return the version behind ``NVRM version:``, empty if there is none."""
    match = _MODULE.search(text.partition(_NVRM)[2].partition("\n")[0])
    return match[1] if match else ""


def numbers(version: str) -> tuple[int, ...]:
    """Return a version such as ``460.106.00`` as numbers, for comparison."""
    return tuple(int(part) for part in re.findall(r"\d+", version))


@fact
def driver_of(node: Node) -> Driver:
    """Return the NVIDIA kernel driver and its user-space libraries."""
    return read(node.evidence)
