"""The driver's parts, as read from the evidence."""

from __future__ import annotations

import pytest

from pytest_gpu.errors import NotInEvidence
from pytest_gpu.stack.gpu import device_nodes, driver, kernel_modules, libraries
from pytest_gpu.stack.gpu.driver import numbers
from tests.stack.gpu.gpu_machine import KERNEL, LIB, MODULES
from tests.support.fake_evidence import FakeNode

UNAME = ("uname -r", 0, f"{KERNEL}\n", "")


@pytest.mark.parametrize(
    ("line", "version"),
    [
        ("NVIDIA UNIX x86_64 Kernel Module  520.56.06  Thu Oct  6 21:38:55 UTC 2022", "520.56.06"),
        ("NVIDIA UNIX Open Kernel Module for x86_64  550.54.14  Release Build", "550.54.14"),
        ("NVIDIA UNIX Open Kernel Module for aarch64  580.95.05  Release Build", "580.95.05"),
        (
            "NVIDIA UNIX x86_64 Kernel Module  460.106.00  Tue Sep 28 12:05:58 UTC 2021",
            "460.106.00",
        ),
    ],
)
def test_the_version_is_read_from_both_flavours(line: str, version: str) -> None:
    """The kernel module names itself in /proc."""
    node = FakeNode(files={driver.VERSION_FILE: f"NVRM version: {line}\nGCC version: 12.2.0\n"})
    assert driver.read(node).version == version


@pytest.mark.parametrize("text", ["", "\0" * 99, "9" * 5000, "$(id)\x1b[2J", "550." + "1" * 400])
def test_a_version_that_is_none_is_unknown(text: str) -> None:
    """It is neither too old nor another one than the library's."""
    files = {driver.VERSION_FILE: "", "/sys/module/nvidia/version": text}
    with pytest.raises(NotInEvidence, match="a version in /sys/module/nvidia/version"):
        assert driver.read(FakeNode(files=files)).version


def test_versions_compare_by_number() -> None:
    """460.106 is older than 470, and 1000 newer than 470."""
    assert numbers("460.106.00") < (470,) <= numbers("470.42.01") < numbers("1000.1")


def test_the_module_is_loaded_by_either_sign() -> None:
    """A module whose name only starts alike is another one."""
    absent = {"absent": ["/proc/driver"]}
    assert driver.read(FakeNode(files={"/proc/modules": "nvidia 5 0 - Live\n"}, **absent)).loaded  # type: ignore[arg-type]
    other = FakeNode(files={"/proc/modules": "nvidia_wmi 5 0 - Live\n\n"}, absent=["/proc/driver"])
    assert not driver.read(other).loaded
    with pytest.raises(NotInEvidence):
        _ = driver.read(FakeNode()).loaded


@pytest.mark.parametrize(
    "file",
    [
        f"{MODULES}/updates/dkms/nvidia.ko.zst",
        f"{MODULES}/kernel/nvidia-535srv/nvidia.ko",
        f"{MODULES}/kernel/drivers/video/nvidia.ko.xz",
    ],
)
def test_a_module_file_is_found_where_packages_put_it(file: str) -> None:
    """DKMS, Ubuntu's signed modules, NVIDIA's installer; compressed or not."""
    node = FakeNode(files={file: b""}, commands=[UNAME], complete=[f"{MODULES}/kernel"])
    assert driver.read(node).module_files == {KERNEL: file}


def test_modules_of_other_kernels_are_told_apart() -> None:
    """The running kernel's directories were all looked into."""
    other = "/lib/modules/5.15.0-86-generic/updates/dkms/nvidia.ko"
    node = FakeNode(files={other: b""}, commands=[UNAME], complete=["/lib/modules"])
    assert kernel_modules.nvidia_files(node, KERNEL) == {"5.15.0-86-generic": other}


def test_module_files_nobody_looked_for_are_unknown() -> None:
    """Not absent."""
    with pytest.raises(NotInEvidence, match=KERNEL):
        kernel_modules.nvidia_files(FakeNode(), KERNEL)


def test_a_search_of_all_modules_is_an_answer() -> None:
    """``find`` on a machine whose /lib is part of /usr prints either path."""
    path = f"/usr/lib/modules/{KERNEL}/weak-updates/odd/nvidia.ko.gz"
    node = FakeNode(commands=[("find /lib/modules -name nvidia.ko*", 0, f"{path}\n", "")])
    assert kernel_modules.nvidia_files(node, KERNEL) == {KERNEL: path}


def test_the_kernel_release_is_in_proc_version_too() -> None:
    """When nobody ran uname."""
    node = FakeNode(files={"/proc/version": "Linux version 6.8.0-1018-aws (b@c) #20 SMP\n"})
    assert driver.read(node).kernel == "6.8.0-1018-aws"


def test_a_library_is_absent_only_where_everything_was_looked_at() -> None:
    """Unless another library of the same driver says where it would be."""
    one = FakeNode(absent=[f"{LIB}/{libraries.CUDA}"])
    with pytest.raises(NotInEvidence):
        libraries.find(one, libraries.CUDA)
    assert libraries.find(one, libraries.CUDA, beside=LIB) is None
    everything = FakeNode(absent=["/usr", "/home", "/run"])
    assert libraries.find(everything, libraries.CUDA) is None


def test_the_driver_of_the_operator_has_its_own_root() -> None:
    """Libraries and device nodes lie below it."""
    root = libraries.OPERATOR_ROOT
    node = FakeNode(
        files={f"{root}/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.535.161.08": b""},
        links={f"{root}/usr/lib/x86_64-linux-gnu/{libraries.NVML}": "libnvidia-ml.so.535.161.08"},
        devices={f"{root}/dev/nvidia0": (195, 0)},
        complete=["/dev", f"{root}/dev"],
    )
    found = driver.read(node)
    assert found.libnvml
    assert found.libnvml.version == "535.161.08"
    assert found.nodes.directory == f"{root}/dev"


def test_majors_are_those_of_character_devices() -> None:
    """Block devices have numbers of their own."""
    text = "Character devices:\n  1 mem\n510 nvidia-uvm\n\nBlock devices:\n259 blkext\n"
    assert device_nodes.majors(FakeNode(files={"/proc/devices": text})) == {
        "mem": 1,
        "nvidia-uvm": 510,
    }
