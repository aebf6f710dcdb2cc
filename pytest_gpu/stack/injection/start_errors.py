"""What the error text of a sandbox or container that does not start says about the GPU stack.

The texts are those of containerd, runc and the NVIDIA container toolkit; they are matched at
their stable middle, since prefixes and IDs differ between versions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StartError:
    """A known error: its cause, and the values that its text holds."""

    cause: str
    values: Mapping[str, str]


GRPC_UNKNOWN = ": unknown"
"""What gRPC adds at the end of an error that has no code of its own."""

# In order: the first that matches is the innermost, so the most telling one.
_KNOWN = (
    (
        "sandbox/toolkit-needs-newer-glibc",
        re.compile(
            r"version [`'](?P<glibc>GLIBC_[\d.]+)' not found \(required by (?P<file>[^()]+)\)"
        ),
    ),
    ("sandbox/cdi-device-unresolvable", re.compile(r"unresolvable CDI devices (?P<device>\S+)")),
    (
        "sandbox/device-access-refused",
        re.compile(
            r"(?P<why>(nvml error|Failed to initialize NVML): [Ii]nsufficient [Pp]ermissions)"
        ),
    ),
    (
        "sandbox/toolkit-cannot-reach-driver",
        re.compile(
            r"failed to initialize NVML: (?P<why>[^\n:]+)"
            r"|nvidia-container-cli(\.real)?: (initialization|detection) error: (?P<also>[^\n]+)"
        ),
    ),
    (
        "sandbox/handler-refused",
        re.compile(r'no runtime for "(?P<handler>[^"]+)" is configured'),
    ),
    ("sandbox/handler-refused", re.compile(r'RuntimeHandler "(?P<handler>[^"]+)" not supported')),
    (
        "sandbox/runtime-program-missing",
        re.compile(r"fork/exec (?P<file>\S+): no such file or directory"),
    ),
    (
        "sandbox/toolkit-hook-fails",
        re.compile(r"(?P<why>(?:nvidia-container-cli|nvidia-ctk|nvidia-cdi-hook)[^\n]*)"),
    ),
    (
        "sandbox/runtime-program-fails",
        re.compile(
            r"(?<!\S)(?P<file>(?=\S*?nvidia-container-runtime)\S++) did not terminate successfully"
        ),
    ),
)
_NETWORK = re.compile(r"failed to setup network for sandbox|cni plugin not initialized")
_CGROUP = re.compile(r"expected cgroupsPath to be of format|systemd not running on this host")
_NAMELESS = re.compile(r"name or namespace is not in metadata")


def gpu_error(text: str) -> StartError | None:
    """Return the fault of the GPU stack that an error text tells of, ``None`` if of none."""
    for cause, pattern in _KNOWN:
        if match := pattern.search(text):
            found = {key: value for key, value in match.groupdict().items() if value}
            if "also" in found:
                found = {"why": found["also"].removesuffix(GRPC_UNKNOWN)}
            return StartError(cause=cause, values=found)
    return None


def is_network_error(text: str) -> bool:
    """Say whether the pod network, not the GPU, kept a sandbox from starting."""
    return bool(_NETWORK.search(text))


def is_cgroup_error(text: str) -> bool:
    """Say whether runc refused the cgroup it was told to use."""
    return bool(_CGROUP.search(text))


def is_nameless_error(text: str) -> bool:
    """Say whether crictl refused a pod config without name and namespace."""
    return bool(_NAMELESS.search(text))
