"""A sandbox that asks for all GPUs gets each GPU that works on the host."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from pytest_gpu.causes import Evidence
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.gpu.nvml import GPU_IS_LOST, RESET_REQUIRED, UNKNOWN, NvmlDevice, nvml_of
from pytest_gpu.stack.sandbox.lacking import host_gpus, visible_devices
from pytest_gpu.stack.sandbox.sandboxes import SandboxFiles, SandboxRun

_SICK = frozenset({GPU_IS_LOST, RESET_REQUIRED, UNKNOWN})


def asks_for_all(files: SandboxFiles, run: SandboxRun) -> Evidence | None:
    """Return the request of a sandbox for all GPUs, ``None`` if it is for some, or not known."""
    if run.cdi_devices:
        every = next((name for name in run.cdi_devices if name.endswith("=all")), None)
        return Evidence(source=run.command, text=f"asks for {every}") if every else None
    if visible_devices(files.container_text) != "all":
        return None
    return Evidence(source=files.container_source, text="NVIDIA_VISIBLE_DEVICES=all")


def left_out(node: Node, got: Collection[str]) -> Mapping[str, NvmlDevice]:
    """Return the device nodes of GPUs that work and were left out, with the GPUs."""
    there = host_gpus(node)
    return {path: gpu for path, gpu in _working(node) if path in there and path not in got}


def working_evidence(gpus: Sequence[NvmlDevice]) -> Evidence:
    """Return that NVML answers for GPUs on the host."""
    return Evidence(source="NVML", text=f"answers for {', '.join(map(str, gpus))}")


def _working(node: Node) -> Iterator[tuple[str, NvmlDevice]]:
    """Yield the GPUs that any container may get: whole ones that need no reset.

    Of a GPU with MIG, a container gets instances, and none if there is none.
    """
    nvml = known(lambda: nvml_of(node))
    for gpu in nvml.devices if nvml and nvml.answers else ():
        sick = any(error.code in _SICK for _, error in gpu.errors())
        if gpu.minor is not None and not gpu.error and not sick and not _has_mig(gpu):
            yield f"/dev/nvidia{gpu.minor}", gpu


def _has_mig(gpu: NvmlDevice) -> bool:
    mode = gpu.answers.get("mig")
    return isinstance(mode, Mapping) and bool(mode.get("current") or mode.get("pending"))
