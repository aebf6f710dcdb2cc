"""Of several errors in a log: the one that the program ended with, not one that it survived."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_gpu.stack.operands.container_log import lines_of
from pytest_gpu.stack.operands.decisive import decisive

KLOG = "{}0113 08:15:{:02}.104220       1 {}] {}"


def line_of(log: str) -> tuple[int, str]:
    """Return the number and the text of the decisive line."""
    found = decisive(lines_of(log))
    assert found is not None
    return found.number, found.text


# client-go, tools/cache/reflector.go: what an informer prints while it reaches no API server.
REFLECTOR = (
    '"Unhandled Error" err="failed to list *v1.Node: Get \\"https://10.96.0.1:443/api/v1/nodes\\":'
    ' dial tcp 10.96.0.1:443: connect: connection refused"'
)
# k8s-device-plugin v0.17, internal/rm/factory.go and cmd/nvidia-device-plugin/main.go.
NO_STRATEGY = (
    KLOG.format("E", 33, "factory.go:112", "Incompatible strategy detected auto"),
    KLOG.format("E", 33, "factory.go:113", "If this is a GPU node, did you configure the toolkit?"),
    KLOG.format(
        "E", 33, "main.go:173", "error starting plugins: invalid device discovery strategy"
    ),
)
# controller-runtime, pkg/internal/controller/controller.go and pkg/manager/internal.go.
CACHES = (
    '2026-01-13T08:15:33Z\tERROR\tCould not wait for Cache to sync\t{"error": "no kind Foo"}',
    "2026-01-13T08:15:33Z\tINFO\tStopping and waiting for non leader election runnables",
    "2026-01-13T08:15:33Z\tINFO\tAll workers finished",
    "2026-01-13T08:15:33Z\tINFO\tWait completed, proceeding to shutdown the manager",
    '2026-01-13T08:15:33Z\tERROR\tsetup\tproblem running manager\t{"error": "failed to wait"}',
)


@pytest.mark.parametrize(
    ("log", "number", "text"),
    [
        (
            (
                KLOG.format("I", 30, "main.go:42", "Starting"),
                KLOG.format("E", 32, "reflector.go:158", REFLECTOR),
                KLOG.format("I", 41, "shared_informer.go:320", "Caches are synced"),
                KLOG.format("E", 42, "main.go:173", 'error starting plugins: unknown field "a"'),
            ),
            4,
            'error starting plugins: unknown field "a"',
        ),
        (
            (
                KLOG.format("E", 2, "reflector.go:158", REFLECTOR),
                KLOG.format("E", 55, "main.go:173", "error starting plugins: no kubelet"),
            ),
            2,
            "error starting plugins: no kubelet",
        ),
        (
            (
                'time="2026-01-13T08:15:32Z" level=error msg="failed to watch: i/o timeout"',
                'time="2026-01-13T08:15:33Z" level=info msg="watching again"',
                "Error: unable to create driver: flux missing",
            ),
            3,
            "unable to create driver: flux missing",
        ),
        (
            (
                "level=info msg=starting",
                "level=error msg=survived",
                "level=info msg=works",
                "nvidia-x: symbol lookup error: undefined symbol: nvmlQux",
            ),
            4,
            "nvidia-x: symbol lookup error: undefined symbol: nvmlQux",
        ),
        (NO_STRATEGY, 1, "Incompatible strategy detected auto"),
        (CACHES, 1, "Could not wait for Cache to sync: no kind Foo"),
        (
            (
                'level=fatal msg="Error applying MIG configuration: orderings failed"',
                "Restarting any GPU clients previously shutdown in Kubernetes...",
                'level=error msg="Error: exit status 1"',
            ),
            1,
            "Error applying MIG configuration: orderings failed",
        ),
        (
            (
                "ERROR: Module nvidia_drm is not loaded",
                "Installing the kernel module packages...",
                "ERROR: Unable to load the kernel module 'nvidia.ko'.",
                "ERROR: Installation has failed.",
            ),
            3,
            "Unable to load the kernel module 'nvidia.ko'.",
        ),
        (
            (
                "E: Unable to locate package linux-headers-6.8.0-31",
                "E: Couldn't find any package by glob 'linux-headers-6.8.0-31'",
                "Could not resolve Linux kernel version",
            ),
            1,
            "E: Unable to locate package linux-headers-6.8.0-31",
        ),
    ],
    ids=["progress", "time", "cobra", "plain", "plugin", "manager", "mig", "installer", "apt"],
)
def test_the_first_of_the_errors_that_it_ended_with(
    log: tuple[str, ...], number: int, text: str
) -> None:
    """What it worked on after, is none of them; what follows from the first is its echo."""
    assert line_of("\n".join(log)) == (number, text)


@pytest.mark.parametrize(
    ("log", "number"),
    [
        ("level=error msg=why\nlevel=error msg='cannot list, retrying'", 1),
        ("level=error msg='cannot list, will retry'\nlevel=error msg=why", 2),
        ("level=error msg='no peer: try again later'\nlevel=fatal msg='giving up'", 2),
        ("level=error msg='cannot list, retrying'\nlevel=info msg=a", 1),
        ("level=error msg='exit status 3'\nlevel=info msg=a", 1),
        ("level=error msg='command failed: bind: permission denied'\nlevel=info msg=a", 1),
        ("level=error msg='failed to sync after 5 retries'\nlevel=error msg=b", 1),
        ("level=fatal msg='cannot bind, try again'\nlevel=error msg=b", 1),
    ],
)
def test_what_will_be_tried_again_counts_only_if_there_is_nothing_else(
    log: str, number: int
) -> None:
    """A fatal error is none that is survived, and a counted retry is over."""
    assert line_of(log.replace("'", '"'))[0] == number


@pytest.mark.parametrize(
    "between",
    [
        KLOG.format("W", 34, "a.go:1", "Ignoring error getting device memory: Not Supported"),
        "  a: part of a longer message",
        "I0113 08:15:34.104220       1 main.go:9] Shutting down",
        "goroutine 1 [running]:",
    ],
)
def test_what_does_not_show_that_it_works_parts_no_errors(between: str) -> None:
    """Warnings, further lines of a message, and what a program says while it ends."""
    first, last = KLOG.format("E", 33, "a.go:1", "why"), KLOG.format("E", 35, "a.go:1", "echo")
    assert line_of(f"{first}\n{between}\n{last}") == (1, "why")


# Letters alone: no word of a language, and no number that looks like a stamp.
WORDS = st.text(alphabet="bcdfghjklmnpqrstvwxz", min_size=3, max_size=9)
NONSENSE = st.lists(WORDS, min_size=2, max_size=8).map(" ".join)
Shape = Callable[[str, str, int], str]
CLOCK = "08:{:02}:{:02}"


def _klog(level: str, text: str, second: int) -> str:
    return f"{level[0].upper()}0113 {_clock(second)}.104220       1 main.go:42] {text}"


def _logrus(level: str, text: str, second: int) -> str:
    return f'time="2026-01-13T{_clock(second)}Z" level={level} msg="{text}"'


def _json(level: str, text: str, second: int) -> str:
    return json.dumps({"level": level, "ts": f"2026-01-13T{_clock(second)}.1Z", "msg": text})


def _clock(second: int) -> str:
    return CLOCK.format(second // 60, second % 60)


SURVIVED = st.sampled_from(
    (
        [("error", "failed to list *v1.Node: connection refused"), ("info", "Caches are synced")],
        [("error", "could not contact the kubelet, retrying")],
        [("error", "Ignoring error: no devices found"), ("info", "Configured")],
        [("warning", "Error signaling containerd, attempt 1/6: unable to dial")],
        [("error", "the object was modified; will try again"), ("warning", "slow")],
    )
)


@given(
    shape=st.sampled_from((_klog, _logrus, _json)),
    survived=st.lists(SURVIVED, max_size=5),
    deadly=NONSENSE,
    level=st.sampled_from(("error", "fatal")),
    after=st.lists(st.sampled_from(("Shutting down", "Received signal", "bye")), max_size=3),
)
def test_errors_that_it_survived_come_before_the_one_that_it_died_of(
    shape: Shape, survived: list[list[tuple[str, str]]], deadly: str, level: str, after: list[str]
) -> None:
    """In each format, exactly the deadly one is quoted."""
    said = [("info", "Version v1.2.3"), *(each for part in survived for each in part)]
    lines = [shape(*each, second) for second, each in enumerate(said)]
    ending = [shape("info", each, 60) for each in after]
    log = "\n".join([*lines, shape(level, deadly, 59), *ending])
    assert line_of(log) == (len(lines) + 1, deadly)


@given(
    shape=st.sampled_from((_klog, _logrus, _json)),
    first=NONSENSE,
    deadly=NONSENSE,
    pause=st.integers(min_value=0, max_value=50),
)
def test_errors_one_after_the_other_belong_together_if_they_are_close(
    shape: Shape, first: str, deadly: str, pause: int
) -> None:
    """Ten seconds are enough to end."""
    said = (("info", "Version", 0), ("error", first, 0), ("error", deadly, pause))
    log = "\n".join(shape(*each) for each in said)
    assert line_of(log)[0] == (2 if pause <= 10 else 3)
