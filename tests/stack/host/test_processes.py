"""Processes from procfs: arguments, start times, sockets."""

from __future__ import annotations

import pytest

from pytest_gpu.errors import NotInEvidence
from pytest_gpu.stack.host.processes import (
    Process,
    arguments,
    flag,
    running,
    socket_paths,
    start_time,
)
from tests.support.fake_evidence import FakeNode

UNIX = """\
Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 4711 /run/containerd/containerd.sock
0000000000000000: 00000003 00000000 00000000 0001 03 4712 /run/containerd/containerd.sock
"""


def test_arguments_are_split_at_nul_and_by_hand_at_line_ends() -> None:
    """The kernel separates by NUL, a person who writes a recording by lines."""
    assert arguments(b"/usr/bin/containerd\0--config\0/etc/a b.toml\0") == (
        "/usr/bin/containerd",
        "--config",
        "/etc/a b.toml",
    )
    assert arguments(b"kubelet\n--v=2\n") == ("kubelet", "--v=2")


def test_last_flag_wins_in_either_spelling() -> None:
    """Flags are read as pflag reads them."""
    argv = ("kubelet", "--config=/a", "--config", "/b", "--other")
    assert flag(argv, "--config") == "/b"
    assert flag(argv, "--other") is None
    assert flag(argv, "--conf") is None


def test_only_listening_sockets_count() -> None:
    """A connected socket has the same path and is no listener."""
    assert socket_paths(UNIX) == {"4711": "/run/containerd/containerd.sock"}


def test_start_time_counts_ticks_from_boot() -> None:
    """Field 22 of stat is in ticks of a hundredth; the command may hold blanks and brackets."""
    stat = "77 (odd ) name) S 1 77 77 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 12345 0 0"
    assert start_time(stat, 1_000_000.0) == 1_000_123.45
    assert start_time(stat, None) is None


def test_a_process_is_put_together_from_its_folder() -> None:
    """Arguments, program, start and listening sockets come from one process's folder."""
    node = FakeNode(
        files={
            "/proc/77/cmdline": "/usr/bin/containerd\0",
            "/proc/77/stat": "77 (containerd) S 1 77 77 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 100 0 0",
            "/proc/net/unix": UNIX,
            "/proc/stat": "cpu 1 2\nbtime 1000000\n",
        },
        links={"/proc/77/fd/9": "socket:[4711]", "/proc/77/exe": "/usr/bin/containerd"},
        complete=["/proc", "/proc/77/fd"],
    )
    (process,) = running(node)
    assert (process.pid, process.program, process.started) == (77, "containerd", 1_000_001.0)
    assert process.sockets == frozenset({"/run/containerd/containerd.sock"})


@pytest.mark.parametrize(
    ("unix", "listed", "sockets"),
    [(UNIX, True, frozenset()), (UNIX, False, None), (None, True, None), (None, False, None)],
)
def test_sockets_that_nobody_looked_at_are_unknown(
    unix: str | None, listed: bool, sockets: frozenset[str] | None
) -> None:
    """Neither the open files of a process nor the list of sockets tells without the other."""
    files = {"/proc/77/cmdline": "/usr/bin/containerd\0"}
    files |= {} if unix is None else {"/proc/net/unix": unix}
    complete = ["/proc", "/proc/77/fd"] if listed else ["/proc"]
    (process,) = running(FakeNode(files=files, complete=complete))
    assert process.sockets == sockets


def test_unlisted_proc_is_unknown_not_empty() -> None:
    """Nobody looked: that is no proof that nothing runs."""
    with pytest.raises(NotInEvidence):
        running(FakeNode(files={"/proc/77/cmdline": "kubelet"}))


def test_a_program_has_the_name_of_its_file_and_the_one_it_was_started_under() -> None:
    """k3s is the file behind its containerd, and writes its command line into argument 0."""
    k3s = Process(pid=1, argv=("/usr/local/bin/k3s agent",), exe=None)
    assert k3s.is_program("k3s")
    assert "agent" in k3s.words
    containerd = Process(pid=2, argv=("containerd", "-c", "/x"), exe="/var/lib/rancher/k3s/bin/k3s")
    assert containerd.is_program("containerd")
    assert containerd.program == "k3s"


def test_a_file_that_an_upgrade_replaced_keeps_its_name() -> None:
    """The kernel marks it in /proc/PID/exe."""
    process = Process(pid=1, argv=("x",), exe="/usr/bin/containerd (deleted)")
    assert process.program == "containerd"


def test_lines_that_the_kernel_did_not_write_are_passed_over() -> None:
    """Neither flags that are no number nor a start time that is none."""
    assert socket_paths("head\n0: 2 0 zzzz 1 01 4711 /x\n") == {}
    assert start_time(f"77 (a) {'S ' * 30}", 1.0) is None
