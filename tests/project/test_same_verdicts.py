"""The comparison of two checkouts sees what changed, and only that."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.project.inside_checkout import PLACES, find, find_test, recordings, write
from tests.project.same_verdicts import (
    WIDTH,
    NotCompared,
    compare,
    differences,
    results,
    without_words,
)

Results = dict[str, Any]

OLD: Results = {
    "fixtures/recorded/nouveau": {
        "runs": {
            "": {
                "exit": 1,
                "report": {
                    "run": {"duration": 0.5, "started": "10:00", "taken": "9:00", "exit_code": 1},
                    "causes": [{"id": "driver/nouveau", "evidence": [{"line": 3, "text": "a"}]}],
                },
            }
        },
        "visits": {"gpu-1": [["list /dev", "read /proc/version"], ["stat /bin"]]},
    }
}


def changed(change: Callable[[Any], object]) -> Results:
    """Return the results with a change of the only recording."""
    new = copy.deepcopy(OLD)
    change(new["fixtures/recorded/nouveau"])
    return new


def document(recording: Any) -> Any:
    """Return the report of the only run."""
    return recording["runs"][""]["report"]


def test_equal_results_are_counted() -> None:
    """One recording, one report, two rounds; the exit code is 0."""
    found = compare(OLD, copy.deepcopy(OLD))
    assert (found.lines, found.code) == ([], 0)
    assert str(found) == ("1 recordings, 1 of 1 reports equal, 2 of 2 rounds of questions equal")


@pytest.mark.parametrize("key", ["duration", "started"])
def test_when_and_how_long_it_ran_is_ignored(key: str) -> None:
    """No two runs take the same time."""
    found = compare(OLD, changed(lambda each: document(each)["run"].update({key: "other"})))
    assert (found.lines, found.code) == ([], 0)


def test_other_words_may_be_asked_to_make_no_difference() -> None:
    """A cause and a line of evidence always do."""

    def same(**changes: object) -> bool:
        new = changed(lambda each: document(each)["causes"][0]["evidence"][0].update(changes))
        return not compare(without_words(OLD), without_words(new)).lines

    assert same(text="in other words")
    assert not same(line=4)
    other = changed(lambda each: document(each)["causes"][0].update(id="driver/not-installed"))
    assert compare(without_words(OLD), without_words(other)).lines


ROUNDS = "fixtures/recorded/nouveau: node gpu-1: round"
RUN = "fixtures/recorded/nouveau"


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            lambda each: document(each)["causes"][0]["evidence"][0].update(text="b"),
            f'{RUN}: report.causes[0].evidence[0].text: "a" -> "b"',
        ),
        (
            lambda each: document(each)["causes"][0]["evidence"].append({"line": 4}),
            f'{RUN}: report.causes[0].evidence[1]: (absent) -> {{"line": 4}}',
        ),
        (
            lambda each: document(each)["causes"][0].pop("id"),
            f'{RUN}: report.causes[0].id: "driver/nouveau" -> (absent)',
        ),
        (
            lambda each: document(each)["run"].update(taken="9:01"),
            f'{RUN}: report.run.taken: "9:00" -> "9:01"',
        ),
        (
            lambda each: document(each)["causes"][0].update(duration=1),
            f"{RUN}: report.causes[0].duration: (absent) -> 1",
        ),
        (lambda each: each["runs"][""].update(exit=0), f"{RUN}: exit: 1 -> 0"),
        (lambda each: each["runs"].pop(""), f"{RUN}: run by OLD alone"),
        (
            lambda each: each["runs"].update({"--gpu-all-layers": each["runs"][""]}),
            f"{RUN} --gpu-all-layers: run by NEW alone",
        ),
        (
            lambda each: each["visits"]["gpu-1"][0].pop(1),
            f"{ROUNDS} 1: not asked any more: read /proc/version",
        ),
        (
            lambda each: each["visits"]["gpu-1"][1].append("stat /sbin"),
            f"{ROUNDS} 2: newly asked: stat /sbin",
        ),
        (
            lambda each: each["visits"]["gpu-1"][1].append("stat /bin"),
            f"{ROUNDS} 2: newly asked: stat /bin",
        ),
        (
            lambda each: each["visits"]["gpu-1"].append(["stat /lib"]),
            f"{ROUNDS} 3: asked by NEW alone",
        ),
        (lambda each: each["visits"]["gpu-1"].pop(), f"{ROUNDS} 2: asked by OLD alone"),
    ],
)
def test_a_difference_is_one_line(change: Callable[[Any], object], line: str) -> None:
    """It names recording, place, old and new value; the exit code is 1."""
    found = compare(OLD, changed(change))
    assert (found.lines, found.code) == ([line], 1)


def test_only_what_differs_is_not_equal() -> None:
    """A round with a change does not hide that the other round and the report are equal."""
    found = compare(OLD, changed(lambda each: each["visits"]["gpu-1"][0].pop()))
    assert "1 of 1 reports equal, 1 of 2 rounds" in str(found)


def test_a_question_that_moved_to_another_round_is_two_differences() -> None:
    """It is missing in one and new in the other."""

    def move(recording: Any) -> None:
        first, second = recording["visits"]["gpu-1"]
        second.append(first.pop())

    assert len(compare(OLD, changed(move)).lines) == 2


def test_a_recording_of_one_side_alone_differs() -> None:
    """Its run and its rounds are missing on the other side."""
    assert compare(OLD, {}).code == compare({}, OLD).code == 1
    assert len(compare(OLD, {}).lines) == 3


def test_no_report_on_both_sides_is_a_difference() -> None:
    """Two crashes are equal, and prove nothing."""
    crashed = changed(lambda each: each["runs"].update({"": {"exit": 3, "report": None}}))
    found = compare(crashed, copy.deepcopy(crashed))
    assert found.lines == [f"{RUN}: neither wrote a report, exit code 3"]
    assert found.code == 1


@pytest.mark.parametrize("lost", ["runs", "visits"])
def test_nothing_to_compare_is_no_success(lost: str) -> None:
    """No recording, no run, or no question: exit code 2."""
    without = changed(lambda each: each[lost].clear())
    assert compare(without, copy.deepcopy(without)).code == 2
    assert compare({}, {}).code == 2


def test_long_values_are_shown_where_they_begin_to_differ() -> None:
    """Two texts of a thousand equal characters would look the same."""
    (line,) = differences("x" * 1000 + "old", "x" * 1000 + "new")
    assert "old" in line
    assert "new" in line
    assert len(line) < 3 * WIDTH


def test_more_lines_than_the_limit_are_counted() -> None:
    """The counts are last in any case."""
    text = compare(OLD, {}).text(limit=1)
    first, more, counts = text.splitlines()
    assert first.endswith("run by OLD alone")
    assert more == "and 2 more differences"
    assert counts.endswith("0 of 2 rounds of questions equal")


def test_a_checkout_without_an_environment_is_named(tmp_path: Path) -> None:
    """Nothing is started, and no success is claimed."""
    python = tmp_path / "old/.venv/bin/python"
    python.parent.mkdir(parents=True)
    python.touch()
    with pytest.raises(NotCompared, match=r"there is no \S+/new/\.venv/bin/python$"):
        results(tmp_path / "old", tmp_path / "new", "*")


def test_recordings_are_found_but_not_those_inside_them(tmp_path: Path) -> None:
    """A base inside a recording is a part of it; hidden folders are no inputs."""
    for name in ("a/b", "a/b/base", "c", ".venv/d"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "recording.yaml").touch()
    assert list(recordings(tmp_path)) == [tmp_path / "a/b", tmp_path / "c"]


def test_inputs_stand_alone(tmp_path: Path) -> None:
    """The base of an overlay is inside it: the other checkout's samples may differ."""
    root = Path(__file__).parents[2]
    write(root, tmp_path / "inputs", "fixtures/recorded/no-driver")
    (folder,) = recordings(tmp_path / "inputs")
    assert "base: base\n" in (folder / "recording.yaml").read_text()
    assert (folder / "base/nodes/gpu-1").is_dir()


def test_changed_samples_are_inputs_too(tmp_path: Path) -> None:
    """Of each kind one: a variant, a broken sample, a sample with other names."""
    root = Path(__file__).parents[2]
    write(root, tmp_path / "inputs", "changed/*/[ks]*3s")
    (folder,) = recordings(tmp_path / "inputs")
    assert folder.relative_to(tmp_path).as_posix() == "inputs/changed/variants/k3s"


def test_everything_that_is_needed_is_found_in_this_checkout() -> None:
    """Where a module moves, its new name belongs into the list."""
    assert all(callable(find(name)) for name in PLACES)
    assert find_test(Path(__file__).parents[2], "replay").Replay


def test_a_module_that_is_nowhere_is_named(tmp_path: Path) -> None:
    """Nobody has to guess what moved."""
    (tmp_path / "tests").mkdir()
    with pytest.raises(SystemExit, match=r"tests has 0 files replay\.py, must be one"):
        find_test(tmp_path, "replay")


def test_the_second_place_is_tried_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that is not there yet, a module without the name, then the right one."""
    places = ("pytest_gpu.nowhere.visit", "pytest_gpu.errors", "pytest_gpu.evidence")
    monkeypatch.setattr("tests.project.inside_checkout.PLACES", {"Door": places})
    assert find("Door").__module__ == "pytest_gpu.evidence"


def test_a_function_that_is_nowhere_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With all places that were tried."""
    places = {"drive": ("pytest_gpu.nowhere.visit", "pytest_gpu.errors")}
    monkeypatch.setattr("tests.project.inside_checkout.PLACES", places)
    with pytest.raises(SystemExit, match=r"drive is in none of pytest_gpu\.nowhere\.visit, "):
        find("drive")
