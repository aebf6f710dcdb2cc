"""Rounds of broken runtimes and drivers."""

from __future__ import annotations

from dataclasses import replace

from tests.lab.rounds import breakages
from tests.lab.rounds.cells import Cell, Round

HEALTHY = Round(name="healthy", cells=(), exit=0)

RUNTIME = Round(
    name="runtime",
    cells=(
        Cell(
            node="n16",
            name="handler absent",
            sentence="containerd runs without a handler for GPUs",
            breaks=breakages.without_handler,
            layer="runtime",
            cause="runtime/handler-not-configured",
        ),
        Cell(
            node="n17",
            name="containerd not restarted",
            sentence="the handler is on disk, but containerd started before it was",
            breaks=breakages.not_restarted,
            layer="runtime",
            cause="runtime/not-restarted",
            repair=breakages.restart_containerd,
        ),
        Cell(
            node="n24",
            name="BinaryName not installed",
            sentence="the program that the handler names is not there",
            breaks=breakages.binary_missing,
            layer="runtime",
            cause="runtime/binary-missing",
        ),
    ),
)

NVML = Round(
    name="NVML",
    cells=(
        Cell(
            node="n16",
            name="NVML init 9",
            sentence="the driver is not loaded, says NVML",
            breaks=breakages.nvml_init(9),
            layer="driver",
            cause="driver/nvml-refuses",
        ),
        Cell(
            node="n17",
            name="NVML init 18",
            sentence="driver and library are of different versions, says NVML",
            breaks=breakages.nvml_init(18),
            layer="driver",
            cause="driver/library-module-mismatch",
        ),
        Cell(
            node="n24",
            name="NVML init 999",
            sentence="NVML fails with an unknown error",
            breaks=breakages.nvml_init(999),
            layer="driver",
            cause="driver/nvml-refuses",
        ),
        Cell(
            node="nsd",
            name="NVML hangs",
            sentence="whoever asks NVML never returns, whatever signal it gets",
            breaks=breakages.nvml_hangs,
            layer="driver",
            cause="driver/nvml-hangs",
        ),
    ),
)

DRIVER_FILES = Round(
    name="driver",
    cells=(
        Cell(
            node="n16",
            name="/dev/nvidia0 missing",
            sentence="a device node of a GPU is missing",
            breaks=breakages.device_node_missing,
            layer="driver",
            cause="driver/device-nodes-missing",
        ),
        Cell(
            node="n17",
            name="libcuda missing",
            sentence="pods with nvidia-smi complete, CUDA does not start: its library is missing",
            breaks=breakages.libcuda_missing,
            settles=breakages.completes_nvidia_smi,
            layer="driver",
            cause="driver/libcuda-missing",
        ),
        Cell(
            node="n24",
            name="kernel module of another version",
            sentence="the libraries were upgraded, the kernel module runs on",
            breaks=breakages.other_module_version,
            layer="driver",
            cause="driver/library-module-mismatch",
        ),
        Cell(
            node="nsd",
            name="PCI functions missing",
            sentence="the GPUs that the device plugin gives away are no longer on the bus",
            breaks=breakages.off_the_bus(0, 1),
            layer="hardware",
            cause="hardware/gpu-missing",
        ),
    ),
)

MOVED = {"n16": "n24", "n17": "nsd", "n24": "n16"}
"""The same faults on other generations of containerd, and below systemd."""

RUNTIME_MOVED = replace(
    RUNTIME,
    name="runtime moved",
    cells=tuple(replace(cell, node=MOVED[cell.node]) for cell in RUNTIME.cells),
)
