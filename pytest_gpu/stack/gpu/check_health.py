"""Checks of GPUs that the driver handles: XIDs, NVML's answers, memory, fabric.

XIDs are interpreted as in NVIDIA's XID catalogue. Application errors (13, 31, 43, 45, 68, 109;
the device plugin ignores them, too) say nothing about the GPU.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pytest_gpu.causes import Evidence, Finding, join
from pytest_gpu.checks import check
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.gpu import nvml as codes
from pytest_gpu.stack.gpu.check_driver import loaded_module, needs_no_nvml, unsupported_gpu
from pytest_gpu.stack.gpu.check_hardware import HOLDERS
from pytest_gpu.stack.gpu.kernel_log import KernelLog, Xid, kernel_log_of
from pytest_gpu.stack.gpu.nvml import NvmlDevice, NvmlError, nvml_of
from pytest_gpu.stack.gpu.pci import pci_of
from pytest_gpu.stack.host.failed_units import OF_THE_FABRIC, failed_gpu_units

DOUBLE_BIT = 48
CONTAINED = 94
REMAP_PENDING = (63, CONTAINED)
REMAP_FAILED = 64

# XIDs that require at least a reset of the GPU, by cause, most severe first.
GRAVE = {
    "hardware/uncontained-memory-error": (DOUBLE_BIT, 95, 140),
    "hardware/nvlink-fault": (74,),
    "driver/gsp-timeout": (119, 120),
    "driver/gpu-needs-reset": (46, 62),
}

# Error codes that mean a fault of the GPU, not of the question.
GRAVE_CODES = {
    codes.GPU_IS_LOST: "hardware/fallen-off-the-bus",
    codes.RESET_REQUIRED: "driver/gpu-needs-reset",
    codes.UNKNOWN: "driver/nvml-refuses",
}
_INIT_CAUSES = {
    **GRAVE_CODES,
    codes.LIBRARY_NOT_FOUND: "driver/nvml-library-missing",
    codes.LIB_RM_VERSION_MISMATCH: "driver/library-module-mismatch",
}

_WHICH = "NVML does not say which"

FABRIC_NOT_STARTED, FABRIC_IN_PROGRESS, FABRIC_COMPLETED = 1, 2, 3  # nvmlGpuFabricState_t, nvml.h

_NOT_INITIALISED = re.compile(r"RmInitAdapter|rm_init_adapter failed|failed to wait for GFW_BOOT")


@check("gpu/grave-xids")
def grave_xids(node: Node) -> Finding | None:
    """Say which GPU reported an error that needs a reset, and has not recovered since."""
    log = kernel_log_of(node)
    for cause, numbers in GRAVE.items():
        xids = [xid for xid in log.standing(numbers) if not _was_contained(log, xid)]
        if xids:
            return _of_xids(node, cause, xids)
    if log.recovery_actions:
        return _of_xids(node, "driver/gpu-needs-reset", log.recovery_actions)
    return None


def _was_contained(log: KernelLog, xid: Xid) -> bool:
    """Say whether XID 94 reports that a double-bit error was contained to one process."""
    contained = (other for other in log.standing((CONTAINED,)) if other.index > xid.index)
    return xid.number == DOUBLE_BIT and any(other.slot == xid.slot for other in contained)


def _of_xids(node: Node, cause: str, xids: list[Xid] | tuple[Xid, ...]) -> Finding:
    latest = {(xid.slot, xid.number): kernel_log_of(node).at(xid.index) for xid in xids}
    gpus = join(sorted({f"{xid.slot}.0" for xid in xids}))
    return Finding.of(cause, *latest.values(), gpus=gpus)


def _devices(node: Node) -> tuple[NvmlDevice, ...]:
    """Return the GPUs as NVML enumerates them.

    Raises:
        Unproven: NVML, which this node should have, did not answer.
    """
    return () if needs_no_nvml(node) else nvml_of(node).asked()


@check("gpu/nvml-silent")
def nvml_silent(node: Node) -> Finding | None:
    """Say why NVML, or a GPU in it, does not answer."""
    nvml = nvml_of(node)
    if needs_no_nvml(node):
        return None
    if nvml.missing:
        absent = Evidence(source="libnvidia-ml.so.1", text="no such library on the host")
        return Finding.of("driver/nvml-library-missing", absent)
    if nvml.hung:
        return Finding.of(
            "driver/nvml-hangs", Evidence(source="NVML", text="no answer within the deadline")
        )
    if nvml.error:
        cause = _INIT_CAUSES.get(nvml.error.code, "driver/nvml-refuses")
        return _of_error(node, cause, "nvmlInit", nvml.error, _WHICH)
    return next(_grave_answers(node), None)


def _grave_answers(node: Node) -> Iterator[Finding]:
    for device in nvml_of(node).devices:
        for question, error in device.errors():
            # A missing handle is serious, whatever the code.
            cause = GRAVE_CODES.get(error.code)
            if cause or question == "handle":
                where = f"NVML, {question} of {device}"
                yield _of_error(node, cause or "driver/nvml-refuses", where, error, str(device))


def _of_error(node: Node, cause: str, where: str, error: NvmlError, gpus: str) -> Finding:
    return Finding.of(
        cause,
        Evidence(source=where, text=str(error)),
        message=str(error),
        gpus=gpus,
        module=loaded_module(node),
    )


@check("gpu/not-initialised")
def not_initialised(node: Node) -> Finding | None:
    """Say which GPUs on the bus NVML does not list."""
    devices = _devices(node)
    gpus = [gpu for gpu in pci_of(node).gpus if gpu.driver not in HOLDERS]
    if len(devices) >= len(gpus):
        return None
    addresses = {device.address for device in devices}
    absent = [gpu.address for gpu in gpus if gpu.address not in addresses]
    text = f"{len(devices)} of {len(gpus)} GPUs; missing: {join(absent)}"
    seen = Evidence(source="NVML", text=text)
    log = known(lambda: kernel_log_of(node))
    said = log.find(_NOT_INITIALISED) if log else None
    if refused := unsupported_gpu(node):
        return refused
    evidence = [seen, said] if said else [seen]
    return Finding.of("driver/gpu-not-initialised", *evidence, gpus=join(absent))


@check("gpu/remap-failed")
def remap_failed(node: Node) -> Finding | None:
    """Say which GPU has no spare memory rows left."""
    flagged = {
        device.address or str(device): Evidence(source=f"NVML, {device}", text="remapping failed")
        for device in _devices(node)
        if _remapped(device, "failed")
    }
    log = known(lambda: kernel_log_of(node))
    logged = {f"{x.slot}.0": log.at(x.index) for x in log.standing((REMAP_FAILED,))} if log else {}
    if not (seen := {**flagged, **logged}):
        return None
    return Finding.of("hardware/row-remap-failed", *seen.values(), gpus=join([*seen]))


@check("gpu/remap-pending")
def remap_pending(node: Node) -> Finding | None:
    """Return a note on GPUs that will remap memory rows at the next reset; they work until then."""
    seen = {
        device.address or str(device): Evidence(source=f"NVML, {device}", text="remapping pending")
        for device in _devices(node)
        if _remapped(device, "pending")
    }
    seen |= _logged_pending(node)
    if not seen:
        return None
    return Finding.of("hardware/row-remap-pending", *seen.values(), gpus=join([*seen]))


def _logged_pending(node: Node) -> dict[str, Evidence]:
    """Return XIDs 63 and 94 of GPUs for which NVML does not report remapping (with MIG, say)."""
    log = known(lambda: kernel_log_of(node))
    if log is None:
        return {}
    knows = {d.address for d in nvml_of(node).devices if _remapped(d, "pending") is not None}
    xids = log.standing(REMAP_PENDING)
    return {f"{x.slot}.0": log.at(x.index) for x in xids if f"{x.slot}.0" not in knows}


def _remapped(device: NvmlDevice, flag: str) -> bool | None:
    """Return a flag of the row remapper, ``None`` if this GPU does not have one."""
    rows = device.numbers("remapped_rows", flag, kinds=(bool, int))
    return None if isinstance(rows, NvmlError) else bool(rows[flag])


@check("gpu/memory-unreadable")
def memory_unreadable(node: Node) -> Finding | None:
    """Say which GPU does not report its memory; ``Not Supported`` is normal with unified memory."""
    for device in _devices(node):
        memory = device.numbers("memory", "total")
        if isinstance(memory, NvmlError):
            if memory.code not in codes.NOT_ASKABLE:
                return _no_memory(device, str(memory))
        elif memory["total"] <= 0:
            return _no_memory(device, "0 bytes in total")
    return None


def _no_memory(device: NvmlDevice, said: str) -> Finding:
    seen = Evidence(source=f"NVML, memory of {device}", text=said)
    return Finding.of("driver/memory-unreadable", seen, gpu=str(device), message=said)


@check("gpu/fabric-not-ready")
def fabric_not_ready(node: Node) -> Finding | None:
    """Say which GPUs wait for the NVLink fabric: CUDA cannot start there (error 802)."""
    waiting = {str(d): text for d in _devices(node) if (text := _fabric_trouble(node, d))}
    if not waiting:
        return None
    evidence = [Evidence(source=f"NVML, fabric of {gpu}", text=t) for gpu, t in waiting.items()]
    manager = failed_gpu_units(node.evidence.commands, OF_THE_FABRIC)
    return Finding.of("driver/fabric-not-ready", *evidence, *manager, gpus=join([*waiting]))


def _fabric_trouble(node: Node, device: NvmlDevice) -> str | None:
    fabric = device.numbers("fabric", "state")
    if isinstance(fabric, NvmlError):
        return None
    state, status = fabric["state"], fabric.get("status") or 0
    if state == FABRIC_IN_PROGRESS:
        return "in progress"
    if state == FABRIC_NOT_STARTED and pci_of(node).switches:
        return "not started, and the node has NVSwitches"
    return f"completed with error {status}" if state == FABRIC_COMPLETED and status else None


@check("gpu/mig-pending")
def mig_pending(node: Node) -> Finding | None:
    """Return a note on GPUs that will change their MIG mode at the next reset."""
    seen = {str(d): text for d in _devices(node) if (text := _mig_change(d))}
    if not seen:
        return None
    evidence = [Evidence(source=f"NVML, MIG mode of {gpu}", text=t) for gpu, t in seen.items()]
    return Finding.of("driver/mig-change-pending", *evidence, gpus=join([*seen]))


def _mig_change(device: NvmlDevice) -> str | None:
    mode = device.numbers("mig", "current", "pending")
    if isinstance(mode, NvmlError) or mode["current"] == mode["pending"]:
        return None
    names = {0: "disabled", 1: "enabled"}
    now, then = (names.get(mode[key], str(mode[key])) for key in ("current", "pending"))
    return f"{now}, pending: {then}"
