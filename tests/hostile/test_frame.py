"""`make hostile` can fail: each thing that it judges is shown with a run that does it."""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pytest_gpu.layers import Layer
from tests.hostile import __main__ as command
from tests.hostile.everything import ALL
from tests.hostile.figures import complaints, figures
from tests.hostile.inputs import FAMILIES, Given, Input, made
from tests.hostile.judging import Limits
from tests.hostile.trying import Tried, try_input


def peak() -> int:
    """Return the most bytes that this process has had: what a new one begins with, too."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def roomy() -> Limits:
    """Return limits that Python alone keeps."""
    return Limits(seconds=20, memory=peak() + 100 * 2**20)


def hostile(
    code: str, *, exit: int = 1, hurt: str = "", judged: Mapping[str, str] | None = None
) -> Input:
    """Return an input whose run, under Python alone, is some code."""
    return Input(
        name="made-up",
        family="texts",
        start=made(lambda _: (code,)),
        exit=exit,
        says="the right line",
        hurt=hurt,
        nodes_judged=judged or {},
    )


def faults(each: Input, place: Path, limits: Limits | None = None) -> list[str]:
    """Return the kinds of what is wrong with a run of Python alone."""
    program = (sys.executable, "-I", "-c")
    tried = try_input(each, place, program=program, limits=limits or roomy())
    return [fault.kind for fault in tried.faults]


RIGHT = "import sys; print('the right', 'line'); "
BAD = "sys.exit(1)"


def report(state: str = "failed", error: int = 0, **verdicts: str) -> str:
    """Return code that writes a report in which a layer has a state."""
    layers: dict[str, Any] = {"runtime": {"state": state, "error": error}}
    nodes = [
        {"name": name, "verdict": verdict, "layers": layers}
        for name, verdict in {"gpu-1": "fails", **verdicts}.items()
    ]
    return f"open('report.json', 'w').write({json.dumps({'nodes': nodes})!r}); "


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        (RIGHT + BAD, []),
        ("import sys; print('the  right\\nline'); " + BAD, []),
        ("import sys; print('another line'); " + BAD, ["line"]),
        (RIGHT + "sys.exit(4)", ["exit"]),
        (RIGHT, ["exit", "green"]),
        (RIGHT + "1 / 0", ["traceback"]),
        (RIGHT + "print('INTERNALERROR> x'); " + BAD, ["traceback"]),
        (RIGHT + report(error=1) + BAD, ["traceback"]),
        (RIGHT + "print('\\x1b[31m'); " + BAD, ["escape"]),
        (RIGHT + "sys.stderr.write('a\\rb'); " + BAD, ["escape"]),
        (RIGHT + "sys.stdout.buffer.write(b'\\xc2\\x9b2J'); " + BAD, ["escape"]),
        (RIGHT + "sys.stdout.buffer.write(b'\\xff'); " + BAD, ["escape"]),
        (RIGHT + "sys.stdout.buffer.write('\\u202e'.encode()); " + BAD, ["escape"]),
        (RIGHT + "print('::error::x'); " + BAD, ["escape"]),
        (RIGHT + "open('junit.xml', 'w').write('\\x1b'); " + BAD, ["escape"]),
        (RIGHT + "open('PWN', 'w'); " + BAD, ["left"]),
        (RIGHT + "import os; open(os.environ['TMPDIR'] + '/x', 'w'); " + BAD, ["left"]),
        (RIGHT + report("failed") + BAD, []),
        (RIGHT + report("unproven") + BAD, []),
        (RIGHT + report("passed") + BAD, ["green"]),
        (RIGHT + "sys.stdout.flush(); import os; os.kill(os.getpid(), 9)", ["exit"]),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, code: str, wrong: list[str]) -> None:
    """A run that does one thing that is wrong has that fault, and no other."""
    assert faults(hostile(code, hurt="runtime"), tmp_path) == wrong


def test_a_run_over_the_time_is_told(tmp_path: Path) -> None:
    """Whether it works or only waits."""
    slow = hostile(RIGHT + "import time; time.sleep(1); " + BAD)
    assert faults(slow, tmp_path / "a", Limits(seconds=0.5, memory=2**40)) == ["time"]
    busy = hostile(RIGHT + "sum(range(60_000_000)); " + BAD)
    assert faults(busy, tmp_path / "b", Limits(seconds=0.3, memory=2**40)) == ["time"]


def test_time_in_which_it_waited_for_a_processor_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine may be busy with something else."""
    monkeypatch.setattr("tests.hostile.child._queued", lambda _: 0.8)
    slow = hostile(RIGHT + "import time; time.sleep(1); " + BAD)
    assert faults(slow, tmp_path, Limits(seconds=0.9, memory=2**40)) == []


def test_a_run_that_never_ends_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it one input would stop all."""
    monkeypatch.setattr("tests.hostile.child.KILL_AFTER", 0.5)
    endless = hostile("import time; time.sleep(60)")
    assert faults(endless, tmp_path, Limits(seconds=0.1, memory=2**40)) == ["exit", "line", "time"]


def test_a_run_over_the_memory_is_told(tmp_path: Path) -> None:
    """The peak counts, not what is left at the end."""
    code = f"x = b'1' * {peak() + 200 * 2**20}; del x; "
    assert faults(hostile(RIGHT + code + BAD), tmp_path) == ["memory"]


def test_a_good_node_that_is_not_judged_is_told(tmp_path: Path) -> None:
    """One bad node costs one node."""
    for code, wrong in ((report(), ["node"]), (report(good="conforms"), [])):
        each = hostile(RIGHT + code + BAD, judged={"good": "conforms"})
        assert faults(each, tmp_path / str(bool(wrong))) == wrong


def test_what_an_input_needs_lives_as_long_as_its_run(tmp_path: Path) -> None:
    """A server, for instance; and each run has an empty folder and few variables."""
    seen = []

    @contextmanager
    def start(folder: Path) -> Iterator[Given]:
        seen.append("started")
        code = f"{RIGHT} import os; assert os.environ['A'] == 'b' and not os.listdir(); {BAD}"
        yield Given(arguments=(code,), environment={"A": "b"})
        assert not [*folder.iterdir()]
        seen.append("ended")

    each = Input(name="x", family="API", start=start, exit=1, says="the right line")
    assert faults(each, tmp_path) == []
    assert seen == ["started", "ended"]


def test_the_figures_name_every_fault_and_what_costs_most(tmp_path: Path) -> None:
    """One line, and one for each fault."""
    bad = try_input(
        hostile("print('\\x1b'); 1 / 0"),
        tmp_path,
        program=(sys.executable, "-I", "-c"),
        limits=roomy(),
    )
    good = Tried(input="good", family="API", seconds=9, peak=2**30, faults=())
    line = figures([bad, good])
    assert line.startswith("2 inputs: recordings 0, nodes 0, API 1, texts 1; tracebacks 1; ")
    assert "over 5 s 0; over 512 MiB 0; raw escapes 1; green 0; " in line
    assert line.endswith("slowest 9.0 s good; largest 1024 MiB good")
    assert [complaint.split(":")[0] for complaint in complaints(bad)] == ["FAIL made-up"] * 3
    assert complaints(good) == []


@pytest.mark.parametrize("code", [0, 1])
def test_the_command_fails_if_any_input_does(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path, code: int
) -> None:
    """Exit 1, and its output is kept where one asks for it."""
    each = hostile("--version", exit=code)
    monkeypatch.setattr(command, "ALL", (Input(**{**vars(each), "says": "pytest 9"}),))
    # A child counts the memory of the process that it was forked from.
    monkeypatch.setattr(command, "try_input", partial(try_input, limits=roomy()))
    arguments = ("-k", "texts/made", "--jobs", "1", "--keep", str(tmp_path))
    assert command.main(arguments) == code
    printed = capfd.readouterr().out
    assert ("FAIL made-up: exit: exit code 0, not 1" in printed) == bool(code)
    assert "1 inputs: " in printed
    assert [path.name for path in tmp_path.rglob("printed")] == ["printed"] * code
    assert command.main(["-k", "no such"]) == 4


def test_names_are_unique_and_families_known() -> None:
    """A name is that of a folder."""
    names = [each.name for each in ALL]
    assert len(names) == len({*names})
    assert not [name for name in names if "/" in name or not name.isprintable()]
    assert {each.family for each in ALL} <= {*FAMILIES}


def test_every_input_says_what_is_right() -> None:
    """An exit code of pytest's, words, and a layer that there is."""
    assert not [each.name for each in ALL if each.exit not in (0, 1, 4) or len(each.says) < 3]
    assert {each.hurt for each in ALL if each.hurt} <= {str(layer) for layer in Layer}
    judged = [each for each in ALL if each.hurt or each.nodes_judged]
    assert not [each.name for each in ALL if each.exit == 1 and each not in judged]


@pytest.mark.parametrize(
    ("family", "least"), [("recordings", 400), ("texts", 60), ("nodes", 150), ("API", 110)]
)
def test_there_are_many_inputs(family: str, least: int) -> None:
    """None was lost on the way."""
    assert sum(each.family == family for each in ALL) >= least
