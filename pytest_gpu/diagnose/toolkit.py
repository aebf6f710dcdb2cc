"""Whether the NVIDIA runtime that a handler names can run on this host, as it is configured."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.errors import NotInEvidence, Unproven
from pytest_gpu.evidence import ElfSummary
from pytest_gpu.kube import runtimeclass
from pytest_gpu.kube.operator import change_values
from pytest_gpu.node.config_merge import Runtime
from pytest_gpu.node.gpu_node import GpuNode
from pytest_gpu.node.hints import known
from pytest_gpu.node.toolkit import ToolkitConfig, own_config

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
SEARCH_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


def gpu_runtimes(node: GpuNode) -> list[Runtime]:
    """Return the GPU handlers that pods can get, by a RuntimeClass or by default, else all."""
    containerd = node.containerd
    by_class = known(lambda: runtimeclass.handlers(node.cluster)) or {}
    found = [containerd.config.runtimes[name] for name in containerd.gpu_handlers]
    reached = {containerd.default_runtime, *by_class.values()}
    return [runtime for runtime in found if runtime.name in reached] or found


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
            )
    return None


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
                "runtime/handler-without-type", runtime.source, handler=runtime.name
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


def cgroup_driver_differs(node: GpuNode) -> Finding | None:
    """Find a GPU handler whose cgroup driver differs from the kubelet's or from runc's.

    From containerd 2.x on a new kubelet takes the driver from the runtime, so that there only
    the handlers are compared with each other.

    Raises:
        NotInEvidence: the kubelet was told to read its driver where nobody looked.
    """
    runtimes = gpu_runtimes(node)
    wanted, said = _wanted_driver(node) if runtimes else (None, "")
    for runtime in runtimes:
        if wanted is not None and runtime.systemd_cgroup != wanted:
            return node.finding(
                "runtime/cgroup-driver-differs",
                runtime.source,
                Evidence(
                    source=runtime.source.source,
                    text=f"{runtime.name}: SystemdCgroup = {str(runtime.systemd_cgroup).lower()}",
                ),
                Evidence(source="expected", text=said),
                handler=runtime.name,
                wanted=str(wanted).lower(),
                config=runtime.source.source,
            )
    return None


def _wanted_driver(node: GpuNode) -> tuple[bool | None, str]:
    """Return whether cgroups must be systemd's (``None``: nobody asks), and who says so."""
    kubelet, config = node.kubelet, node.containerd.config
    if node.containerd.version[0] < 2:
        if kubelet.cgroup_driver is not None:
            said = f"kubelet cgroupDriver: {kubelet.cgroup_driver}"
            return kubelet.cgroup_driver == "systemd", said
        if kubelet.unread:
            raise NotInEvidence(node.name, f"the kubelet's configuration {kubelet.unread}")
    default = config.runtimes.get(config.default_runtime)
    wanted = default.systemd_cgroup if default else None
    return wanted, f"handler {config.default_runtime}: SystemdCgroup = {str(wanted).lower()}"


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
