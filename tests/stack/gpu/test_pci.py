"""Which functions on the PCI bus are GPUs, and which only look like GPUs."""

from __future__ import annotations

import pytest

from pytest_gpu.errors import NotInEvidence
from pytest_gpu.stack.gpu import pci
from tests.stack.gpu.gpu_machine import ALIVE, BUS, DEAD, function
from tests.support.fake_evidence import FakeNode

GPU = "0000:17:00.0"


def node(**more: object) -> FakeNode:
    """Return a machine with one GPU, and whatever else is given."""
    given = {"files": function(GPU), "complete": [BUS, "/dev"], **more}
    return FakeNode(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize("device_class", ["0x030000", "0x030200", "0x030201"])
def test_vga_and_3d_controllers_are_gpus(device_class: str) -> None:
    """The lowest byte of the class does not matter."""
    found = pci.read(node(files=function(GPU, device_class)))
    assert [gpu.address for gpu in found.gpus] == [GPU]


@pytest.mark.parametrize("device_class", ["0x040300", "0x0c0330", "0x0c8000", "0x068000"])
def test_audio_usb_serial_and_switch_functions_are_no_gpus(device_class: str) -> None:
    """They are NVIDIA's, and kept apart."""
    found = pci.read(node(files=function("0000:17:00.1", device_class)))
    assert found.gpus == ()
    assert found.others == ("0000:17:00.1",)


def test_an_nvswitch_is_known_as_one() -> None:
    """It decides whether a fabric that was not started matters."""
    files = {**function(GPU), **function("0000:c1:00.0", "0x068000")}
    assert pci.read(node(files=files)).switches == ("0000:c1:00.0",)


def test_a_gpu_of_another_vendor_does_not_count() -> None:
    """A board management controller has a VGA function too."""
    found = pci.read(node(files=function("0000:03:00.0", "0x030000", vendor="0x1a03")))
    assert (found.gpus, found.others, found.functions) == ((), (), 1)


def test_a_virtual_function_is_no_board_of_its_own() -> None:
    """SR-IOV shows each share of a board as a 3D controller."""
    files = {**function(GPU), **function("0000:17:00.4")}
    links = {f"{BUS}/0000:17:00.4/physfn": f"../{GPU}"}
    assert len(pci.read(node(files=files, links=links)).gpus) == 1


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("00000000:17:00.0", "0000:17:00.0"),
        ("0000000F:01:00.0", "000f:01:00.0"),
        ("00010000:01:00.0", "10000:01:00.0"),
    ],
)
def test_addresses_compare_however_they_are_written(written: str, normal: str) -> None:
    """NVML writes eight digits; GB10's domain is 000f; VMD makes domains of five digits."""
    assert pci.normal(written) == normal


def test_the_driver_link_has_three_answers() -> None:
    """Bound, unbound, and nobody looked."""
    path = f"{BUS}/{GPU}/driver"
    bound = node(links={path: "../../../bus/pci/drivers/nouveau"})
    assert pci.read(bound).gpus[0].driver == "nouveau"
    assert pci.read(node(absent=[path])).gpus[0].driver == ""
    assert pci.read(node()).gpus[0].driver is None


def test_a_dead_configuration_space_is_all_ones() -> None:
    """A live one starts with the vendor's ID."""
    path = f"{BUS}/{GPU}/config"
    assert pci.read(node(files={**function(GPU), path: DEAD})).gpus[0].dead is True
    assert pci.read(node(files={**function(GPU), path: ALIVE})).gpus[0].dead is False
    assert pci.read(node()).gpus[0].dead is None


def test_the_slot_may_be_narrower_than_the_gpu() -> None:
    """The port above is the directory that holds the function's own."""
    port = "/sys/devices/pci0000:16/0000:16:02.0"
    files = {f"{port}/max_link_width": "8\n", f"{port}/{GPU}/current_link_width": "8\n"}
    files |= {path.replace(f"{BUS}/", f"{port}/"): str(t) for path, t in function(GPU).items()}
    links = {f"{BUS}/{GPU}": f"../../../devices/pci0000:16/0000:16:02.0/{GPU}"}
    gpu = pci.read(node(files=files, links=links)).gpus[0]
    assert (gpu.width, gpu.slot_width) == (8, 8)


@pytest.mark.parametrize(("device", "platform"), [("dxg", "WSL"), ("nvmap", "Tegra")])
def test_a_platform_gpu_is_on_no_bus(device: str, platform: str) -> None:
    """WSL and Tegra are known by a device node that only their driver makes."""
    found = pci.read(node(files={}, devices={f"/dev/{device}": (10, 60)}))
    assert found.platform == platform


def test_an_unread_bus_is_not_an_empty_one() -> None:
    """Neither is a function whose vendor nobody read."""
    with pytest.raises(NotInEvidence, match=BUS):
        pci.read(FakeNode())
    with pytest.raises(NotInEvidence, match="vendor"):
        pci.read(node(files={f"{BUS}/{GPU}/class": "0x030200"}))


@pytest.mark.parametrize("text", ["0x", "0x1", "x\x00garbage", ""])
def test_an_id_that_was_cut_off_is_unknown(text: str) -> None:
    """It may be anybody's."""
    files = {**function(GPU), f"{BUS}/{GPU}/vendor": text}
    with pytest.raises(NotInEvidence):
        pci.read(node(files=files))
