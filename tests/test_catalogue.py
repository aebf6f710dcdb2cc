"""The catalogue: what its files may say, and what becomes of a finding's values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from pytest_gpu import catalogue as catalogue_module
from pytest_gpu.catalogue import catalogue, load
from pytest_gpu.causes import Finding, fix_of, steps_of
from pytest_gpu.consequences import consequences, directed
from pytest_gpu.errors import GpuError
from pytest_gpu.layers import Layer
from pytest_gpu.steps import Slot, Step, Value, once, read_step

HOW = "This node is sealed."
TESTS = Path(__file__).parent
NAME = re.compile(r"[a-z][a-z0-9-]{0,40}(?:/[a-z0-9-]{1,80})?")

CAUSE = """
["runtime/x"]
title = "The thing {thing} is broken"
why = "It is."
check = [{ node = "cat {thing}" }]
["runtime/x".fix]
default = ["Mend it."]
"""


DRAIN = '{ cluster = "kubectl drain {node} --ignore-daemonsets" }'
CORDON = '{ cluster = "kubectl cordon {node}" }'
BACK = '{ cluster = "kubectl uncordon {node}" }'


def write(folder: Path, text: str, name: str = "runtime") -> Path:
    """Write a package's causes; return the file."""
    file = folder / name / "causes.toml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return file


def refused(folder: Path) -> str:
    """Return why a catalogue is refused: one line."""
    with pytest.raises(GpuError) as error:
        load(folder)
    said = str(error.value)
    assert "\n" not in said
    return said


def test_a_failure_without_a_cause_points_at_its_message() -> None:
    """Users' own tests fail this way, too: nothing is to be reported to us."""
    found = [cause for name, cause in catalogue().items() if name.endswith("/unexplained")]
    assert len(found) == len(Layer)
    for cause in found:
        (step,) = cause.fix["default"]
        assert "message" in step.shown


def test_files_are_found_at_any_depth(tmp_path: Path) -> None:
    """A new package needs no line anywhere; other TOML files are none of ours."""
    write(tmp_path, CAUSE)
    write(tmp_path, CAUSE.replace("/x", "/y"), "cdi/specs")
    (tmp_path / "cdi" / "other.toml").write_text("[x]")
    found = load(tmp_path)
    assert list(found) == ["runtime/x", "runtime/y"]
    assert found["runtime/x"].check == (Step("node", "cat {thing}"),)


def test_every_causes_file_of_the_stack_is_in_the_catalogue() -> None:
    """None is left out, and each package's causes are read once."""
    files = (Path(catalogue_module.__file__).parent / "stack").rglob("causes.toml")
    texts = [file.read_text() for file in files]
    assert len(texts) > 5
    assert sum(text.count("\ntitle = ") for text in texts) == len(catalogue())
    assert catalogue() is catalogue()


def test_every_cause_comes_out_in_a_test() -> None:
    """A cause that no recording and no made-up cluster ends in may be told of nothing at all."""
    files = [*TESTS.rglob("*.py"), *TESTS.glob("recordings/*.yaml")]
    text = "\n".join(file.read_text("utf-8") for file in files if file != Path(__file__))
    named = {*NAME.findall(text)}
    known = {name for name in catalogue() if not name.endswith("/unexplained")}
    assert {name for name in known if not {name, name.partition("/")[2]} & named} == set()


SAID_LOWER_TOO = {
    ("runtimeclass/handler-unknown", "sandbox/handler-refused"),
    *(
        (f"runtime/{name}", "sandbox/cgroup-refuses")
        for name in (
            "cgroup-driver-differs",
            "kubelet-cgroup-driver-differs",
            "runc-cgroup-driver-differs",
            "systemd-cgroup-without-systemd",
        )
    ),
}
"""Consequences that a pod of a lower layer can meet, too."""


def test_explains_goes_from_cause_to_consequence() -> None:
    """Patterns, too: upwards or beside, and in no circle; each means at least one cause."""
    known, explained = catalogue(), consequences()
    assert sum(map(len, explained.values())) > 1000
    assert set(TopologicalSorter(explained).static_order()) == set(known)
    for name, cause in known.items():
        below = {each for each in explained[name] if known[each].layer < cause.layer}
        assert {(name, each) for each in below} <= SAID_LOWER_TOO, name
        for pattern in cause.explains:
            assert any(fnmatchcase(each, pattern) for each in explained[name]), (name, pattern)


def test_two_that_explain_each_other_by_patterns_explain_nothing(tmp_path: Path) -> None:
    """A name in full decides; a pattern means nothing below, and the cause itself never."""
    wishes = {
        "runtime/a": ["runtime/*", "driver/*"],
        "runtime/b": ["runtime/*", "sandbox/x"],
        "runtime/c": ["runtime/a", "runtime/d"],
        "runtime/d": ["sandbox/*"],
        "sandbox/x": ["runtime/*"],
        "driver/e": [],
    }
    assert directed(load(explaining(tmp_path, wishes))) == {
        "runtime/a": {"runtime/d"},
        "runtime/b": {"runtime/c", "runtime/d", "sandbox/x"},
        "runtime/c": {"runtime/a", "runtime/d"},
        "runtime/d": {"sandbox/x"},
        "sandbox/x": set(),
        "driver/e": set(),
    }


def explaining(folder: Path, wishes: Mapping[str, list[str]]) -> Path:
    """Write causes that explain others; return the folder of their file."""
    texts = (
        CAUSE.replace("runtime/x", name).replace("why =", f"explains = {patterns}\nwhy =", 1)
        for name, patterns in wishes.items()
    )
    write(folder, "".join(texts))
    return folder


def test_an_id_stands_once(tmp_path: Path) -> None:
    """Two packages with one cause: nobody knows which text counts."""
    write(tmp_path, CAUSE, "a")
    second = write(tmp_path, CAUSE, "b")
    assert refused(tmp_path) == f"{second}: runtime/x: another causes.toml has this cause already"


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("runtime/x", "x", "the ID must have a prefix"),
        ("runtime/x", "runtime/", "the ID must have a prefix"),
        ('why = "It is."', "", "why missing"),
        ("default =", "eks =", "fix: default missing"),
        ("why =", "reason = 1\nwhy =", "reason: unknown key; known keys are title, why"),
        ("{ node =", "{ nod =", "is not a step"),
        ("{ node =", '{ helm = "x", node =', "is not a step"),
        ('"Mend it."', "3", "is not a step"),
        ('"Mend it."', '{ steps = "patch", after = "x" }', "is not a step"),
        ('{ node = "cat {thing}" }', '{ steps = "patch" }', "only a fix may contain"),
        ('why = "It is."', 'why = "It is', "line"),
        ('"Mend it."', DRAIN, "fix.default: drains the node: end it with kubectl uncordon {node}"),
        ('"Mend it."', CORDON, "fix.default: drains the node"),
        ('"Mend it."', f"{BACK}, {DRAIN}", "fix.default: drains the node"),
        (CAUSE, 'title = "x"', "the ID must have a prefix"),
        (CAUSE, '"a/b" = "x"', "must be a table"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path: Path, old: str, new: str, why: str) -> None:
    """File, cause and fault, in one line."""
    assert old in CAUSE
    file = write(tmp_path, CAUSE.replace(old, new))
    said = refused(tmp_path)
    assert said.startswith(f"{file}: ")
    assert why in said


def test_a_command_is_not_shown_twice_in_a_row() -> None:
    """One unit may have two names in the catalogue; words, and commands elsewhere, stay."""
    log, words, restart = Step("node", "journalctl -u a"), Step("words", "x:"), Step("node", "r")
    assert once((words, log, log, restart, log)) == (words, log, restart, log)
    assert once((words, words, Step("node", "r"), Step("cluster", "r"))) == (
        words,
        words,
        Step("node", "r"),
        Step("cluster", "r"),
    )


def test_the_kinds_of_steps() -> None:
    """A command is shown with a dollar; words and files as they are."""
    shown = {
        "words": read_step("Mend it."),
        "node": read_step({"node": "ls"}),
        "file": read_step({"file": "a: 1"}),
    }
    assert [step.shown for step in shown.values()] == ["Mend it.", "$ ls", "a: 1"]
    assert read_step({"steps": "patch"}) == Slot("patch")


def finding(fix: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **values: Value) -> Finding:
    """Return a finding of a catalogue with one cause, of which this is the fix."""
    write(tmp_path, CAUSE.replace('"Mend it."', fix))
    monkeypatch.setattr("pytest_gpu.causes.catalogue", lambda: load(tmp_path))
    return Finding(cause="runtime/x", evidence=(), values={"how": HOW, **values})


@pytest.mark.parametrize(
    ("fix", "said"),
    [
        ('"{nobody}"', "runtime/x: no value for {nobody}: pass nobody to Finding.of"),
        ('{ steps = "nobody" }', "runtime/x: no value for {nobody}: pass nobody to Finding.of"),
        ('{ steps = "text" }', "runtime/x: {text} is a text, not steps"),
        ('"First {patch}"', 'runtime/x: {patch} has steps: write { steps = "patch" }'),
    ],
)
def test_a_value_that_does_not_fit_is_refused(
    fix: str, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An unknown placeholder, a text where steps stand, steps within a text: one line."""
    found = finding(fix, monkeypatch, tmp_path, text="a", patch=(Step("node", "ls"),))
    with pytest.raises(GpuError) as error:
        fix_of(found)
    assert str(error.value) == said


PATCH = (Step("node", "patch it"),)
SPOKEN = (Step("words", "The plugin makes it."),)


@pytest.mark.parametrize(
    ("fix", "patch", "steps"),
    [
        ('"Reset it: sudo nvidia-smi -r"', (), ["Reset it: sudo nvidia-smi -r"]),
        ('{ cluster = "kubectl get pods" }', (), ["$ kubectl get pods"]),
        ('{ helm = "helm upgrade" }', (), ["$ helm upgrade"]),
        ('{ outside = "aws eks" }', (), ["$ aws eks"]),
        ('{ file = "sudo: true" }', (), ["sudo: true"]),
        ('{ node = "dcgmi diag" }', (), [HOW, "$ dcgmi diag"]),
        ('"See:", { node = "ls" }', (), [HOW, "See:", "$ ls"]),
        ('{ steps = "patch", before = "Or so:" }', PATCH, [HOW, "Or so:", "$ patch it"]),
        ('"Words.", { steps = "patch", before = "Or so:" }', (), ["Words."]),
        ('"Set it in x:", { steps = "patch" }', PATCH, [HOW, "Set it in x:", "$ patch it"]),
        ('"Set it in x:", { steps = "patch" }', (), ["Set it in x."]),
        ('"Set it in x:", { steps = "patch" }, "Wait."', (), ["Set it in x.", "Wait."]),
        ('"Make it:", { steps = "patch" }', SPOKEN, ["Make it.", "The plugin makes it."]),
    ],
)
def test_what_its_admins_must_know_comes_before_a_step_on_the_node(
    fix: str,
    patch: tuple[Step, ...],
    steps: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """And before no other: words that speak of sudo are done nowhere."""
    assert list(fix_of(finding(fix, monkeypatch, tmp_path, patch=patch))) == steps


def test_steps_keep_their_kind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A text is filled in, whatever kind of step it is; an empty line in it parts nothing."""
    fix = '{ helm = "helm {thing}" }, { file = "{thing}" }'
    found = finding(fix, monkeypatch, tmp_path, thing="a\n\nb")
    assert steps_of(found) == (Step("helm", "helm 'a\n\nb'"), Step("file", "a\n\nb"))


def test_commands_of_the_catalogue_are_of_the_kind_that_their_program_tells() -> None:
    """Kubectl is never done on the node, sudo never elsewhere."""
    steps = [
        step
        for cause in catalogue().values()
        for step in (*cause.check, *(each for fix in cause.fix.values() for each in fix))
        if isinstance(step, Step)
    ]
    kinds = {"kubectl": "cluster", "helm": "helm", "sudo": "node", "aws": "outside"}
    assert len(steps) > 700
    for step in steps:
        program = step.text.partition(" ")[0]
        assert step.kind == kinds.get(program, step.kind), step
        assert not step.text.startswith("$ "), step


@pytest.mark.parametrize("layer", Layer)
def test_a_failure_without_a_cause_points_at_the_tests_own_message(layer: Layer) -> None:
    """It may be a user's test: there is nothing to report to us."""
    (fix,) = catalogue()[f"{layer}/unexplained"].fix.values()
    assert [step.text for step in fix if isinstance(step, Step)] == [
        "Read the message of the failed test; it names what was expected and what was found."
    ]
