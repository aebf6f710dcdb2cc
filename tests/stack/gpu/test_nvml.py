"""NVML's answers: a value, an error, or not asked."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_gpu.errors import NotInEvidence, Unproven
from pytest_gpu.stack.gpu.nvml import Nvml, NvmlError, read
from tests.stack.gpu.gpu_machine import FIRST, device, not_supported, nvml
from tests.support.fake_evidence import FakeNode


def answers(*devices: object, **changes: object) -> Nvml:
    """Return the facts from NVML's answers."""
    return read(FakeNode(nvml=nvml(*devices, **changes)))  # type: ignore[arg-type]


def test_devices_carry_the_address_that_sysfs_writes() -> None:
    """GB10's domain has no leading zeros left."""
    found = answers(device(0, "000f:01:00.0"))
    assert found.answers
    assert found.asked()[0].address == "000f:01:00.0"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"name": "A10", "bdf": "00000000:17:00.0"}, "GPU 1 (A10, 0000:17:00.0)"),
        ({"name": "A10"}, "GPU 1 (A10)"),
        ({"name": {"error": 15, "message": "GPU is lost"}}, "GPU 1"),
        ({"bdf": "00000000:17:00.0"}, "GPU 1 (0000:17:00.0)"),
        ({}, "GPU 1"),
    ],
)
def test_a_device_is_shown_by_what_is_known_of_it(given: dict[str, Any], shown: str) -> None:
    """Neither None nor unknown stands for what NVML did not tell."""
    (found,) = answers({"index": 1, **given}).devices
    assert str(found) == shown


def test_an_answer_is_a_value_an_error_or_unknown() -> None:
    """``Not Supported`` is an answer; a question that was not asked is none."""
    gpu = answers(device(0, FIRST, memory=not_supported())).devices[0]
    assert gpu.answer("memory") == NvmlError(code=3, message="Not Supported")
    assert gpu.answer("mig") == {"current": 0, "pending": 0}
    with pytest.raises(NotInEvidence, match="temperature"):
        gpu.answer("temperature")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (None, "no libnvidia-ml"),
        ({"library": None, "init": {"error": None}, "devices": []}, "no libnvidia-ml"),
        ({"library": None, "init": {"error": 12, "message": "Not Found"}}, "no libnvidia-ml"),
        ({"library": None, "hung": True}, "it hangs"),
        ({"library": "/x", "init": {"error": 9, "message": "Driver Not Loaded"}}, "error 9"),
    ],
)
def test_a_silent_nvml_proves_nothing_about_gpus(
    raw: dict[str, object] | None, reason: str
) -> None:
    """It is not the same as no GPUs."""
    found = read(FakeNode(nvml=raw))
    assert not found.answers
    with pytest.raises(Unproven, match=reason):
        found.asked()


def test_nvml_that_nobody_asked_is_unknown() -> None:
    """Neither missing nor silent."""
    with pytest.raises(NotInEvidence):
        read(FakeNode())


@pytest.mark.parametrize("memory", [None, [], {}, {"total": "much"}])
def test_an_answer_of_another_shape_is_none(memory: object) -> None:
    """It convicts nobody."""
    gpu = answers(device(0, FIRST, memory=memory)).devices[0]
    with pytest.raises(NotInEvidence, match="memory"):
        gpu.numbers("memory", "total")


@pytest.mark.parametrize("devices", [None, ["x"], [{"memory": {"error": "x"}}]])
def test_devices_that_cannot_be_read_are_unknown(devices: object) -> None:
    """Else every GPU would be missing."""
    with pytest.raises(NotInEvidence):
        answers(devices=devices)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"init": "ok"}, "init is not a mapping"),
        ({"init": []}, "init is not a mapping"),
        ({"hung": 0}, "hung is neither true nor false"),
        ({"devices": ""}, "devices is not a list of mappings"),
        ({"hung": "yes"}, "hung is neither true nor false"),
        ({"driver_version": 550}, "driver_version is not text"),
        ({"driver_version": "550\r\x1b[2J"}, "driver_version is not a version"),
        ({"devices": "two"}, "devices is not a list of mappings"),
        ({"devices": [None]}, "devices is not a list of mappings"),
        ({"init": {"error": 10**400, "message": ""}}, "an error code has more than 64 bits"),
    ],
)
def test_answers_of_another_shape_are_unknown(changes: dict[str, object], says: str) -> None:
    """The reason says what is wrong, not what Python could not do with it."""
    with pytest.raises(NotInEvidence) as unknown:
        answers(device(0, FIRST), **changes)
    assert says in str(unknown.value)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("index", "zero", "index is not a whole number"),
        ("index", 10**400, "index is not a whole number"),
        ("minor", -1, "minor is not a whole number"),
        ("ecc_uncorrected", "many", "ecc_uncorrected is not a whole number"),
        ("bdf", "../../etc/passwd", "bdf is not a PCI address"),
        ("bdf", 17, "bdf is not text"),
        ("uuid", [1], "uuid is not text"),
    ],
)
def test_a_device_of_another_shape_is_unknown(key: str, value: object, says: str) -> None:
    """Also where the answer decides little: the others of this node are no better."""
    with pytest.raises(NotInEvidence) as unknown:
        answers(device(0, FIRST) | {key: value})
    assert says in str(unknown.value)


def test_answers_that_do_not_name_a_library_are_unknown() -> None:
    """Only null says that there is none."""
    with pytest.raises(NotInEvidence, match="whether NVML's library could be loaded"):
        read(FakeNode(nvml={"devices": []}))
    assert read(FakeNode(nvml={"library": None})).missing
