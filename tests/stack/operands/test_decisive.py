"""The line of a log that says why: every format, and what only looks like it."""

from __future__ import annotations

import pytest

from pytest_gpu.stack.operands.container_log import lines_of, plain
from pytest_gpu.stack.operands.decisive import decisive, shortened, unwrapped
from pytest_gpu.stack.operands.log_message import ERROR, FATAL, INFO, WARNING, Message, message_of

CRI = "2026-01-13T08:15:33.104220781Z stderr F "


@pytest.mark.parametrize(
    ("line", "level", "text"),
    [
        (
            "I0113 08:15:33.104220       1 main.go:163] Starting FS watcher.",
            INFO,
            "Starting FS watcher.",
        ),
        (
            "E0113 08:15:33.104220       1 main.go:173] error starting plugins: no strategy",
            ERROR,
            "error starting plugins: no strategy",
        ),
        (
            'E0113 08:15:33.104220       1 a.go:74] "command failed" err="bind: permission denied"',
            ERROR,
            "command failed: bind: permission denied",
        ),
        ("F0113 08:15:33.104220  123456 a.go:1] gone", FATAL, "gone"),
        ('time="2026-01-13T08:15:33Z" level=fatal msg="a \\"b\\" c"', FATAL, 'a "b" c'),
        (
            'time="2026-01-13T08:15:33Z" level=error msg="load" error="no file"',
            ERROR,
            "load: no file",
        ),
        ("time=2026-01-13T08:15:33.103Z level=WARN msg=plain", WARNING, "plain"),
        (  # NVIDIA/k8s-driver-manager switches logrus' quotes off
            "time=2026-01-13T08:15:33Z level=fatal msg=failed to drain node: no room for web-0",
            FATAL,
            "failed to drain node: no room for web-0",
        ),
        ("level=error msg=load it error=no file left pod=web-0", ERROR, "load it: no file left"),
        ('level=error msg="wrong error=5 x" error="no file"', ERROR, "wrong error=5 x: no file"),
        ('level=info msg=Current value of "a.b/c"=true', INFO, 'Current value of "a.b/c"=true'),
        (
            '{"level":"error","ts":1.7,"msg":"reconcile","error":"no node"}',
            ERROR,
            "reconcile: no node",
        ),
        ('{"severity":"INFO","message":"up"}', INFO, "up"),
        (
            "2025-03-04T10:00:00.123Z\tERROR\tcontrollers.ClusterPolicy\tReconciler error"
            '\t{"namespace": "", "error": "no label for the kernel"}',
            ERROR,
            "Reconciler error: no label for the kernel",
        ),
        (
            '1.6662113914e+09    INFO    setup    starting manager    {"a": 1}',
            INFO,
            "starting manager",
        ),
        ("2025-03-04T10:00:00.123Z\tDEBUG\tsetup\tnothing {here}", INFO, "nothing {here}"),
        (
            "panic: runtime error: index out of range [3]",
            FATAL,
            "panic: runtime error: index out of range [3]",
        ),
        ("2026/01/13 08:15:33 main.go:12: Error: no NVML", ERROR, "no NVML"),
        ("[ERROR] cannot link", ERROR, "cannot link"),
        ("2026-01-13 08:15:33,104 WARNING low", WARNING, "low"),
        ("Errors follow", "", "Errors follow"),
        ('{"log": 3', "", '{"log": 3'),
        ("[1, 2]", "", "[1, 2]"),
    ],
)
def test_a_line_is_read_in_the_format_of_its_logger(line: str, level: str, text: str) -> None:
    """The stamp and the marks go, the words stay."""
    assert message_of(line) == Message(level, text)


def test_a_line_that_the_runtime_split_is_one_line() -> None:
    """Containerd splits at 16 KiB: the parts have the tag P, the last one F."""
    stamp = "2026-01-13T08:15:33.104220781Z stdout"
    [one, two] = lines_of(f"{stamp} P ab\n{stamp} P cd\n{stamp} F ef\n\n{stamp} F next\n")
    assert (one.number, one.text, two.number, two.text) == (1, "abcdef", 5, "next")


def test_kubectl_prints_the_text_alone_or_with_stamps() -> None:
    """A stamp of the program itself, which is shorter, stays part of its line."""
    stamped = "2026-01-13T08:15:33.104220781Z E0113 08:15:33.104220       1 a.go:1] no NVML"
    [line, own] = lines_of(f"{stamped}\n2026-01-13T08:15:33Z started\n")
    assert message_of(line.text) == Message(ERROR, "no NVML")
    assert own.text == "2026-01-13T08:15:33Z started"


def test_docker_writes_json() -> None:
    """The json-file driver: a line without its line end goes on in the next."""
    first = '{"log":"fa","stream":"stderr","time":"2026-01-13T08:15:33Z"}'
    second = '{"log":"iled\\n","stream":"stderr","time":"2026-01-13T08:15:33Z"}'
    assert [line.text for line in lines_of(f"{first}\n{second}\n")] == ["failed"]


def test_nothing_of_a_line_controls_a_terminal() -> None:
    """Colours are dropped; what is kept of a line has an end."""
    [line] = lines_of(CRI + "\x1b[31mred\x1b[0m\x07 " + "x" * 9_000)
    assert line.text.startswith("red xxx")
    assert 1_900 < len(line.text) <= 2_000


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("\x1b]0;title\x07failed", "failed"),
        (
            "\x1b]2;title\x1b\\failed to \x1b]8;;http://a.example\x07open\x1b]8;;\x07",
            "failed to open",
        ),
        ("\x1bP1$r0m\x1b\\failed", "failed"),
        ("\x9d0;title\x9cfailed", "failed"),
        ("\x1b(B\x1b=\x1b7failed\x1b8", "failed"),
        ("\x1b[1;31mfailed\x1b[m", "failed"),
        ("failed]0;x", "failed]0;x"),
        ("\x1b]0;a title without an end", "]0;a title without an end"),
    ],
)
def test_a_sequence_of_a_terminal_goes_with_what_it_sets(said: str, text: str) -> None:
    """A title or a link is no text of the program; without an end nobody knows where it stops."""
    [line] = lines_of(said)
    assert line.text == text
    assert plain(f"a {said}") == f"a {text}"


@pytest.mark.parametrize(
    ("log", "number", "text"),
    [
        (  # the first error is the reason, those below it are its echo
            "level=info msg=a\nlevel=error msg=why\nlevel=error msg=echo\nlevel=info msg=bye",
            2,
            "why",
        ),
        ("level=error msg=retry\nlevel=fatal msg=dead\nlevel=fatal msg=end", 2, "dead"),
        (
            "starting\npanic: boom\n\ngoroutine 1 [running]:\nmain.main()\n\t/a.go:1",
            2,
            "panic: boom",
        ),
        ("+ modprobe nvidia\nmodprobe: ERROR: could not insert 'nvidia'\n+ exit 1", 2, None),
        ("Traceback (most recent call last):\n  File\nValueError: no GPU", 3, "ValueError: no GPU"),
        ("one\ntwo", 2, "two"),
        ("level=warning msg=odd\nlevel=info msg=end", 2, "end"),
    ],
)
def test_the_decisive_line(log: str, number: int, text: str | None) -> None:
    """Fatal before error, error before words of failure, these before the last line."""
    found = decisive(lines_of(log))
    assert found is not None
    assert found.number == number
    assert text in {None, found.text}


@pytest.mark.parametrize(
    ("log", "number"),
    [
        (  # the operator's validator runs nvidia-smi again and again
            "running command chroot with args [/host nvidia-smi]\n"
            "Failed to initialize NVML: Driver/library version mismatch\n"
            'level=warning msg="error running command: exit status 18"\n'
            "command failed, retrying after 5 seconds",
            2,
        ),
        (  # a build of the kernel modules
            "/usr/src/nvidia-550.54/nv.c:12:3: error: implicit declaration of function 'f'\n"
            "make[2]: *** [scripts/Makefile.build:243: nv.o] Error 1\n"
            "make: *** [Makefile:80: modules] Error 2",
            1,
        ),
        ("make: *** No rule to make target 'modules'.  Stop.\nmake: *** [x] Error 2", 2),
        ("starting\ncommand failed, retrying after 5 seconds", 2),
        (  # the driver container, NVIDIA/gpu-driver-container, ubuntu22.04/nvidia-driver
            "Resolving Linux kernel version...\n"
            "W: Failed to fetch http://a.example/  Temporary failure resolving 'a.example'\n"
            "Could not resolve Linux kernel version",
            2,
        ),
        ("Resolving Linux kernel version...\nCould not resolve Linux kernel version", 2),
    ],
)
def test_an_echo_counts_only_where_nothing_else_tells_of_a_failure(log: str, number: int) -> None:
    """It says that something above failed."""
    found = decisive(lines_of(log))
    assert found is not None
    assert found.number == number


@pytest.mark.parametrize(
    ("log", "number", "text"),
    [
        (  # nvidia-ctk-installer --ignore-errors goes on
            'level=error msg="Ignoring error: no devices"\nlevel=error msg="error running x: y"',
            2,
            "error running x: y",
        ),
        ('level=info msg=a\nlevel=error msg="Ignoring error: b"\n', 2, "Ignoring error: b"),
        ('level=error msg=why\nlevel=fatal msg="Exiting due to signal [x]"', 1, "why"),
        (  # a near miss: it is about a signal, and an error
            'level=error msg="existing signal is lost"\nlevel=error msg=b',
            1,
            "existing signal is lost",
        ),
        (  # the validator's own end is called information
            'level=info msg="version: v1"\ntoolkit is not ready\nlevel=info msg="Error: no x"',
            3,
            "Error: no x",
        ),
        ('could not link\nlevel=info msg="Errors: 0"', 1, "could not link"),
        # Without levels: the last line is what a program says when it ends.
        ("Ignoring error getting device memory: Not Supported\nqux", 2, "qux"),
        ("Compiled with 0 errors\nno errors were found\nqux", 3, "qux"),
        ("20 errors\nqux", 1, "20 errors"),
        ("no error code, 1 error\nqux", 1, "no error code, 1 error"),
    ],
)
def test_what_a_program_calls_an_error_need_not_be_why_it_ended(
    log: str, number: int, text: str
) -> None:
    """It went on after one, or was told to end; and one calls its error information."""
    found = decisive(lines_of(log))
    assert found is not None
    assert (found.number, found.text) == (number, text)


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (r'level=error msg="no a\nno b"', "no a no b"),
        (r'level=error msg="no a\n\nThe following may help:\nb"', "no a"),
        (r'{"level":"error","msg":"no \u001b[31mred\u0007 a"}', "no red a"),
        (r'level=error msg="no  a"', "no  a"),
    ],
)
def test_a_decisive_message_is_one_line_that_controls_no_terminal(said: str, text: str) -> None:
    """Escapes of the logger bring line ends and control characters back."""
    found = decisive(lines_of(said))
    assert found is not None
    assert found.text == text


START = "level=info msg=starting\nlevel=info msg=reading"


@pytest.mark.parametrize(
    ("log", "number", "text"),
    [
        (f"{START}\nlevel=error msg=old\n{START}\nlevel=error msg=new\n", 6, "new"),
        (f"{START}\nlevel=fatal msg=old\n{START}\nlevel=error msg=new\n", 6, "new"),
        (f"{START}\nlevel=error msg=only\n{START}\n", 3, "only"),
        (f"{START}\nlevel=error msg=first\nlevel=error msg=second\n", 3, "first"),
    ],
    ids=["two-starts", "fatal-before", "quiet-since", "one-start"],
)
def test_what_counts_is_what_was_said_since_the_last_start(
    log: str, number: int, text: str
) -> None:
    """A program that starts again says its first line again, whatever its stamp."""
    found = decisive(lines_of(log))
    assert found is not None
    assert (found.number, found.text) == (number, text)


def test_a_message_of_the_kernel_driver_is_one_over_its_lines() -> None:
    """Each line has the prefix; the next message is another one."""
    log = (
        "+ modprobe nvidia\n"
        "[   12.1] NVRM: loading NVIDIA UNIX x86_64 Kernel Module  570.124.06.\n"
        "[   12.2] NVRM: The NVIDIA GPU 0000:a1:00.0 (PCI ID: 10de:1eb8)\n"
        "[   12.2] NVRM: installed in this system is not supported by the\n"
        "[   12.2] NVRM: NVIDIA 570.124.06 driver release.\n"
        "[   12.3] NVRM: None of the NVIDIA devices were probed.\n"
        "done\n"
    )
    found = decisive(lines_of(log))
    assert found is not None
    assert found.number == 3
    assert found.text == (
        "[   12.2] NVRM: The NVIDIA GPU 0000:a1:00.0 (PCI ID: 10de:1eb8) installed in this system"
        " is not supported by the NVIDIA 570.124.06 driver release."
    )


def test_a_long_error_keeps_its_beginning_and_its_end() -> None:
    """What failed, and why; what wraps these goes first."""
    text = (
        f"failed to start: {'failed to wrap it once more: ' * 20}open /dev/nvidiactl: no such file"
    )
    assert shortened(text, 80) == "failed to start: ...: open /dev/nvidiactl: no such file"
    assert shortened("x" * 300, 80) == f"{'x' * 76} ..."
    assert shortened(f"{'x' * 300}: why", 80) == f"{'x' * 70} ...: why"
    assert shortened(f"{'x' * 30}: {'y' * 50}: z: {'w' * 300}", 80).endswith(" ...")
    assert shortened("short: text") == "short: text"


def test_an_empty_log_says_nothing() -> None:
    """There is no line to show."""
    assert decisive(lines_of("\n \n")) is None


def test_a_wrapped_error_is_taken_apart() -> None:
    """Colons inside of quotes, paths and addresses do not part it."""
    text = 'failed to X: Get "https://a: b/": dial tcp 10.0.0.1:443: connect: connection refused'
    assert unwrapped(text) == (
        "failed to X",
        'Get "https://a: b/"',
        "dial tcp 10.0.0.1:443",
        "connect",
        "connection refused",
    )
