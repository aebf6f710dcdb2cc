"""Every fault of a GPU that the driver handles makes its check fail, and near misses do not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import pytest_gpu
from pytest_gpu.catalogue import catalogue
from pytest_gpu.errors import NotInEvidence, Unproven
from pytest_gpu.messages import table
from pytest_gpu.stack.gpu import check_health
from tests.stack.gpu.gpu_machine import (
    BUS,
    FIRST,
    LOADED,
    SECOND,
    cause,
    device,
    function,
    machine,
    not_supported,
    nvml,
    said,
)
from tests.stack.units.failing import FABRIC, PERSISTENCED, commands

CHECKS = (
    check_health.grave_xids,
    check_health.nvml_silent,
    check_health.not_initialised,
    check_health.remap_failed,
    check_health.remap_pending,
    check_health.memory_unreadable,
    check_health.fabric_not_ready,
    check_health.mig_pending,
)
OK = device(1, SECOND)


def xid(number: int, text: str = "pid=5171, name=python") -> str:
    """Return a line of the kernel log."""
    return f"[99.0] NVRM: Xid (PCI:{FIRST[:-2]}): {number}, {text}"


def first(**answers: Any) -> dict[str, Any]:
    """Return NVML's answers with other ones for the first GPU."""
    return nvml(device(0, FIRST, **answers), OK)


def flags(**changes: bool) -> dict[str, Any]:
    """Return the row remapper's state."""
    return {"correctable": 0, "uncorrectable": 1, "pending": False, "failed": False, **changes}


@pytest.mark.parametrize("check", CHECKS)
def test_a_healthy_machine_has_no_finding(check: Any) -> None:
    """Not one; neither has one whose GPU shares its memory with the CPU."""
    assert check(machine()) is None
    unified = device(0, "000f:01:00.0", memory=not_supported(), remapped_rows=not_supported(),
                     mig=not_supported(), ecc_uncorrected=not_supported())  # fmt: skip
    assert check(machine(gpus=["000f:01:00.0"], answers=nvml(unified))) is None


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (48, "hardware/uncontained-memory-error"),
        (95, "hardware/uncontained-memory-error"),
        (140, "hardware/uncontained-memory-error"),
        (74, "hardware/nvlink-fault"),
        (119, "driver/gsp-timeout"),
        (120, "driver/gsp-timeout"),
        (46, "driver/gpu-needs-reset"),
        (62, "driver/gpu-needs-reset"),
    ],
)
def test_a_grave_xid(number: int, expected: str) -> None:
    """Until the driver is loaded anew."""
    finding = check_health.grave_xids(machine(log=[xid(number)]))
    assert cause(finding) == expected
    assert f"{FIRST[:-2]}): {number}," in said(finding)
    assert check_health.grave_xids(machine(log=[xid(number), LOADED])) is None


@pytest.mark.parametrize("number", [13, 31, 43, 45, 63, 68, 92, 94, 109, 1000])
def test_an_xid_that_asks_for_no_reset(number: int) -> None:
    """Applications, and errors that were contained or corrected."""
    assert check_health.grave_xids(machine(log=[xid(number)])) is None


def test_a_contained_double_bit_error_is_no_failure() -> None:
    """XID 94 after XID 48, on the same GPU."""
    assert check_health.grave_xids(machine(log=[xid(48), xid(94)])) is None
    other = xid(94).replace(FIRST[:-2], SECOND[:-2])
    assert check_health.grave_xids(machine(log=[xid(48), other])) is not None


def test_the_driver_asks_for_a_reset() -> None:
    """XID 154 says the action; its last word counts."""
    text = "GPU recovery action changed from {} to {}"
    asks = xid(154, text.format("0x0 (None)", "0x1 (GPU Reset Required)"))
    over = xid(154, text.format("0x1 (GPU Reset Required)", "0x0 (None)"))
    assert cause(check_health.grave_xids(machine(log=[asks]))) == "driver/gpu-needs-reset"
    assert check_health.grave_xids(machine(log=[asks, over])) is None


def test_without_a_kernel_log_xids_are_unproven() -> None:
    """No log is not a clean one."""
    with pytest.raises(NotInEvidence, match="kernel log"):
        check_health.grave_xids(machine(commands=[]))


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (4, "driver/nvml-refuses"),
        (9, "driver/nvml-refuses"),
        (12, "driver/nvml-library-missing"),
        (15, "hardware/fallen-off-the-bus"),
        (16, "driver/gpu-needs-reset"),
        (18, "driver/library-module-mismatch"),
        (999, "driver/nvml-refuses"),
    ],
)
def test_nvml_does_not_start(code: int, expected: str) -> None:
    """Every code of nvmlInit that means something of its own has its own cause."""
    answers = nvml(init={"error": code, "message": "said so"}, devices=[])
    assert cause(check_health.nvml_silent(machine(answers=answers))) == expected


def test_nvml_hangs() -> None:
    """The probe gave up on it."""
    hung = machine(answers={"library": "/usr/lib64/libnvidia-ml.so.1", "hung": True})
    assert cause(check_health.nvml_silent(hung)) == "driver/nvml-hangs"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (15, "hardware/fallen-off-the-bus"),
        (16, "driver/gpu-needs-reset"),
        (999, "driver/nvml-refuses"),
        (3, None),
        (13, None),
    ],
)
def test_nvml_has_trouble_with_one_gpu(code: int, expected: str | None) -> None:
    """``Not Supported`` speaks of the question, ``Unknown Error`` of the GPU."""
    answers = first(ecc_uncorrected={"error": code, "message": "said so"})
    assert cause(check_health.nvml_silent(machine(answers=answers))) == expected


def test_nvml_gives_no_handle() -> None:
    """Whatever the code, that GPU cannot be used."""
    broken = {"index": 0, "error": 17, "message": "Blocked by the operating system"}
    node = machine(answers=nvml(broken, OK))
    assert cause(check_health.nvml_silent(node)) == "driver/nvml-refuses"


def test_a_gpu_is_not_initialised() -> None:
    """It is on the bus, and not in NVML; the log explains."""
    line = f"[90.0] NVRM: GPU {FIRST}: RmInitAdapter failed! (0x62:0x65:1792)"
    finding = check_health.not_initialised(machine(answers=nvml(OK), log=[line]))
    assert cause(finding) == "driver/gpu-not-initialised"
    assert "RmInitAdapter failed" in said(finding)
    assert f"missing: {FIRST}" in said(finding)


def test_a_module_of_the_wrong_flavour_initialises_nothing() -> None:
    """Loaded for one GPU, it refuses the other."""
    line = (
        f"[9.0] NVRM: The NVIDIA GPU {FIRST} (PCI ID: 10de:2901) installed in this system "
        "requires use of the NVIDIA open kernel modules."
    )
    node = machine(answers=nvml(OK), log=[line])
    assert cause(check_health.not_initialised(node)) == "driver/wrong-module-flavour"


def test_gpus_that_are_not_the_drivers_need_not_be_in_nvml() -> None:
    """One is a machine's; a switch and an audio function are none."""
    files = {**function("0000:c1:00.0", "0x068000"), **function("0000:17:00.1", "0x040300")}
    links = {f"{BUS}/{FIRST}/driver": "../../../bus/pci/drivers/vfio-pci"}
    assert check_health.not_initialised(machine(answers=nvml(OK), files=files, links=links)) is None


@pytest.mark.parametrize(
    "check", [check for check in CHECKS[2:] if check is not check_health.nvml_silent]
)
def test_a_silent_nvml_leaves_the_rest_unproven(check: Any) -> None:
    """Its own test has failed; these do not pass for want of GPUs."""
    answers = nvml(init={"error": 999, "message": "Unknown Error"}, devices=[])
    with pytest.raises(Unproven, match="999"):
        check(machine(answers=answers))


def test_no_spare_rows_are_left() -> None:
    """NVML's flag, or XID 64."""
    flagged = machine(answers=first(remapped_rows=flags(failed=True)))
    assert cause(check_health.remap_failed(flagged)) == "hardware/row-remap-failed"
    logged = machine(log=[xid(64, "Row Remapper: recording failure")])
    assert cause(check_health.remap_failed(logged)) == "hardware/row-remap-failed"


def test_a_pending_remapping_is_only_noted() -> None:
    """The GPU works until its next reset."""
    node = machine(answers=first(remapped_rows=flags(pending=True)), log=[xid(63)])
    assert check_health.remap_failed(node) is None
    assert cause(check_health.remap_pending(node)) == "hardware/row-remap-pending"


@pytest.mark.parametrize("number", [63, 94])
def test_the_log_counts_where_nvml_does_not_know(number: int) -> None:
    """With MIG the question is not supported; without, NVML's word is newer than the log's."""
    blind = machine(answers=first(remapped_rows=not_supported()), log=[xid(number)])
    assert cause(check_health.remap_pending(blind)) == "hardware/row-remap-pending"
    assert check_health.remap_pending(machine(log=[xid(number)])) is None


def test_rows_that_nobody_asked_about_are_unproven() -> None:
    """A missing answer is not a good one."""
    gpu = {key: value for key, value in device(0, FIRST).items() if key != "remapped_rows"}
    with pytest.raises(NotInEvidence, match="remapped_rows"):
        check_health.remap_failed(machine(answers=nvml(gpu, OK)))


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        ({"error": 999, "message": "Unknown Error"}, "driver/memory-unreadable"),
        ({"total": 0}, "driver/memory-unreadable"),
        ({"error": 3, "message": "Not Supported"}, None),
        ({"total": 1}, None),
    ],
)
def test_memory_must_be_readable(memory: dict[str, Any], expected: str | None) -> None:
    """Unless it is the CPU's."""
    node = machine(answers=first(memory=memory))
    assert cause(check_health.memory_unreadable(node)) == expected


@pytest.mark.parametrize(
    ("fabric", "switch", "expected"),
    [
        ({"state": 2}, False, "driver/fabric-not-ready"),
        ({"state": 1}, True, "driver/fabric-not-ready"),
        ({"state": 3, "status": 999}, True, "driver/fabric-not-ready"),
        ({"state": 1}, False, None),
        ({"state": 3, "status": 0}, True, None),
        ({"state": 0}, True, None),
        (not_supported(), True, None),
    ],
)
def test_the_fabric(fabric: dict[str, Any], switch: bool, expected: str | None) -> None:
    """Without switches there is none to wait for, unless the GPU itself is waiting."""
    files = function("0000:c1:00.0", "0x068000") if switch else {}
    node = machine(answers=first(fabric=fabric), files=files)
    assert cause(check_health.fabric_not_ready(node)) == expected


def test_the_failed_fabric_manager_says_why_the_fabric_is_not_ready() -> None:
    """Its own line is evidence; another service that failed is not."""
    manager = commands("nvidia-fabricmanager", "nv-fabricmanager", FABRIC)
    other = commands("nvidia-persistenced", "nvidia-persistenced", PERSISTENCED)
    node = machine(answers=first(fabric={"state": 2}), commands=[*manager, *other])
    text = said(check_health.fabric_not_ready(node))
    assert FABRIC in text
    assert PERSISTENCED not in text


def test_a_change_of_mig_is_only_noted() -> None:
    """It comes with the next reset."""
    node = machine(answers=first(mig={"current": 0, "pending": 1}))
    finding = check_health.mig_pending(node)
    assert cause(finding) == "driver/mig-change-pending"
    assert "disabled, pending: enabled" in said(finding)
    assert (
        check_health.mig_pending(machine(answers=first(mig={"current": 1, "pending": 1}))) is None
    )


def _asked() -> str:
    """Return the code of what the tests of these layers ask: the driver may come in a container."""
    stack = Path(pytest_gpu.__file__).parent / "stack"
    files = (file for room in ("gpu", "operands", "units") for file in (stack / room).glob("*.py"))
    return "".join(file.read_text(encoding="utf-8") for file in files)


def test_every_cause_of_these_layers_can_be_found() -> None:
    """What the code names is in the catalogue, and nothing else but the unexplained."""
    named = set(re.findall(r'"((?:hardware|driver)/[a-z-]+)"', _asked()))
    named |= {row.cause for row in table() if row.cause.startswith(("hardware/", "driver/"))}
    listed = {cause_id for cause_id in catalogue() if cause_id.startswith(("hardware/", "driver/"))}
    assert named == listed - {"hardware/unexplained", "driver/unexplained"}
