"""The journal of a unit, start by start."""

from __future__ import annotations

import pytest

from pytest_gpu.causes import Evidence
from pytest_gpu.evidence import CommandResult
from pytest_gpu.stack.host.journal import Start, journal, log_line, restart_counter, starts

NOTIFIES = """\
-- Logs begin at Mon 2026-01-05 06:00:00 UTC. --
Jan 06 10:00:00 n1 systemd[1]: Starting containerd.service - containerd container runtime...
Jan 06 10:00:01 n1 containerd[11]: one
Jan 06 10:00:01 n1 systemd[1]: Started containerd.service - containerd container runtime.
Jan 06 10:00:09 n1 containerd[11]: two
Jan 06 10:10:00 n1 systemd[1]: containerd.service: Main process exited, code=killed, status=9/KILL
Jan 06 10:10:00 n1 systemd[1]: containerd.service: Failed with result 'signal'.
Jan 06 10:10:05 n1 systemd[1]: containerd.service: Scheduled restart job, restart counter is at 1.
Jan 06 10:10:05 n1 systemd[1]: Starting containerd.service - containerd container runtime...
Jan 06 10:10:06 n1 containerd[12]: three
"""
AT_ONCE = """\
Jan 06 10:00:00 n1 systemd[1]: Started kubelet.
Jan 06 10:00:01 n1 kubelet[11]: one
Jan 06 10:00:02 n1 systemd[1]: Stopping kubelet...
Jan 06 10:00:02 n1 systemd[1]: Stopped kubelet.
Jan 06 10:00:03 n1 systemd[1]: Started kubelet.
Jan 06 10:00:04 n1 kubelet[12]: two
"""
OLD_SYSTEMD = """\
1月 06 10:00:00 n1 systemd[1]: Started kubelet.
1月 06 10:00:01 n1 kubelet[11]: one
1月 06 10:00:01 n1 systemd[1]: Unit kubelet.service entered failed state.
"""


def printed(text: str, argv: str = "journalctl -u x --no-pager -n 200") -> list[CommandResult]:
    """Return what a command printed."""
    return [CommandResult(argv=tuple(argv.split()), exit=0, stdout=text)]


def told(text: str) -> list[tuple[list[str], bool]]:
    """Return what the programs said at each start, and whether it ended by itself."""
    found: tuple[Start, ...] = starts(journal(printed(text), "x"))
    return [([line.message for line in each.own], each.ended is not None) for each in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (NOTIFIES, [(["one", "two"], True), (["three"], False)]),
        (AT_ONCE, [(["one"], False), (["two"], False)]),
        (OLD_SYSTEMD, [(["one"], True)]),
        ("", []),
    ],
)
def test_a_start_lasts_until_the_next_one(text: str, expected: object) -> None:
    """With units that say when they are ready, and with those that do not; a stop is no fault."""
    assert told(text) == expected


@pytest.mark.parametrize(
    ("argv", "known"),
    [
        ("journalctl -u x.service", True),
        ("/usr/bin/journalctl --unit=x -n 5", True),
        ("journalctl -xeu x", True),
        ("journalctl -u x-agent", False),
        ("systemctl status x", False),
    ],
)
def test_the_unit_is_named_exactly(argv: str, *, known: bool) -> None:
    """k3s is not k3s-agent."""
    assert bool(journal(printed(AT_ONCE, argv), "x")) is known


@pytest.mark.parametrize(
    ("line", "program", "message"),
    [
        ("Jan 06 10:00:00 n1 k8s.containerd[81422]: panic: x", "k8s.containerd", "panic: x"),
        ("Jan 06 10:00:00 systemd[1]: Started x.", "systemd", "Started x."),
        ("2026-01-06T10:00:00+0100 n1 (kubelet)[7]: Failed at step EXEC", "(kubelet)", None),
        ("Jan 06 10:00:00 n1 kubelet[7]: E0106 foo[1]: bar", "kubelet", "E0106 foo[1]: bar"),
    ],
)
def test_who_said_what(line: str, program: str, message: str | None) -> None:
    """With and without the host's name, in another format of time."""
    found = log_line(Evidence(source="journalctl", text=line))
    assert found is not None
    assert found.program == program
    assert message is None or found.message == message


def test_other_lines_are_nobodys() -> None:
    """The header of the journal, and what systemctl prints around it."""
    for line in ("-- Boot 5f --", "Active: active (running) since Tue; 2s ago", ""):
        assert log_line(Evidence(source="journalctl", text=line)) is None


def test_a_start_by_hand_ends_the_count() -> None:
    """Systemd counts anew then."""
    lines = journal(printed(NOTIFIES), "x")
    assert restart_counter(lines) == 1
    stopped = NOTIFIES + "Jan 06 10:20:00 n1 systemd[1]: Stopping containerd.service...\n"
    assert restart_counter(journal(printed(stopped), "x")) == 0


def test_a_line_is_quoted_without_what_controls_a_terminal() -> None:
    """Colours, titles and bells of a journal or of the last lines of a status."""
    said = "Mar 04 10:00:00 gpu-1 prog[7]: \x1b[31mfailed\x1b[0m \x1b]0;title\x07to\x08 start"
    line = log_line(Evidence(source="journalctl", line=3, text=said))
    assert line is not None
    assert line.message == "failed to start"
    assert line.evidence.text == "Mar 04 10:00:00 gpu-1 prog[7]: failed to start"
    assert line.evidence.line == 3
