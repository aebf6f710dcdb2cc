"""A healthy machine with two GPUs, in memory, and ways to break it, for tests of two layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import EllipsisType
from typing import Any

from pytest_gpu.causes import Finding, message
from pytest_gpu.finding_json import as_json
from pytest_gpu.run.node_face import GpuNode
from tests.support.fake_evidence import Command, FakeCluster, FakeNode, node_object
from tests.support.told import full

Files = Mapping[str, bytes | str]
BUS = "/sys/bus/pci/devices"
LIB = "/usr/lib/x86_64-linux-gnu"
VERSION = "535.161.08"
KERNEL = "5.15.0-105-generic"
MODULES = f"/lib/modules/{KERNEL}"
FIRST, SECOND = "0000:17:00.0", "0000:ca:00.0"
ALIVE, DEAD = b"\xde\x10\xb0\x20" + bytes(60), b"\xff" * 64

LOADED = f"[   12.0] NVRM: loading NVIDIA UNIX x86_64 Kernel Module  {VERSION}  Sat Feb 24"
PROC_VERSION = f"NVRM version: NVIDIA UNIX x86_64 Kernel Module  {VERSION}  Sat Feb 24\nGCC: 11\n"


def function(address: str, device_class: str = "0x030200", vendor: str = "0x10de") -> Files:
    """Return the sysfs files of one PCI function."""
    files = {"vendor": vendor, "class": device_class, "device": "0x20b0"}
    return {f"{BUS}/{address}/{name}": f"{text}\n" for name, text in files.items()}


def device(index: int, address: str, **answers: Any) -> dict[str, Any]:
    """Return one GPU as NVML describes it."""
    domain, _, rest = address.partition(":")
    return {
        "index": index,
        "uuid": f"GPU-{index}",
        "name": "NVIDIA A100-SXM4-40GB",
        "bdf": f"{domain:0>8}:{rest}".upper(),
        "minor": index,
        "memory": {"total": 42949672960},
        "ecc_uncorrected": 0,
        "remapped_rows": {"correctable": 0, "uncorrectable": 0, "pending": False, "failed": False},
        "mig": {"current": 0, "pending": 0},
        "mig_devices": [],
        "fabric": not_supported(),
        **answers,
    }


def not_supported() -> dict[str, Any]:
    """Return what NVML answers where a GPU has no such thing."""
    return {"error": 3, "message": "Not Supported"}


def nvml(*devices: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """Return NVML's answers; without devices those of the two healthy ones."""
    return {
        "library": f"{LIB}/libnvidia-ml.so.{VERSION}",
        "init": {"error": None, "message": ""},
        "hung": False,
        "driver_version": VERSION,
        "cuda_driver_version": "12.2",
        "devices": list(devices or (device(0, FIRST), device(1, SECOND))),
        **changes,
    }


def machine(  # noqa: PLR0913 - one keyword for each thing a test breaks
    *,
    gpus: Iterable[str] = (FIRST, SECOND),
    driver: str | None = "nvidia",
    files: Files | None = None,
    links: Mapping[str, str] | None = None,
    devices: Mapping[str, tuple[int, int]] | None = None,
    without: Sequence[str] = (),
    absent: Sequence[str] = (),
    complete: Sequence[str] = (),
    log: Sequence[str] = (),
    commands: Sequence[Command] | None = None,
    answers: Mapping[str, Any] | EllipsisType | None = ...,
    labels: Mapping[str, str] | None = None,
    capacity: Mapping[str, str] | None = None,
) -> GpuNode:
    """Return a machine that is healthy but for what is said.

    ``without`` takes paths out of the evidence (nobody looked), ``absent`` proves them absent;
    ``log`` are lines of the kernel log after the driver's load.
    """
    given: dict[str, bytes | str] = {f"{BUS}/{gpu}/config": ALIVE for gpu in gpus}
    for more in (*(function(gpu) for gpu in gpus), _FILES, files or {}):
        given.update(more)
    drivers = {f"{BUS}/{gpu}/driver": f"../../../bus/pci/drivers/{driver}" for gpu in gpus}
    pointers = (drivers if driver else {}) | _LINKS | dict(links or {})
    gone = (*without, *absent)
    evidence = FakeNode(
        files={path: text for path, text in given.items() if not path.startswith(gone)},
        links={path: text for path, text in pointers.items() if not path.startswith(gone)},
        devices={p: n for p, n in (_NODES | dict(devices or {})).items() if p not in gone},
        complete=[d for d in (*_COMPLETE, *complete) if d not in gone],
        absent=[*_ABSENT, *absent, *([] if driver else [f"{BUS}/{gpu}/driver" for gpu in gpus])],
        commands=_commands(log) if commands is None else commands,
        nvml=nvml() if isinstance(answers, EllipsisType) else answers,
    )
    node = node_object(labels=labels, capacity=capacity)
    return GpuNode("gpu-1", FakeCluster(nodes={"gpu-1": evidence}, objects={"nodes": [node]}))


def cause(finding: Finding | None) -> str | None:
    """Return a finding's cause; all of its texts must be there, with every value filled in."""
    if finding is None:
        return None
    assert message(full(finding))
    assert as_json(full(finding))
    assert finding.evidence
    return finding.cause


def title_of(finding: Finding | None) -> str:
    """Return the title of a finding."""
    assert finding is not None
    return str(as_json(full(finding))["title"])


def said(finding: Finding | None) -> str:
    """Return all evidence of a finding as text."""
    assert finding is not None
    return "\n".join(f"{item.source}: {item.text}" for item in finding.evidence)


def _commands(log: Sequence[str]) -> list[Command]:
    return [("dmesg", 0, "\n".join([LOADED, *log]) + "\n", "")]


_FILES: Files = {
    "/proc/version": f"Linux version {KERNEL} (buildd@build) (gcc 11.4.0)\n",
    "/proc/modules": "nvidia_uvm 1400832 0 - Live\nnvidia 56000000 1 nvidia_uvm, Live\n",
    "/proc/driver/nvidia/version": PROC_VERSION,
    "/proc/devices": "Character devices:\n  1 mem\n195 nvidia\n510 nvidia-uvm\n\nBlock devices:\n",
    f"{LIB}/libcuda.so.{VERSION}": b"",
    f"{LIB}/libnvidia-ml.so.{VERSION}": b"",
    f"{MODULES}/updates/dkms/nvidia.ko": b"",
}
_LINKS = {
    f"{LIB}/libcuda.so.1": f"libcuda.so.{VERSION}",
    f"{LIB}/libnvidia-ml.so.1": f"libnvidia-ml.so.{VERSION}",
}
_NODES = {
    "/dev/nvidia0": (195, 0),
    "/dev/nvidia1": (195, 1),
    "/dev/nvidiactl": (195, 255),
    "/dev/nvidia-uvm": (510, 0),
}
_COMPLETE = (BUS, "/dev", "/proc", "/lib/modules", f"{MODULES}/updates/dkms")
_ABSENT = (
    "/usr/lib64",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib/wsl",
    "/home/kubernetes",
    "/run/nvidia/driver",
    *(f"{MODULES}/{name}" for name in ("extra", "weak-updates", "kernel/drivers/video")),
)
