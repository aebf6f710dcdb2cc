"""How a unit ends by itself: the line of its last start that says why."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_gpu.evidence import CommandResult
from pytest_gpu.stack.host.journal import journal, starts
from pytest_gpu.stack.kubelet.unit_end import UnitEnd, ends_again_and_again, why
from tests.stack.kube.kube_machine import Machine

STATUS = "systemctl status -l containerd.service"
LOG = "journalctl -u containerd --no-pager -n 200"
LOOPING = "     Active: activating (auto-restart) (Result: exit-code) since Tue; 4s ago\n"
FAILED = "     Active: failed (Result: exit-code) since Tue; 4h ago\n"
RUNNING = "     Active: active (running) since Tue; 2 days ago\n"
STARTING = "     Active: activating (start) since Tue; 2s ago\n"
AT = "Mar 04 09:50:01 n1 "
BEGIN = f"{AT}systemd[1]: Starting containerd.service...\n"
END = f"{AT}systemd[1]: containerd.service: Main process exited, code=exited, status=1/FAILURE\n"
AGAIN = f"{AT}systemd[1]: containerd.service: Scheduled restart job, restart counter is at {{}}.\n"
OOM = f"{AT}systemd[1]: x.service: A process of this unit has been killed by the OOM killer.\n"
EXEC = f"{AT}systemd[1]: containerd.service: Failed at step EXEC spawning /x: No such file\n"


def own(text: str) -> str:
    """Return a line of containerd's."""
    return f"{AT}containerd[7]: {text}\n"


def end(status: str, log: str) -> UnitEnd | None:
    """Return how the unit ended on a node."""
    node = Machine(commands=[(STATUS, 3, status, ""), (LOG, 0, log, "")]).node()
    return ends_again_and_again(node, "containerd")


@pytest.mark.parametrize(
    ("status", "counter", "loops"),
    [
        (LOOPING, 1, True),
        (FAILED, 5, True),
        (FAILED, 0, False),
        (STARTING, 5, True),
        (STARTING, 1, False),
        (RUNNING, 40, False),
        ("     Active: inactive (dead) since Tue; 4h ago\n", 40, False),
    ],
)
def test_what_counts_is_the_state_now(status: str, counter: int, *, loops: bool) -> None:
    """However often it ended before; one failure of a unit that nobody starts is no loop."""
    log = AGAIN.format(counter) + BEGIN + own("containerd: x") + END
    assert (end(status, log) is not None) is loops


def test_a_unit_that_nobody_asked_about_is_not_known() -> None:
    """The journal alone says what was, not what is."""
    node = Machine(commands=[(LOG, 0, BEGIN + own("containerd: x") + END, "")]).node()
    assert ends_again_and_again(node, "containerd") is None


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([own("containerd: first"), own("bye")], "containerd: first"),
        ([own('level=error msg="a"'), own('level=error msg="b"')], 'level=error msg="b"'),
        ([own('level=error msg="a"'), own("panic: x"), own("goroutine 1:")], "panic: x"),
        ([own('level=fatal msg="a"'), own("containerd: b")], 'level=fatal msg="a"'),
        ([own('level=error msg="a"'), OOM], "killed by the OOM killer"),
        ([EXEC], "Failed at step EXEC"),
        ([own("hello"), own("cannot open /x"), own("bye")], "cannot open /x"),
        ([own("hello"), own("bye")], "bye"),
    ],
)
def test_the_line_that_says_why(lines: list[str], expected: str) -> None:
    """The fatal one, what it says under its own name, its last error, what was done to it."""
    found = end(LOOPING, BEGIN + "".join(lines) + END)
    assert found is not None
    assert found.words is not None
    assert expected in found.words.text
    assert found.exit == "code=exited, status=1/FAILURE"
    assert not found.said.startswith("Mar 04")


def test_only_the_last_start_counts() -> None:
    """Not an earlier reason, and not a start that still goes on."""
    log = BEGIN + own("containerd: old") + END + BEGIN + own("containerd: new") + END
    found = end(LOOPING, log + BEGIN + own('level=error msg="going on"'))
    assert found is not None
    assert found.words is not None
    assert "containerd: new" in found.words.text


NONSENSE = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=3, max_size=40)


@given(words=st.lists(NONSENSE, min_size=1, max_size=6), noise=st.lists(NONSENSE, max_size=5))
def test_unknown_last_words_are_quoted(words: list[str], noise: list[str]) -> None:
    """Whatever they are: exactly that line, and as an old one it convicts nobody."""
    last = f"containerd: {' '.join(words)}"
    log = BEGIN + "".join(own(f'level=warning msg="{each}"') for each in noise) + own(last) + END
    found = end(LOOPING, log)
    assert found is not None
    assert found.words is not None
    assert found.words.text.endswith(last)
    assert found.words.line == len(noise) + 2
    assert end(RUNNING, log + BEGIN + own("serving")) is None


def test_a_start_without_words_has_no_reason() -> None:
    """Systemd's exit line is not one."""
    lines = journal(
        [CommandResult(argv=tuple(LOG.split()), exit=0, stdout=BEGIN + END)], "containerd"
    )
    (only,) = starts(lines)
    assert why(only) is None


def test_words_are_told_without_stamps_and_marks() -> None:
    """The reason of a structured line of klog follows its message."""
    klog = 'E0304 09:58:41.101112    4711 run.go:74] "command failed" err="no such file /x"'
    found = end(LOOPING, BEGIN + own(klog) + END)
    assert found is not None
    assert found.said == "command failed: no such file /x"
    silent = end(LOOPING, BEGIN + END)
    assert silent is not None
    assert silent.said == "(none in the evidence)"
