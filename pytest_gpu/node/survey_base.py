"""The first questions to every node: what all facts begin with, whatever the node turns out to be.

Paths come from the modules that read them, so that both cannot differ.
"""

from __future__ import annotations

import posixpath

from pytest_gpu.diagnose.runtime_binary import LIBC
from pytest_gpu.node import config_search, kubelet, libraries, pci, systemd_unit, toolkit
from pytest_gpu.node.config_merge import CDI_DIRS
from pytest_gpu.node.driver import VERSION_FILE
from pytest_gpu.node.processes import SEARCH_PATH
from pytest_gpu.node.survey_questions import COMMAND_TIME, FILE_LIMIT, Questions

ARGUMENTS = "/proc/[0-9]*/cmdline"
ARGUMENTS_LIMIT = 1 << 13
LOG_TIME = 20.0

CRICTL = (
    "/usr/local/bin/crictl",
    "/usr/bin/crictl",
    "/opt/bin/crictl",
    "/var/lib/rancher/rke2/bin/crictl",
    "/var/lib/rancher/k3s/data/current/bin/crictl",
    "/home/kubernetes/bin/crictl",
)
"""Where distributions put crictl: packages and kubeadm, Flatcar, RKE2, k3s, GKE."""

K3S = "/usr/local/bin/k3s"

SYSTEM_LINKS = ("/bin", "/sbin", "/lib", "/lib64", "/var/run", "/usr/lib64")
"""Directories that may be links (a merged /usr); many paths lead through them."""

NAMESPACES = ("/proc/1/ns/mnt", "/proc/1/ns/net")
"""What the namespaces of other processes are compared with."""

_UNITS = tuple(f"{folder}/kubelet.service" for folder in systemd_unit.FOLDERS)

_FLAGS = ("/var/lib/kubelet/kubeadm-flags.env", "/etc/default/kubelet", "/etc/sysconfig/kubelet")
"""Where kubeadm and the packages keep the kubelet's flags."""

_DROP_INS = tuple(
    f"{posixpath.dirname(place)}/{name}"
    for place in config_search.PLACES
    for name in config_search.DROP_INS
)

_LISTED = (
    "/dev",
    "/proc",
    pci.BUS,
    "/proc/driver/nvidia/gpus",
    "/etc/containerd",
    "/lib/modules",
    toolkit.INSTALL_DIR,
    f"{libraries.OPERATOR_ROOT}/dev",
    "/etc/cdi",
    "/run/cdi",
    *CDI_DIRS,
    *_DROP_INS,
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
    "/etc/docker/daemon.json",
    "/etc/rancher/rke2/config.yaml",
    "/etc/rancher/k3s/config.yaml",
    kubelet.CONFIG,
    *toolkit.CONFIGS,
    *_UNITS,
    *_FLAGS,
    *config_search.PLACES,
)

_PATTERNS = (
    f"{pci.BUS}/*/vendor",
    f"{pci.BUS}/*/class",
    "/proc/driver/nvidia/gpus/*/information",
    *(f"{unit}.d/*.conf" for unit in _UNITS),
    *(f"{folder}/*.{suffix}" for folder in CDI_DIRS for suffix in ("yaml", "json")),
    *(f"{folder}/*.toml" for folder in _DROP_INS),
)


def first_questions() -> Questions:
    """Return the first round."""
    found = (f"{d}/{name}" for d in libraries.DIRECTORIES for name in _LIBRARIES)
    return Questions(
        list=tuple(dict.fromkeys(_LISTED)),
        stat=tuple(dict.fromkeys((*SYSTEM_LINKS, *NAMESPACES, *found, *CRICTL, K3S, *_PROGRAMS))),
        glob={ARGUMENTS: ARGUMENTS_LIMIT, **dict.fromkeys(_PATTERNS, FILE_LIMIT)},
        read=dict.fromkeys(_READ, FILE_LIMIT),
        tail={},
        elf=LIBC,
        run={("uname", "-r"): COMMAND_TIME, ("dmesg",): LOG_TIME},
    )


_LIBRARIES = (libraries.NVML, libraries.CUDA, "libnvidia-ptxjitcompiler.so.1")
_PROGRAMS = (
    "/usr/bin/nvidia-container-runtime",
    "/usr/bin/nvidia-smi",
    "/sbin/ldconfig.real",
    *(f"{folder}/containerd" for folder in SEARCH_PATH),
)
