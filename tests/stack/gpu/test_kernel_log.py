"""What the kernel log says about GPUs, and when a logged fault is over."""

from __future__ import annotations

import re

import pytest

from pytest_gpu.errors import NotInEvidence
from pytest_gpu.stack.gpu import kernel_log
from pytest_gpu.stack.gpu.kernel_log import KernelLog
from tests.stack.gpu.gpu_machine import LOADED
from tests.support.fake_evidence import FakeNode

XID_79 = "[99.1] NVRM: Xid (PCI:0000:a1:00): 79, pid='<unknown>', GPU has fallen off the bus."


def log(*lines: str) -> KernelLog:
    """Return a kernel log of these lines."""
    return kernel_log.read(FakeNode(commands=[("dmesg", 0, "\n".join(lines), "")]))


@pytest.mark.parametrize(
    "line",
    [
        XID_79,
        "[Fri Apr  5 21:29:39 2024] NVRM: Xid (PCI:0000:A1:00): 79, GPU has fallen off the bus.",
        "NVRM: Xid (0000:a1:00): 79, GPU is lost.",
        "[1.0] NVRM: Xid (PCI:0000:a1:00 GPU-I:05): 79, pid=1, name=x",
    ],
)
def test_xids_are_read_in_every_form(line: str) -> None:
    """Time stamps, old forms, MIG instances."""
    assert [(xid.number, xid.slot) for xid in log(line).xids] == [(79, "0000:a1:00")]


def test_a_line_that_only_mentions_an_xid_is_none() -> None:
    """Somebody may echo the word into the log."""
    assert log("[1.0] systemd: Xid 79 handler started", "NVRM: Xid : 32, pid=2").xids == ()


@pytest.mark.parametrize(
    "later",
    [
        LOADED,
        "[200.0] pci 0000:a1:00.0: [10de:20b0] type 00 class 0x030200 PCIe Endpoint",
        "[200.0] NVRM: Xid (PCI:0000:a1:00): 154, GPU recovery action changed "
        "from 0x1 (GPU Reset Required) to 0x0 (None)",
    ],
)
def test_a_fault_ends_with_a_sign_of_recovery(later: str) -> None:
    """Reload of the driver, rediscovery on the bus, or the driver's own word."""
    assert log(LOADED, XID_79).standing((79,))
    assert not log(LOADED, XID_79, later).standing((79,))


QUOTES = [
    f"[200.0] app[7]: the log says {LOADED}",
    "[200.0] x NVRM: loading NVIDIA UNIX x86_64 Kernel Module  580.95.05",
    "[200.0] relay kernel: NVRM: loading NVIDIA UNIX x86_64 Kernel Module  580.95.05",
    "user  :notice: [200.0] NVRM: loading NVIDIA UNIX x86_64 Kernel Module  580.95.05",
    "<12>[200.0] NVRM: loading NVIDIA UNIX x86_64 Kernel Module  580.95.05",
    "[200.0] watch: pci 0000:a1:00.0: [10de:20b0] type 00 class 0x030200",
    "[200.0] watch: NVRM: Xid (PCI:0000:a1:00): 154, GPU recovery action changed "
    "from 0x1 (GPU Reset Required) to 0x0 (None)",
]


@pytest.mark.parametrize("quote", QUOTES)
def test_a_line_that_quotes_the_driver_ends_no_fault(quote: str) -> None:
    """Whoever writes to the kernel log from user space heals no GPU."""
    assert log(LOADED, XID_79, quote).standing((79,))


def test_a_line_that_quotes_an_xid_is_none() -> None:
    """And breaks none."""
    assert log(f"[1.0] app[7]: saw {XID_79}").xids == ()


STAMPS = {
    "dmesg": (
        "",
        "[ 12.3] ",
        "[Fri Apr  5 21:29:39 2024] ",
        "[   12.345678][    T7] ",
        "<3>[1.0] ",
    ),
    "dmesg --decode": ("kern  :err   : [ 12.3] ", "kern  :warn  : [Fri Apr  5 21:29:39 2024] "),
    "journalctl -k": (
        "",
        "Nov 21 10:00:00 gpu-1 kernel: ",
        "2026-11-21T10:00:00+0000 gpu-1 kernel: ",
        "2026-11-21T10:00:00.123456+00:00 gpu-1.example.com kernel: ",
        "[   12.345678] gpu-1 kernel: ",
        "Nov 21 10:00:00.123456 gpu-1 kernel: ",
    ),
}


@pytest.mark.parametrize(
    ("command", "stamp"), [(name, each) for name, stamps in STAMPS.items() for each in stamps]
)
def test_stamps_of_every_kind_are_known(command: str, stamp: str) -> None:
    """What dmesg and journalctl put before the kernel's own words."""
    lines = (LOADED, XID_79, "[3.0] pci 0000:a1:00.0: [10de:20b0] type 00 class 0x030200")
    text = "\n".join(stamp + line.partition("] ")[2] for line in lines)
    found = kernel_log.read(FakeNode(commands=[(command, 0, text, "")]))
    assert [(xid.number, xid.index) for xid in found.xids] == [(79, 1)]
    assert found.recovered_at == {"0000:a1:00": 2}
    again = kernel_log.read(FakeNode(commands=[(command, 0, f"{text}\n{text}", "")]))
    assert again.loaded_at == 3


def test_the_recovery_of_another_gpu_does_not_count() -> None:
    """And neither does what came before the fault."""
    other = "[200.0] pci 0000:b1:00.0: [10de:20b0] type 00 class 0x030200"
    assert log(XID_79, other).standing((79,))
    assert log(other.replace("b1", "a1"), XID_79).standing((79,))


def test_the_drivers_last_word_on_recovery_counts() -> None:
    """Only the newest XID 154 of each GPU."""
    text = "NVRM: Xid (PCI:0000:a1:00): 154, GPU recovery action changed from {} to {}"
    wanted = text.format("0x0 (None)", "0x2 (Node Reboot Required)")
    over = text.format("0x2 (Node Reboot Required)", "0x0 (None)")
    assert [xid.text for xid in log(wanted).recovery_actions] == [wanted]
    assert log(wanted, over).recovery_actions == ()
    assert log(text.format("0x0 (None)", "0x3 (Drain P2P)")).recovery_actions == ()


def test_a_wrapped_message_is_read_as_one() -> None:
    """The driver breaks its longer messages at different words."""
    found = log(
        "[1.0] NVRM: The NVIDIA GPU 0000:00:07.0 (PCI ID: 10de:1b80)",
        "[1.0] NVRM: installed in this system is not supported by open",
        "[1.0] NVRM: nvidia.ko because it does not include the required GPU",
    ).find_wrapped("NVRM: The NVIDIA", re.compile(r"not supported by open nvidia\.ko"))
    assert found is not None
    assert found.line == 1


def test_a_log_that_the_kernel_refused_is_no_empty_log() -> None:
    """dmesg_restrict: exit code 1, nothing printed."""
    refused = FakeNode(commands=[("dmesg", 1, "", "dmesg: read kernel buffer failed")])
    with pytest.raises(NotInEvidence, match="kernel log"):
        kernel_log.read(refused)
    with pytest.raises(NotInEvidence):
        kernel_log.read(FakeNode(commands=[("journalctl -u kubelet", 0, XID_79, "")]))
