"""The first questions to every node, whatever kind of node it is.

Paths come from the modules that read them, so that the two cannot differ.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from pytest_gpu.stack.containerd import search
from pytest_gpu.stack.containerd.merge import CDI_DIRS
from pytest_gpu.stack.distributions import every
from pytest_gpu.stack.gpu import libraries, pci
from pytest_gpu.stack.gpu.driver import VERSION_FILE
from pytest_gpu.stack.host import failed_units, loader, mounts, program, systemd_unit
from pytest_gpu.stack.host.processes import SEARCH_PATH
from pytest_gpu.stack.kubelet import kubelet
from pytest_gpu.stack.toolkit import instructions
from pytest_gpu.stack.toolkit.host_programs import CLI, HOOK, LIBRARY
from pytest_gpu.survey.rounds import COMMAND_TIME, FILE_LIMIT, Questions

ARGUMENTS = "/proc/[0-9]*/cmdline"
ARGUMENTS_LIMIT = 1 << 13
LOG_TIME = 20.0

SYSTEM_LINKS = ("/bin", "/sbin", "/lib", "/lib64", "/var/run", "/usr/lib64")
"""Directories that may be links (a merged /usr); many paths lead through them."""

NAMESPACES = ("/proc/1/ns/mnt", "/proc/1/ns/net")
"""What the namespaces of other processes are compared with."""

_UNITS = tuple(f"{folder}/kubelet.service" for folder in systemd_unit.FOLDERS)

_FLAGS = ("/var/lib/kubelet/kubeadm-flags.env", "/etc/default/kubelet", "/etc/sysconfig/kubelet")
"""Where kubeadm and the packages keep the kubelet's flags."""


def _drop_ins() -> tuple[str, ...]:
    folders = (posixpath.dirname(place) for place in search.usual_places())
    return tuple(f"{folder}/{name}" for folder in folders for name in search.DROP_INS)


_LISTED = (
    "/dev",
    "/proc",
    pci.BUS,
    "/proc/driver/nvidia/gpus",
    "/etc/containerd",
    "/lib/modules",
    instructions.INSTALL_DIR,
    f"{libraries.OPERATOR_ROOT}/dev",
    "/etc/cdi",
    "/run/cdi",
    loader.CONF_FOLDER,
    *CDI_DIRS,
    *(f"{unit}.d" for unit in _UNITS),
)

_READ = (
    "/proc/version",
    "/proc/modules",
    "/proc/devices",
    "/proc/stat",
    "/proc/net/unix",
    VERSION_FILE,
    "/sys/module/nvidia/version",
    "/etc/os-release",
    mounts.MOUNTS,
    "/sys/fs/selinux/enforce",
    loader.CONF,
    "/etc/docker/daemon.json",
    kubelet.CONFIG,
    *instructions.CONFIGS,
    *_UNITS,
    *_FLAGS,
)

_PATTERNS = (
    f"{pci.BUS}/*/vendor",
    f"{pci.BUS}/*/class",
    "/proc/driver/nvidia/gpus/*/information",
    *(f"{unit}.d/*.conf" for unit in _UNITS),
    *(f"{folder}/*.{suffix}" for folder in CDI_DIRS for suffix in ("yaml", "json")),
    f"{loader.CONF_FOLDER}/*.conf",
)


def first_questions() -> Questions:
    """Return the first round."""
    drop_ins = _drop_ins()
    patterns = (*_PATTERNS, *(f"{folder}/*.toml" for folder in drop_ins))
    files = (*_READ, *every.settings_files(), *search.usual_places())
    return Questions(
        list=tuple(dict.fromkeys((*_LISTED, *drop_ins))),
        stat=tuple(dict.fromkeys((*SYSTEM_LINKS, *NAMESPACES, *_PROGRAMS, *_perhaps_there()))),
        glob={ARGUMENTS: ARGUMENTS_LIMIT, **dict.fromkeys(patterns, FILE_LIMIT)},
        read=dict.fromkeys(files, FILE_LIMIT),
        tail={},
        elf=(*program.GLIBC, *_TOOLKIT),
        run={
            ("uname", "-r"): COMMAND_TIME,
            ("dmesg",): LOG_TIME,
            failed_units.LIST: COMMAND_TIME,
        },
    )


def _perhaps_there() -> Iterator[str]:
    """Yield the places of the driver's libraries and of crictl."""
    for folder in (*libraries.DIRECTORIES, *every.libraries()):
        yield from (f"{folder}/{name}" for name in _LIBRARIES)
    yield from (command[0] for command in every.crictl_commands() if command[0].startswith("/"))


_LIBRARIES = (libraries.NVML, libraries.CUDA, "libnvidia-ptxjitcompiler.so.1")
_NEEDED = ("libcap.so.2", "libseccomp.so.2", "libelf.so.1", "libtirpc.so.3")
"""What libnvidia-container needs beyond glibc; anything else is asked for when it is known."""

_LOADERS = ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1", "/bin/sh")
_SYSTEM_FOLDERS = tuple(libraries.DIRECTORIES[:3])

_STARTED = tuple(
    path
    for name in ("nvidia-container-runtime", HOOK, CLI)
    for folder in ("/usr/bin", instructions.INSTALL_DIR)
    for path in (f"{folder}/{name}", f"{folder}/{name}.real")
    if folder == instructions.INSTALL_DIR or path.endswith(name)
)
_TOOLKIT = (
    *_STARTED,
    *(f"{folder}/{LIBRARY}" for folder in (instructions.INSTALL_DIR, *_SYSTEM_FOLDERS)),
)

_PROGRAMS = (
    "/usr/bin/nvidia-container-runtime",
    "/usr/bin/nvidia-smi",
    "/sbin/ldconfig.real",
    *(f"{folder}/containerd" for folder in SEARCH_PATH),
    "/run/systemd/system",
    *_LOADERS,
    *(f"{folder}/{name}" for folder in _SYSTEM_FOLDERS for name in _NEEDED),
)
