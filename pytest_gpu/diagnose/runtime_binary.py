"""Whether the program that a GPU handler names can run on this host."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.diagnose import config_fix
from pytest_gpu.diagnose.handler import installed
from pytest_gpu.diagnose.reached import gpu_runtimes
from pytest_gpu.errors import NotInEvidence, Unproven
from pytest_gpu.evidence import ElfSummary
from pytest_gpu.kube.operator import change_values
from pytest_gpu.node.config_file import RUNC_TYPE
from pytest_gpu.node.config_merge import Runtime
from pytest_gpu.node.gpu_node import GpuNode
from pytest_gpu.node.processes import SEARCH_PATH

LIBC = (
    "/lib/x86_64-linux-gnu/libc.so.6",
    "/lib64/libc.so.6",
    "/lib/aarch64-linux-gnu/libc.so.6",
    "/usr/lib/x86_64-linux-gnu/libc.so.6",
    "/usr/lib64/libc.so.6",
    "/usr/lib/aarch64-linux-gnu/libc.so.6",
)
PROGRAMS = (
    "nvidia-container-cli.real",
    "nvidia-container-cli",
    "libnvidia-container.so.1",
    "nvidia-container-runtime.real",
    "nvidia-container-runtime",
)


def binary_missing(node: GpuNode) -> Finding | None:
    """Find a handler whose BinaryName is not installed."""
    for runtime in gpu_runtimes(node):
        places = _places(str(runtime.binary))
        if all(node.evidence.entry(path) is None for path in places):
            return node.finding(
                "runtime/binary-missing",
                runtime.source,
                Evidence(source=str(runtime.binary), text="is not there"),
                binary=str(runtime.binary),
                handler=runtime.name,
                patch=_other_binary(node, runtime),
            )
    return None


def _other_binary(node: GpuNode, runtime: Runtime) -> str:
    """Return the steps that let a handler start a runtime that is installed, if one is."""
    found = installed(node)
    if found is None:
        return ""
    fix = config_fix.set_option(node, runtime.name, "BinaryName", found)
    said = f'Let BinaryName of runtimes.{runtime.name} be "{found}", in {fix["file"]}:'
    return f"{said}\n\n{fix['patch']}"


def _places(binary: str) -> Sequence[str]:
    """Return where a BinaryName is looked for: as it is, or along containerd's PATH."""
    if binary.startswith("/"):
        return (binary,)
    return [posixpath.join(folder, binary) for folder in SEARCH_PATH]


def handler_without_type(node: GpuNode) -> Finding | None:
    """Find a handler that names no runtime_type, so that no shim can be started for it."""
    for runtime in gpu_runtimes(node):
        if not runtime.runtime_type:
            return node.finding(
                "runtime/handler-without-type",
                runtime.source,
                handler=runtime.name,
                **config_fix.set_type(node, runtime.name, RUNC_TYPE),
            )
    return None


def glibc_too_old(node: GpuNode) -> Finding | None:
    """Find toolkit programs that need symbol versions the host's glibc does not define.

    Raises:
        Unproven: neither side was looked at.
    """
    runtimes = gpu_runtimes(node)
    if not runtimes:
        return None
    libc = _host_libc(node)
    programs = list(_programs(node, runtimes))
    for program in programs:
        wanted = missing(program.versions.get("libc.so.6", ()), libc.defines)
        if wanted and libc.defines:
            return _too_old(node, program, libc, wanted)
    if not programs or not libc.defines:
        raise Unproven("neither the toolkit's programs nor the host's glibc were looked into")
    return None


def _too_old(
    node: GpuNode, program: ElfSummary, libc: ElfSummary, wanted: Sequence[str]
) -> Finding:
    newest = max(libc.defines, key=_number)
    needs = max(wanted, key=_number)
    return node.finding(
        "runtime/toolkit-glibc-too-new",
        Evidence(source=program.path, text=f"needs {', '.join(wanted)} of libc.so.6"),
        Evidence(source=libc.path, text=f"defines versions up to {newest}"),
        program=program.path,
        needs=needs,
        host=newest,
        upgrade=change_values(node.cluster, "toolkit.version", "VERSION-ubi8"),
    )


def missing(needs: Sequence[str], defines: Sequence[str]) -> list[str]:
    """Return the symbol versions that a C library does not define.

    glibc keeps every version it ever had, so a number counts as defined up to the newest one (a
    hand-written summary need not list them all); a name such as GLIBC_ABI_DT_RELR must be there.
    """
    newest = max(map(_number, defines), default=())
    return [
        version
        for version in needs
        if version not in defines and (not _number(version) or _number(version) > newest)
    ]


def _number(version: str) -> tuple[int, ...]:
    """Return ``GLIBC_2.27`` as (2, 27); names that are no numbers sort first."""
    return tuple(int(part) for part in version.rpartition("_")[2].split(".") if part.isdecimal())


def _host_libc(node: GpuNode) -> ElfSummary:
    for path in LIBC:
        try:
            summary = node.evidence.elf(path)
        except NotInEvidence:
            continue
        if summary is not None:
            return summary
    raise Unproven("the host's libc.so.6 was not looked into")


def _programs(node: GpuNode, runtimes: Sequence[Runtime]) -> Iterator[ElfSummary]:
    folders = {
        posixpath.dirname(path) for runtime in runtimes for path in _places(str(runtime.binary))
    }
    for folder in sorted(folders):
        for name in PROGRAMS:
            try:
                summary = node.evidence.elf(posixpath.join(folder, name))
            except NotInEvidence:
                continue
            if summary is not None:
                yield summary
