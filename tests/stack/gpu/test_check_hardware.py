"""Every fault of the hardware layer makes its check fail, and near misses do not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from pytest_gpu.errors import NotInEvidence, Unproven
from pytest_gpu.stack.gpu import check_bus, check_hardware
from tests.stack.gpu.gpu_machine import (
    BUS,
    DEAD,
    FIRST,
    LOADED,
    MODULES,
    SECOND,
    cause,
    device,
    function,
    machine,
    not_supported,
    nvml,
    said,
)

CHECKS = (
    check_hardware.missing,
    check_hardware.fallen_off_the_bus,
    check_hardware.lost,
    check_hardware.held,
    check_hardware.split,
    check_bus.narrow_links,
    check_bus.iommu_faults,
)
XID_79 = f"[99.0] NVRM: Xid (PCI:{FIRST[:-2]}): 79, pid='<unknown>', GPU has fallen off the bus."


@pytest.mark.parametrize("check", CHECKS)
def test_a_healthy_machine_has_no_finding(check: Any) -> None:
    """Neither failure nor note."""
    assert check(machine(labels={"nvidia.com/gpu.count": "2"})) is None


def test_a_bus_without_a_gpu() -> None:
    """The finding names what announced one."""
    node = machine(gpus=[], files=function("0000:17:00.1", "0x040300"),
                   labels={"nvidia.com/gpu.present": "true"})  # fmt: skip
    finding = check_hardware.missing(node)
    assert cause(finding) == "hardware/gpu-missing"
    assert "label nvidia.com/gpu.present=true" in said(finding)
    assert "0000:17:00.1 is an NVIDIA function but not a GPU" in said(finding)


def test_a_platform_gpu_is_a_gpu() -> None:
    """Tegra and WSL have none on the bus."""
    assert check_hardware.missing(machine(gpus=[], devices={"/dev/dxg": (10, 125)})) is None
    assert check_hardware.missing(machine(gpus=["000f:01:00.0"])) is None


def test_a_bus_that_nobody_read_is_unproven() -> None:
    """Unknown is neither a pass nor a failure."""
    with pytest.raises(NotInEvidence):
        check_hardware.missing(machine(without=[BUS]))


def test_a_dead_configuration_space() -> None:
    """Also without a kernel log."""
    node = machine(files={f"{BUS}/{SECOND}/config": DEAD}, gpus=[FIRST], commands=[])
    node = machine(files={**function(SECOND), f"{BUS}/{SECOND}/config": DEAD}, gpus=[FIRST])
    finding = check_hardware.fallen_off_the_bus(node)
    assert cause(finding) == "hardware/fallen-off-the-bus"
    assert SECOND in said(finding)


def test_xid_79_and_a_gpu_that_does_not_answer() -> None:
    """NVML gives no handle, or nobody could read the configuration space."""
    lost = nvml(device(1, SECOND))
    assert cause(check_hardware.fallen_off_the_bus(machine(log=[XID_79], answers=lost))) == (
        "hardware/fallen-off-the-bus"
    )
    unread = machine(log=[XID_79], without=[f"{BUS}/{FIRST}/config"])
    assert cause(check_hardware.fallen_off_the_bus(unread)) == "hardware/fallen-off-the-bus"


def test_nvml_calls_a_gpu_lost() -> None:
    """Error 15, whatever was asked."""
    lost = device(0, FIRST, memory={"error": 15, "message": "GPU is lost"})
    finding = check_hardware.fallen_off_the_bus(machine(answers=nvml(lost, device(1, SECOND))))
    assert cause(finding) == "hardware/fallen-off-the-bus"


def test_a_gpu_that_came_back_is_no_failure() -> None:
    """An old event does not convict: it answers on the bus and in NVML, or the driver reloaded."""
    assert check_hardware.fallen_off_the_bus(machine(log=[XID_79])) is None
    unread = [f"{BUS}/{FIRST}/config"]
    assert check_hardware.fallen_off_the_bus(machine(log=[XID_79, LOADED], without=unread)) is None


def test_xids_of_applications_are_no_failure() -> None:
    """XID 31 is a program's bad pointer."""
    line = XID_79.replace(" 79,", " 31,")
    assert (
        check_hardware.fallen_off_the_bus(machine(log=[line], answers=nvml(device(1, SECOND))))
        is None
    )


def test_without_any_sign_of_life_it_is_unproven() -> None:
    """No kernel log, no configuration space, no NVML."""
    unread = [f"{BUS}/{gpu}/config" for gpu in (FIRST, SECOND)]
    with pytest.raises(Unproven, match=FIRST):
        check_hardware.fallen_off_the_bus(machine(commands=[], without=unread, answers=None))
    assert check_hardware.fallen_off_the_bus(machine(commands=[], without=unread)) is None


@pytest.mark.parametrize(
    "label",
    [
        "nvidia.com/gpu.count",
        "karpenter.k8s.aws/instance-gpu-count",
        "cloud.google.com/gke-accelerator-count",
    ],
)
def test_fewer_gpus_than_the_labels_count(label: str) -> None:
    """Three signs that count boards."""
    finding = check_hardware.lost(machine(labels={label: "4"}))
    assert cause(finding) == "hardware/gpu-lost"
    assert f"{label}=4" in said(finding)


@pytest.mark.parametrize(
    ("labels", "capacity"),
    [
        ({"nvidia.com/gpu.count": "2", "nvidia.com/gpu.replicas": "4"}, {"nvidia.com/gpu": "8"}),
        ({"nvidia.com/gpu.count": "1"}, {}),
        ({"nvidia.com/gpu.count": "14", "nvidia.com/mig.strategy": "single"}, {}),
        (
            {
                "nvidia.com/gpu.count": "14",
                "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-40GB-MIG-1g.5gb",
            },
            {"nvidia.com/gpu": "14"},
        ),
        ({"nvidia.com/gpu.count": "many"}, {}),
        ({}, {"nvidia.com/gpu": "8"}),
    ],
)
def test_time_slicing_and_mig_multiply_nothing(
    labels: Mapping[str, str], capacity: Mapping[str, str]
) -> None:
    """Replicas and MIG devices are no boards; capacity never counts boards."""
    assert check_hardware.lost(machine(labels=labels, capacity=capacity)) is None


@pytest.mark.parametrize(
    ("driver", "expected"),
    [
        ("nouveau", "driver/nouveau-holds-gpu"),
        ("NovaCore", "driver/nouveau-holds-gpu"),
        ("vfio-pci", "hardware/held-for-passthrough"),
        ("nvidia", None),
        (None, None),
    ],
)
def test_who_holds_the_gpus(driver: str | None, expected: str | None) -> None:
    """A GPU that nobody holds is a matter of the layer above."""
    finding = check_hardware.held(machine(driver=driver))
    assert cause(finding) == expected
    assert finding is None or f"-> {driver}" in said(finding)


def test_gpus_meant_for_machines_are_no_failure() -> None:
    """The operator's label says so."""
    labels = {"nvidia.com/gpu.workload.config": "vm-passthrough"}
    node = machine(driver="vfio-pci", labels=labels)
    assert check_hardware.held(node) is None
    assert check_hardware.reserved_for_machines(node)
    assert not check_hardware.reserved_for_machines(
        machine(labels={"nvidia.com/gpu.workload.config": "container"})
    )


def test_a_split_machine_is_only_noted() -> None:
    """One GPU for machines, the others for containers."""
    node = machine(links={f"{BUS}/{SECOND}/driver": "../../../bus/pci/drivers/vfio-pci"})
    assert check_hardware.held(node) is None
    assert cause(check_hardware.split(node)) == "hardware/held-for-passthrough"
    nouveau = machine(links={f"{BUS}/{SECOND}/driver": "../../../bus/pci/drivers/nouveau"})
    assert cause(check_hardware.held(nouveau)) == "driver/nouveau-holds-gpu"


def test_an_unread_driver_link_is_unproven_if_another_driver_is_loaded() -> None:
    """Where none of them is loaded, none can hold a GPU."""
    unread = [f"{BUS}/{gpu}/driver" for gpu in (FIRST, SECOND)]
    assert check_hardware.held(machine(without=unread)) is None
    modules = {"/proc/modules": "nouveau 2306048 0 - Live\n"}
    with pytest.raises(NotInEvidence, match="driver"):
        check_hardware.held(machine(without=unread, files=modules))


@pytest.mark.parametrize(
    ("width", "widest", "expected"),
    [("4", "16", "hardware/pcie-width-reduced"), ("16", "16", None), ("0", "16", None)],
)
def test_pcie_lanes(width: str, widest: str, expected: str | None) -> None:
    """A link that is down shows no lanes at all: not a matter of width."""
    files = {f"{BUS}/{FIRST}/current_link_width": width, f"{BUS}/{FIRST}/max_link_width": widest}
    assert cause(check_bus.narrow_links(machine(files=files))) == expected


def test_pcie_lanes_that_the_slot_never_had() -> None:
    """A GPU with 16 lanes in a slot with 8 is as it was built."""
    port = "/sys/devices/pci0000:16/0000:16:02.0"
    files = {path.replace(BUS, port): text for path, text in function(SECOND).items()}
    files |= {f"{port}/{SECOND}/current_link_width": "8", f"{port}/{SECOND}/max_link_width": "16"}
    links = {f"{BUS}/{SECOND}": f"../../../devices/pci0000:16/0000:16:02.0/{SECOND}"}
    narrow = machine(gpus=[FIRST], files=files, links=links)
    assert cause(check_bus.narrow_links(narrow)) == "hardware/pcie-width-reduced"
    built = machine(gpus=[FIRST], files={**files, f"{port}/max_link_width": "8"}, links=links)
    assert check_bus.narrow_links(built) is None


def test_the_iommu_refuses_a_gpu() -> None:
    """The same fault of another device is somebody else's."""
    fault = "AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x0003 address=0x80000040 flags=0x0020]"
    node = machine(log=[f"[5.0] nvidia {FIRST}: {fault}"])
    assert cause(check_bus.iommu_faults(node)) == "hardware/iommu-faults"
    assert check_bus.iommu_faults(machine(log=[f"[5.0] nvme 0000:65:00.0: {fault}"])) is None


def test_no_answer_is_asked_of_a_machine_whose_driver_is_gone() -> None:
    """The hardware is judged without a driver, too."""
    node = machine(driver=None, answers=None, absent=["/proc/driver", MODULES], log=[])
    assert [check(node) for check in CHECKS] == [None] * len(CHECKS)
    assert check_hardware.fallen_off_the_bus(
        machine(answers=nvml(device(0, FIRST, memory=not_supported()), device(1, SECOND)))
    ) is None  # fmt: skip
