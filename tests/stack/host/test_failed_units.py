"""Failed units that belong to GPUs or to what runs containers."""

from __future__ import annotations

import pytest

from pytest_gpu.evidence import CommandResult
from pytest_gpu.stack.host.failed_units import (
    LIST,
    MOST,
    failed_gpu_units,
    failed_units,
    listed,
    listed_for_gpus,
)

LISTING = """\
cups.service                    loaded failed     failed       CUPS Scheduler
nvidia-persistenced.service     loaded failed     failed       NVIDIA Persistence Daemon
● dkms.service                  loaded failed     failed       Builds and install new kernel modules
kubelet.service                 loaded activating auto-restart kubelet: The Kubernetes Node Agent
snap.microk8s.daemon-kubelite.service loaded failed failed Service for snap application
agpupdate.service               loaded failed     failed       Something else
"""
FAILED = """\
● gpu-module-load.service - Load the GPU module
     Active: failed (Result: exit-code) since Tue 2025-06-03 07:11:21 UTC; 3h ago
   Main PID: 612 (code=exited, status=1/FAILURE)

Jun 03 07:11:21 ip-10-0-3-7 load[612]: modprobe: FATAL: Module nvidia not found
Jun 03 07:11:21 ip-10-0-3-7 systemd[1]: gpu-module-load.service: Failed with result 'exit-code'.
"""
RUNS = "● nvidia-persistenced.service\n     Active: active (running) since Tue; 3h ago\n"


def status(unit: str, text: str) -> CommandResult:
    """Return what systemctl shows of a unit."""
    return CommandResult(argv=("systemctl", "status", "-l", f"{unit}.service"), exit=3, stdout=text)


def test_units_of_the_stack_are_asked_about() -> None:
    """By what they are called, in the order of the list; others are nobody's business."""
    names = listed([CommandResult(argv=LIST, exit=0, stdout=LISTING)])
    assert names == (
        "nvidia-persistenced",
        "dkms",
        "kubelet",
        "snap.microk8s.daemon-kubelite",
    )


def test_the_journal_is_read_of_those_that_belong_to_gpus() -> None:
    """A status shows ten lines, and after some starts in vain all are systemd's own."""
    names = listed_for_gpus([CommandResult(argv=LIST, exit=0, stdout=LISTING)])
    assert names == ("nvidia-persistenced", "dkms")


@pytest.mark.parametrize("text", ["", "Failed to connect to bus\n", "a b\n"])
def test_a_host_without_systemd_lists_nothing(text: str) -> None:
    """Nor does another command."""
    assert listed([CommandResult(argv=LIST, exit=127, stdout=text)]) == ()
    assert listed([CommandResult(argv=("systemctl", "list-units"), exit=0, stdout=LISTING)]) == ()


def test_no_more_than_some_are_asked_about() -> None:
    """However many failed."""
    many = "".join(f"nvidia-{at}.service loaded failed failed x\n" for at in range(99))
    assert len(listed([CommandResult(argv=LIST, exit=0, stdout=many)])) == MOST


def test_a_failed_unit_is_shown_with_its_last_words() -> None:
    """State, exit and words; one that runs, or that is of no interest, is not shown."""
    commands = [
        status("gpu-module-load", FAILED),
        status("nvidia-persistenced", RUNS),
        status("cups", FAILED),
        status("kubelet", FAILED),
    ]
    assert [unit.name for unit in failed_units(commands)] == ["gpu-module-load", "kubelet"]
    assert [(each.line, each.text) for each in failed_gpu_units(commands)] == [
        (2, "Active: failed (Result: exit-code) since Tue 2025-06-03 07:11:21 UTC; 3h ago"),
        (3, "Main PID: 612 (code=exited, status=1/FAILURE)"),
        (
            5,
            "Jun 03 07:11:21 ip-10-0-3-7 load[612]: modprobe: FATAL: Module nvidia not found",
        ),
    ]
