"""What ``systemctl status`` shows of a unit that ends by itself."""

from __future__ import annotations

import pytest

from pytest_gpu.evidence import CommandResult
from pytest_gpu.stack.host.systemd_status import UnitStatus, unit_status

ARGV = ("systemctl", "status", "-l", "kubelet.service")
LOOPING = "     Active: activating (auto-restart) (Result: core-dump) since Tue; 9s ago\n"
RUNNING = "     Active: active (running) since Tue 2025-03-04 09:58:51 UTC; {age} ago\n"
ENDED = "   Main PID: 7 (code=dumped, signal=ABRT)\n"
WORDS = "Mar 04 09:58:41 n1 kubelet[7]: {}\n"
RESTARTED = "Mar 04 09:58:51 n1 systemd[1]: kubelet.service: Scheduled restart job, {}.\n"


def shown(text: str) -> UnitStatus:
    """Return what a text of systemctl shows."""
    found = unit_status([CommandResult(argv=ARGV, exit=3, stdout=text)], "kubelet")
    assert found
    return found


def test_a_unit_that_nobody_asked_for_is_not_known() -> None:
    """Another unit, or another command."""
    text = LOOPING + ENDED
    other = [CommandResult(argv=(*ARGV[:3], "containerd.service"), exit=3, stdout=text)]
    journal = [CommandResult(argv=("journalctl", "-u", "kubelet"), exit=0, stdout=text)]
    assert unit_status([*other, *journal], "kubelet") is None


def test_a_signal_ends_a_program_too() -> None:
    """The line of its main process tells; without a log there are no words."""
    status = shown(LOOPING + ENDED)
    assert status.restarts
    assert (status.exit, status.last_words) == ("code=dumped, signal=ABRT", None)
    assert [each.line for each in status.evidence] == [1, 2]


@pytest.mark.parametrize(
    ("logged", "last"),
    [
        (["I0304 09:58 starting", "E0304 09:58 first", "F0304 09:58 second", "I0304 bye"], "F0304"),
        (["panic: runtime error", "goroutine 1 [running]:"], "panic: "),
        (["one", "two"], "two"),
    ],
)
def test_the_last_error_says_most(logged: list[str], last: str) -> None:
    """What comes after it, such as a stack, says less; without an error the last line counts."""
    status = shown(LOOPING + ENDED + "".join(map(WORDS.format, logged)))
    assert status.last_words
    assert f"kubelet[7]: {last}" in status.last_words.text


@pytest.mark.parametrize(
    ("age", "expected"), [("2s", True), ("850ms", True), ("1min 3s", False), ("2 days", False)]
)
def test_a_unit_just_started_is_younger_than_a_minute(age: str, *, expected: bool) -> None:
    """Systemd says how long ago that was."""
    assert shown(RUNNING.format(age=age)).just_started is expected


def test_a_start_by_hand_ends_the_count() -> None:
    """Systemd counts anew then, as its log shows."""
    text = RUNNING.format(age="2s") + RESTARTED.format("restart counter is at 41")
    by_hand = "Mar 04 09:58:59 n1 systemd[1]: Stopping kubelet.service...\n"
    assert shown(text).counter == 41
    assert shown(text + by_hand).counter == 0
