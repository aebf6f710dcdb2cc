"""The program that runs on nodes: every look has an answer, on old Pythons too."""

from __future__ import annotations

import ast
import base64
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from pytest_gpu import probe as package
from pytest_gpu.cluster.visits.probe_app import probe_app
from pytest_gpu.probe import commands
from pytest_gpu.probe.host import Host
from tests.probe.probing import OLDEST, VERSIONS, Probe, python

HERE = Path(package.__file__).parent


@pytest.fixture(params=["current", OLDEST])
def probe(request: pytest.FixtureRequest, tmp_path: Path) -> Probe:
    """Return a probe, run by this Python and by the oldest that it is made for."""
    return Probe(folder=tmp_path, python=python(request.param))


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """Return a small root directory of a node."""
    root = tmp_path / "host"
    for folder in ("etc", "run/cdi", "usr/bin", "dev"):
        (root / folder).mkdir(parents=True)
    (root / "etc/os-release").write_text("ID=debian\n")
    (root / "run/cdi/nvidia.yaml").write_text("kind: nvidia.com/gpu\n")
    (root / "var").symlink_to("/usr/../var-of-this-node")
    (root / "var-of-this-node").mkdir()
    (root / "var-of-this-node/run").symlink_to("/run")
    (root / "loop").symlink_to("loop")
    os.mkfifo(root / "dev/pipe")
    script = root / "usr/bin/containerd"
    script.write_text("#!/bin/sh\necho containerd v1.7.24 $*\n")
    script.chmod(0o755)
    return root


def within(probe: Probe, root: Path) -> Probe:
    """Return a probe whose node's root is a folder."""
    return Probe(folder=probe.folder, python=probe.python, options=["--root", str(root)])


@pytest.mark.parametrize("version", VERSIONS)
def test_every_python_answers(tmp_path: Path, version: str) -> None:
    """The whole conversation, on each Python that this machine has."""
    answers = Probe(folder=tmp_path, python=python(version)).ask(
        {
            "read": [{"path": "/proc/version"}],
            "list": ["/proc"],
            "stat": ["/"],
            "run": [{"argv": ["uname", "-r"]}],
            "elf": ["/bin/sh"],
            "glob": ["/proc/self/cmdline"],
            "nvml": {"timeout": 10, "libraries": ["/nonexistent/libnvidia-ml.so.1"]},
        }
    )
    assert [next(iter(each)) for each in answers] == [
        "list",
        "stat",
        "glob",
        "read",
        "elf",
        "run",
        "nvml",
        "read",
    ]
    assert [each for each in answers if "error" in each] == []


def test_sources_are_of_the_oldest_python() -> None:
    """Syntax by the compiler's own rule for 3.6, and nothing imported but what 3.6 has."""
    for file in sorted(HERE.glob("*.py")):
        tree = ast.parse(file.read_text(), feature_version=(3, 6))
        for node in ast.walk(tree):
            assert not isinstance(node, ast.NamedExpr), file
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [each.name for each in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                known = name in sys.stdlib_module_names or name == "pynvml"
                own = isinstance(node, ast.ImportFrom) and bool(node.level)
                assert known or own, f"{file} imports {name}"
                assert name != "dataclasses", file


def test_app_is_small_and_always_the_same(tmp_path: Path) -> None:
    """It is sent to each node."""
    first = probe_app()
    probe_app.cache_clear()
    assert probe_app() == first
    assert len(first) < 200_000
    (tmp_path / "app").write_bytes(first)
    with zipfile.ZipFile(tmp_path / "app") as archive:
        assert {"__main__.py", "pynvml.py", "gpu_probe/main.py"} <= set(archive.namelist())


def test_file_comes_with_its_metadata(probe: Probe, host: Path) -> None:
    """Bytes as they are, mode, time and size."""
    answer = within(probe, host).one(read=[{"path": "/etc/os-release", "limit": 100}])
    assert base64.b64decode(answer["data"]) == b"ID=debian\n"
    assert (answer["entry"]["kind"], answer["entry"]["size"]) == ("file", 10)
    assert answer["truncated"] is False


@pytest.mark.parametrize(
    ("kind", "limit", "expected"),
    [
        ("read", 4, (b"ID=d", True)),
        ("read", 10, (b"ID=debian\n", False)),
        ("tail", 4, (b"ian\n", True)),
        ("tail", 10, (b"ID=debian\n", False)),
    ],
)
def test_limits_hold(
    probe: Probe, host: Path, kind: str, limit: int, expected: tuple[bytes, bool]
) -> None:
    """A longer file is cut, and the answer says so."""
    asked = {kind: [{"path": "/etc/os-release", "limit": limit}]}
    (answer,) = within(probe, host).ask(asked)
    assert (base64.b64decode(answer["data"]), answer["truncated"]) == expected


def test_a_node_has_a_share_of_bytes(probe: Probe, host: Path) -> None:
    """What goes beyond it is said, not sent."""
    options = ["--root", str(host), "--bytes", "20"]
    asked = {"read": [{"path": "/etc/os-release"}, {"path": "/run/cdi/nvidia.yaml"}]}
    first, second = Probe(folder=probe.folder, python=probe.python, options=options).ask(asked)
    assert "data" in first
    assert "data" not in second
    assert second["error"].startswith("EFBIG")


def test_links_are_followed_inside_the_root(probe: Probe, host: Path) -> None:
    """An absolute link of the node leads to the node's own directory, never to this machine's."""
    answer = within(probe, host).one(read=[{"path": "/var/run/cdi/nvidia.yaml"}])
    assert base64.b64decode(answer["data"]) == b"kind: nvidia.com/gpu\n"
    assert answer["real"] == "/run/cdi/nvidia.yaml"
    assert answer["links"] == {
        "/var": "/usr/../var-of-this-node",
        "/var-of-this-node/run": "/run",
    }
    outside = within(probe, host).one(read=[{"path": "/../../../../etc/passwd"}])
    assert outside["absent"] is True


@pytest.mark.parametrize("kind", ["read", "tail", "list", "stat", "elf"])
def test_what_is_not_there_is_absent(probe: Probe, host: Path, kind: str) -> None:
    """A missing name, and one below what is no directory."""
    for path in ("/etc/none", "/etc/os-release/x"):
        given = {"path": path} if kind in ("read", "tail") else path
        answer = within(probe, host).one(**{kind: [given]})
        assert (answer[kind], answer["absent"]) == (path, True)


def test_what_is_no_file_is_never_opened(probe: Probe, host: Path) -> None:
    """A pipe would block for ever."""
    (read, elf) = within(probe, host).ask({"read": [{"path": "/dev/pipe"}], "elf": ["/dev/pipe"]})
    for answer in (read, elf):
        assert answer["entry"]["kind"] == "fifo"
        assert "regular" in answer["error"]


def test_links_in_circles_end(probe: Probe, host: Path) -> None:
    """As open(2) has it."""
    assert within(probe, host).one(read=[{"path": "/loop/x"}])["error"].startswith("ELOOP")


def test_directory_is_listed_with_metadata(probe: Probe, host: Path) -> None:
    """Links with their text, and what is no directory is said to be none."""
    answers = within(probe, host).ask({"list": ["/", "/etc/os-release"]})
    assert answers[0]["entries"]["var"]["target"] == "/usr/../var-of-this-node"
    assert answers[0]["entries"]["etc"]["kind"] == "directory"
    assert answers[0]["truncated"] is False
    assert answers[1]["error"].startswith("ENOTDIR")


def test_device_nodes_have_numbers(probe: Probe) -> None:
    """Major and minor."""
    answer = probe.one(stat=["/dev/null"])
    assert (answer["entry"]["kind"], answer["entry"]["device"]) == ("char", [1, 3])


def test_patterns_name_paths_and_bring_files(probe: Probe, host: Path) -> None:
    """In order; hidden names only if asked for; nothing found is an answer."""
    (host / "run/cdi/.hidden.yaml").write_text("x")
    (host / "run/cdi/a.yaml").write_text("a")
    asked = {"glob": [{"pattern": "/var/run/c*/*.yaml", "limit": 3}, "/none/*"]}
    found, none, *files = within(probe, host).ask(asked)
    assert found["paths"] == ["/var/run/cdi/a.yaml", "/var/run/cdi/nvidia.yaml"]
    assert none["paths"] == []
    assert [base64.b64decode(each["data"]) for each in files] == [b"a", b"kin"]


def test_commands_come_with_all_they_did(probe: Probe) -> None:
    """Output and errors apart, the exit code, the time."""
    argv = ["sh", "-c", "echo out; echo err >&2; exit 3"]
    answer = probe.one(run=[{"argv": argv, "timeout": 10}])
    assert (answer["run"], answer["exit"]) == (argv, 3)
    assert (answer["stdout"], answer["stderr"]) == ("out\n", "err\n")
    assert 0 <= answer["duration"] < 10


def test_command_not_found(probe: Probe) -> None:
    """Exit code 127, as a shell has it."""
    answer = probe.one(run=[{"argv": ["no-such-program"]}])
    assert answer["exit"] == 127
    assert "No such file" in answer["error"]


def test_command_of_another_root(probe: Probe, host: Path) -> None:
    """Found along the node's own PATH, and by its absolute path."""
    asked = {"run": [{"argv": ["containerd", "-v"]}, {"argv": ["/usr/bin/containerd", "-v"]}]}
    for answer in within(probe, host).ask(asked):
        assert answer["stdout"] == "containerd v1.7.24 -v\n"


def test_command_that_never_ends_is_killed_with_its_children(probe: Probe, tmp_path: Path) -> None:
    """Also where a child of it keeps the output open."""
    mark = tmp_path / "mark"
    script = f"(sleep 5; touch {mark}) & echo begun; sleep 60"
    began = time.monotonic()
    answer = probe.one(run=[{"argv": ["sh", "-c", script], "timeout": 0.5}])
    assert time.monotonic() - began < 4
    assert (answer["timeout"], answer["stdout"]) == (True, "begun\n")
    assert not mark.exists()


def test_command_that_leaves_a_child_behind_does_not_hold_the_probe(probe: Probe) -> None:
    """Output goes to a file: nobody waits until the last writer closes it."""
    began = time.monotonic()
    answer = probe.one(run=[{"argv": ["sh", "-c", "setsid sleep 20 & echo done"], "timeout": 15}])
    assert answer["stdout"] == "done\n"
    assert time.monotonic() - began < 4


def test_nothing_asked_is_no_trouble(probe: Probe) -> None:
    """An empty round, and lines that are no questions."""
    assert probe.ask({}) == []
    for wrong in ("nonsense", "[1]", '{"read": [{}]}', '{"run": 7}', '{"list": 1}'):
        result = subprocess.run(
            [probe.python, "-I", str(probe.app)],
            input=f'{wrong}\n{{"round": 9}}\n'.encode(),
            capture_output=True,
            check=True,
            timeout=30,
        )
        lines = result.stdout.splitlines()
        assert b"error" in lines[1]
        assert lines[-1] == b'{"done": 9}'


def test_the_stream_may_end_at_any_time(probe: Probe) -> None:
    """Without ``end``, and while an answer is written."""
    argv = [probe.python, "-I", str(probe.app)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdout.readline()
        child.stdout.close()
        child.stdin.write(b'{"round": 1, "list": ["/proc", "/dev", "/etc"]}\n')
        child.stdin.close()
        assert child.wait(20) in (0, 1, 120)


def test_the_probe_ends_at_its_deadline(probe: Probe) -> None:
    """Whoever asked may be gone without a word."""
    argv = [probe.python, "-I", str(probe.app), "--deadline", "1"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as child:
        assert child.wait(10) == -14


def test_a_hung_look_costs_one_answer(tmp_path: Path) -> None:
    """A child that hangs or dies is given up; what comes after it is answered all the same."""
    code = """
import collections, os, sys, time
sys.path.insert(0, sys.argv[1])
from gpu_probe import workers

def answer(item, note):
    if item == "hang":
        note({"partly": 1})
        time.sleep(60)
    if item == "die":
        os._exit(3)
    return {"fine": item}

work = collections.deque(["a", "hang", "b", "die", "c"])
lost = lambda item, loss, note: {"lost": item, "late": loss.late, "note": note}
for found in workers.answers(work, answer, lambda item: 0.5, lost):
    print(sorted(found.items()))
"""
    app = Probe(folder=tmp_path).app
    for version in ("current", OLDEST):
        argv = [python(version), "-c", code, str(app)]
        lines = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30)
        assert lines.stdout.splitlines() == [
            "[('fine', 'a')]",
            "[('late', True), ('lost', 'hang'), ('note', {'partly': 1})]",
            "[('fine', 'b')]",
            "[('late', False), ('lost', 'die'), ('note', None)]",
            "[('fine', 'c')]",
        ]


def test_a_command_that_prints_without_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its output is in the node's memory: ten seconds of it would take many gigabytes."""
    monkeypatch.setattr(commands, "MAX_PRINTED", 1 << 20)
    for script in ("while :; do echo no; done", "while :; do echo no >&2; done"):
        answer = commands.run(["sh", "-c", script], 20, Host("here", "/", 1))
        assert answer["exit"] == commands.NOT_STARTED
        assert answer["error"] == "cut off after 1 MiB of output"
        assert answer["duration"] < 10
