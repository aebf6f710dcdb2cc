"""Every fault of the driver's parts makes its check fail, and near misses do not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from pytest_gpu.errors import NotInEvidence, Unproven
from pytest_gpu.run.node_face import GpuNode
from pytest_gpu.stack.gpu import check_device_nodes, check_driver
from tests.stack.gpu.gpu_machine import (
    BUS,
    FIRST,
    KERNEL,
    LIB,
    MODULES,
    SECOND,
    VERSION,
    cause,
    device,
    machine,
    nvml,
    said,
    title_of,
)
from tests.stack.units.failing import FABRIC, PERSISTENCED, commands

CHECKS = (
    check_driver.module_not_loaded,
    check_driver.too_old,
    check_driver.library_missing,
    check_driver.mismatch,
    check_device_nodes.device_nodes,
)
MODULE = f"{MODULES}/updates/dkms/nvidia.ko"
LIBRARIES = (f"{LIB}/libcuda.so", f"{LIB}/libnvidia-ml.so")
ABSENT_LIBRARIES = tuple(f"{name}.1" for name in LIBRARIES)


def unloaded(**changes: Any) -> GpuNode:
    """Return a machine whose kernel module is installed but not loaded."""
    values: dict[str, Any] = {"driver": None, "answers": None, "absent": (), **changes}
    values["absent"] = ("/proc/driver", *values["absent"])
    values["files"] = {"/proc/modules": "nvme 49152 0 - Live\n", **values.get("files", {})}
    return machine(**values)


@pytest.mark.parametrize("check", CHECKS)
def test_a_healthy_machine_has_no_finding(check: Any) -> None:
    """Not one."""
    assert check(machine()) is None


@pytest.mark.parametrize("check", CHECKS)
def test_a_platform_gpu_has_no_pci_driver(check: Any) -> None:
    """WSL has libraries, and neither NVIDIA's module nor its device nodes."""
    wsl = "/usr/lib/wsl/lib"
    node = machine(
        gpus=[],
        devices={"/dev/dxg": (10, 125)},
        files={f"{wsl}/libcuda.so.1": b"", f"{wsl}/libnvidia-ml.so.1": b""},
        absent=["/proc/driver", *LIBRARIES],
        answers=nvml(device(0, FIRST), library=f"{wsl}/libnvidia-ml.so.1"),
    )
    assert check(node) is None


def test_nothing_is_installed() -> None:
    """No module, no file of it, no libraries."""
    node = unloaded(absent=[MODULE, *LIBRARIES, *ABSENT_LIBRARIES], without=[MODULES])
    finding = check_driver.module_not_loaded(node)
    assert cause(finding) == "driver/not-installed"
    assert f"{BUS}/{FIRST}: NVIDIA GPU, kernel driver: none" in said(finding)


def test_the_module_was_built_for_another_kernel() -> None:
    """The file of the kernel that ran before is there."""
    other = "/lib/modules/5.15.0-86-generic/updates/dkms/nvidia.ko"
    finding = check_driver.module_not_loaded(unloaded(absent=[MODULE], files={other: b""}))
    assert cause(finding) == "driver/no-module-for-this-kernel"
    assert "5.15.0-86-generic" in said(finding)
    assert KERNEL in said(finding)


def test_the_module_was_built_for_no_kernel() -> None:
    """The libraries show that a driver is installed."""
    assert cause(check_driver.module_not_loaded(unloaded(absent=[MODULE]))) == (
        "driver/no-module-for-this-kernel"
    )


def test_the_module_is_there_and_nobody_loaded_it() -> None:
    """With its file, or with the libraries where nobody looked for files."""
    assert cause(check_driver.module_not_loaded(unloaded())) == "driver/module-not-loaded"
    unread = unloaded(without=["/lib/modules", f"{MODULES}/updates/dkms"])
    assert cause(check_driver.module_not_loaded(unread)) == "driver/module-not-loaded"


@pytest.mark.parametrize(
    "line",
    [
        "[5.0] Loading of module with unavailable key is rejected",
        "[5.0] Loading of unsigned module is rejected",
        "[5.0] Lockdown: modprobe: unsigned module loading is restricted",
    ],
)
def test_secure_boot_refuses_the_module(line: str) -> None:
    """A module that is not there for this kernel cannot have been the one that was refused."""
    node = unloaded(commands=[("dmesg", 0, line, "")])
    assert cause(check_driver.module_not_loaded(node)) == "driver/module-signature-refused"
    other = unloaded(commands=[("dmesg", 0, line, "")], absent=[MODULE])
    assert cause(check_driver.module_not_loaded(other)) == "driver/no-module-for-this-kernel"


def test_a_tainted_kernel_is_no_refusal() -> None:
    """The kernel says so of every module from outside, and loads it."""
    line = "[5.0] nvidia: module verification failed: signature and/or required key missing"
    node = unloaded(commands=[("dmesg", 0, line, "")])
    assert cause(check_driver.module_not_loaded(node)) == "driver/module-not-loaded"
    assert check_driver.module_not_loaded(machine(log=[line])) is None


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "NVIDIA GPU 0000:17:00.0 (PCI ID: 10de:1db1)\nNVRM: installed in this system is not "
            "supported by open\nNVRM: nvidia.ko because it does not include the GSP.",
            "driver/wrong-module-flavour",
        ),
        (
            "NVIDIA GPU 0000:17:00.0 (PCI ID: 10de:2901)\nNVRM: installed in this system requires "
            "use of the NVIDIA open kernel modules.",
            "driver/wrong-module-flavour",
        ),
        (
            "NVIDIA Tesla K80 GPU installed in this system is\nNVRM:  supported through the "
            "NVIDIA 470.xx Legacy drivers. Please",
            "driver/branch-does-not-support-gpu",
        ),
        (
            "NVIDIA GPU 0000:17:00.0 (PCI ID: 10de:2901)\nNVRM: installed in this system is not "
            "supported by the\nNVRM: NVIDIA 535.54.03 driver release.",
            "driver/branch-does-not-support-gpu",
        ),
    ],
)
def test_the_module_refuses_the_gpu(message: str, expected: str) -> None:
    """It says why, over several lines."""
    node = unloaded(commands=[("dmesg", 0, f"NVRM: The {message}\n", "")])
    assert cause(check_driver.module_not_loaded(node)) == expected


def test_no_driver_is_due_where_gpus_belong_to_machines() -> None:
    """Unproven, not failed: nobody wants containers to use them."""
    labels = {"nvidia.com/gpu.workload.config": "vm-passthrough"}
    with pytest.raises(Unproven, match="virtual machines"):
        check_driver.module_not_loaded(unloaded(labels=labels))


def test_what_needs_a_loaded_module_is_unproven_without_it() -> None:
    """The first finding says it all."""
    for check in (check_driver.too_old, check_driver.mismatch, check_device_nodes.device_nodes):
        with pytest.raises(Unproven, match="not loaded"):
            check(unloaded())


def nvrm(version: str) -> Mapping[str, str]:
    """Return /proc/driver/nvidia/version of a driver."""
    line = f"NVRM version: NVIDIA UNIX x86_64 Kernel Module  {version}  Tue Sep 28\n"
    return {"/proc/driver/nvidia/version": line}


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("460.106.00", "driver/too-old"),
        ("390.157", "driver/too-old"),
        ("470.42.01", None),
        ("1000.10", None),
    ],
)
def test_470_is_the_oldest_branch(version: str, expected: str | None) -> None:
    """Compared by number, not by letters."""
    finding = check_driver.too_old(machine(files=nvrm(version)))
    assert cause(finding) == expected
    assert finding is None or version in said(finding)


def test_a_library_is_missing() -> None:
    """NVML's and CUDA's libraries come in packages of their own."""
    cuda = machine(absent=[LIBRARIES[0], ABSENT_LIBRARIES[0]])
    assert cause(check_driver.library_missing(cuda)) == "driver/libcuda-missing"
    both = machine(absent=[*LIBRARIES, *ABSENT_LIBRARIES], answers=None)
    assert cause(check_driver.library_missing(both)) == "driver/nvml-library-missing"


def test_libraries_elsewhere_are_not_missing() -> None:
    """NVML was loaded from a directory that nobody has heard of; there the other one lies too."""
    opt = "/opt/nvidia/lib"
    files = {f"{opt}/libcuda.so.1": b"", f"{opt}/libnvidia-ml.so.1": b""}
    node = machine(
        absent=[*LIBRARIES, *ABSENT_LIBRARIES],
        files=files,
        answers=nvml(library=f"{opt}/libnvidia-ml.so.1"),
    )
    assert check_driver.library_missing(node) is None


def test_libraries_that_nobody_looked_for_are_unproven() -> None:
    """NVML answers, so its own is there; of CUDA's nothing is known."""
    with pytest.raises(NotInEvidence, match="libcuda"):
        check_driver.library_missing(machine(without=["/usr/lib", *LIBRARIES]))


def test_libraries_of_another_version() -> None:
    """By their names on disk, or by NVML's own word."""
    upgraded = {
        f"{LIB}/{name}.so.1": f"{name}.so.535.183.01" for name in ("libnvidia-ml", "libcuda")
    }
    finding = check_driver.mismatch(machine(links=upgraded))
    assert cause(finding) == "driver/library-module-mismatch"
    assert "535.183.01" in said(finding)
    assert VERSION in said(finding)
    error = {"error": 18, "message": "Driver/library version mismatch"}
    spoken = machine(answers=nvml(init=error, devices=[]), without=LIBRARIES)
    assert cause(check_driver.mismatch(spoken)) == "driver/library-module-mismatch"


def test_a_library_without_a_version_is_proven_by_nvml() -> None:
    """A copy instead of a link: NVML starts only with the right one."""
    files = {f"{LIB}/libnvidia-ml.so.1": b""}
    assert check_driver.mismatch(machine(files=files, without=LIBRARIES)) is None
    silent = nvml(init={"error": 999, "message": "Unknown Error"}, devices=[])
    with pytest.raises(Unproven):
        check_driver.mismatch(machine(files=files, without=LIBRARIES, answers=silent))


@pytest.mark.parametrize("name", ["nvidiactl", "nvidia0", "nvidia1"])
def test_a_device_node_is_missing(name: str) -> None:
    """Whether NVML still lists the GPU or not."""
    node = machine(absent=[f"/dev/{name}"])
    assert cause(check_device_nodes.device_nodes(node)) == "driver/device-nodes-missing"
    silent = machine(absent=[f"/dev/{name}"], answers=nvml(device(0, FIRST)))
    assert cause(check_device_nodes.device_nodes(silent)) == "driver/device-nodes-missing"


@pytest.mark.parametrize(
    ("answers", "title"),
    [
        (nvml(), "missing in /dev: nvidia1"),
        (nvml(device(0, FIRST)), f"missing in /dev: none for {SECOND}"),
        (None, "missing in /dev: 1 of 2 GPUs has none"),
    ],
)
def test_the_title_says_which_device_node_is_missing(
    answers: dict[str, Any] | None, title: str
) -> None:
    """By its name, else by the GPU that NVML does not list, else by their number."""
    finding = check_device_nodes.device_nodes(machine(absent=["/dev/nvidia1"], answers=answers))
    assert title in title_of(finding)
    assert f"/dev: nvidia0 for 2 GPUs: {FIRST}, {SECOND}" in said(finding)


@pytest.mark.parametrize("name", ["nvidiactl", "nvidia-uvm"])
@pytest.mark.parametrize("unit", ["nvidia-persistenced", "nvidia-kmod-load", "gpu-module-load"])
def test_the_service_that_should_make_device_nodes_says_why_it_did_not(
    name: str, unit: str
) -> None:
    """Its own line is evidence; what failed beside it is not about device nodes."""
    told = [*commands(unit, "x", PERSISTENCED), *commands("nvidia-fabricmanager", "y", FABRIC)]
    text = said(check_device_nodes.device_nodes(machine(absent=[f"/dev/{name}"], commands=told)))
    assert PERSISTENCED in text
    assert FABRIC not in text
    assert check_device_nodes.device_nodes(machine(commands=told)) is None


def test_a_gpu_of_a_machine_needs_no_device_node() -> None:
    """vfio-pci holds it."""
    node = machine(
        links={f"{BUS}/{SECOND}/driver": "../../../bus/pci/drivers/vfio-pci"},
        absent=["/dev/nvidia1"],
        answers=nvml(device(0, FIRST)),
    )
    assert check_device_nodes.device_nodes(node) is None


def test_unified_memory_is_missing() -> None:
    """No node, or a node without a module behind it."""
    node = machine(absent=["/dev/nvidia-uvm"])
    assert cause(check_device_nodes.device_nodes(node)) == "driver/uvm-node-missing"
    unread = machine(absent=["/dev/nvidia-uvm"], without=["/proc/devices"])
    assert cause(check_device_nodes.device_nodes(unread)) == "driver/uvm-node-missing"
    devices = {"/proc/devices": "Character devices:\n195 nvidia\n\nBlock devices:\n"}
    assert (
        cause(check_device_nodes.device_nodes(machine(files=devices))) == "driver/uvm-node-missing"
    )


@pytest.mark.parametrize(
    ("name", "number"), [("nvidia-uvm", (509, 0)), ("nvidia1", (194, 1)), ("nvidiactl", (10, 255))]
)
def test_a_device_node_of_an_earlier_load(name: str, number: tuple[int, int]) -> None:
    """The kernel gave another major since."""
    finding = check_device_nodes.device_nodes(machine(devices={f"/dev/{name}": number}))
    assert cause(finding) == "driver/device-node-stale"
    assert f"/dev/{name}: major {number[0]}" in said(finding)


def test_an_unlisted_dev_is_unproven() -> None:
    """A node that nobody looked for is not absent."""
    with pytest.raises(NotInEvidence, match="/dev"):
        check_device_nodes.device_nodes(machine(without=["/dev"]))
