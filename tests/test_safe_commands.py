"""Commands of fixes are run with hostile values: each program gets its words, nothing else runs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from pytest_gpu.catalogue import catalogue, examples
from pytest_gpu.cause_entry import Cause
from pytest_gpu.causes import Finding, fill, fill_step
from pytest_gpu.cluster.recording.recorded import open_recording
from pytest_gpu.finding_json import as_json
from pytest_gpu.report.for_all import for_all, named
from pytest_gpu.run.placeholders import values_for
from pytest_gpu.stack.distributions.usual import usual
from pytest_gpu.stack.kube.device_plugin import DevicePlugin
from pytest_gpu.stack.kube.operator import HelmRelease
from pytest_gpu.stack.kube.restart import restart_plugin
from pytest_gpu.stack.repair.patch import patch
from pytest_gpu.steps import Step, Value, typed
from pytest_gpu.text.shell import Command, command, with_input
from tests.samples.sample_copy import SampleCopy
from tests.support.judging import judge
from tests.support.stubs import SHELLS, Stubs, Words, programs_in

USUAL = "S0S"
"""A value that no shell takes apart: what is seen with it is what is meant."""

HOSTILE = [
    "nv$(touch PWN); id",
    "`touch PWN`",
    "; touch PWN #",
    "a && touch PWN",
    "x'; touch PWN; '",
    'x"; touch PWN; "',
    "'\"'\"'$(touch PWN)",
    "a\ntouch PWN\nb",
    "a\nEOF\ntouch PWN",
    "-rf",
    "--kubeconfig=x",
    "*",
    "?[a-z]~",
    "~root",
    "two  words",
    "wow!!",
    "%s%n\\n",
    "a\\",
    "LD_PRELOAD=x",
    "{a,b}>PWN",
    "$HOME${HOME}$((1+1))",
    "|touch PWN&",
]


@cache
def commands(value: str) -> dict[str, str]:
    """Return every command that may be shown, by where it comes from, with a value filled in."""
    return {**dict(of_the_catalogue(value)), **dict(of_code(value))}


@cache
def places() -> dict[str, str]:
    """Return the different commands with a usual value, by where each comes from first."""
    found = {line: where for where, line in reversed(commands(USUAL).items()) if USUAL in line}
    return {where: line for line, where in found.items()}


def of_the_catalogue(value: str) -> Iterator[tuple[str, str]]:
    """Yield the commands of all causes, also of the fixes of distributions."""
    for cause in catalogue().values():
        for name in cause.fix:
            shown = as_json(filled(cause, "kubeadm" if name == "default" else name, value))
            for key in ("check", "fix"):
                for number, text in enumerate(shown[key]):
                    if text.startswith("$ "):
                        yield f"{cause.id} {name} {key} {number}", text[2:]


def filled(cause: Cause, distribution: str, value: str) -> Finding:
    """Return a finding of a cause on a distribution whose values are all this value."""
    values: dict[str, Value] = {
        **values_for(value, usual(distribution), f"/{value}"),
        **{name: like(kind, value) for name, kind in examples().get(cause.id, {}).items()},
        "distribution": distribution,
    }
    return Finding(cause=cause.id, evidence=(), values=values)


def like(example: Value, value: str) -> Value:
    """Return a value of the kind of an example: one word, a command, or steps."""
    if not isinstance(example, str):
        return (typed("node", command("sudo rm {path}", path=value)),)
    return command("kubectl get {it} -n {it}", it=value) if isinstance(example, Command) else value


def of_code(value: str) -> Iterator[tuple[str, str]]:
    """Yield commands that are made in code."""
    thing = {"metadata": {"name": value, "namespace": value}}
    yield "daemonset", restart_plugin(DevicePlugin(kind="nvidia", pods=(), daemonsets=(thing,)))
    yield "pod", restart_plugin(DevicePlugin(kind="nvidia", pods=(thing,), daemonsets=()))
    release = HelmRelease(name=value, namespace=value, chart=value, version=value)
    yield "helm", release.upgrade(f"runtimeClassName={value}")
    for number, step in enumerate(patch("/etc/x", "a\r\n", f"{value!r}\nb\n")):
        yield f"patch {number}", step.text


def meant(words: Words, value: str) -> Words:
    """Return what a program gets in place of its words with the usual value."""
    return tuple(_meant(word, value, is_program=not at) for at, word in enumerate(words))


def _meant(word: str, value: str, *, is_program: bool) -> str:
    found = word.replace(USUAL, value)
    if word.startswith(USUAL) and value.startswith("-") and not is_program:
        return f"./{found}"
    return found


def run_all(folder: Path, shell: str, value: str) -> tuple[dict[str, list[Words]], list[str]]:
    """Run every command with a value; return what each started, and what was planted."""
    stubs, wanted, found = Stubs(folder, shell), places(), commands(value)
    programs = {value, *programs_in(wanted.values())}
    seen = stubs.run([found[where] for where in wanted], programs)
    return dict(zip(wanted, seen, strict=True)), stubs.planted


@pytest.fixture(scope="module")
def as_meant(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Words]]:
    """What the commands start if the values are usual ones: each starts something."""
    seen, planted = run_all(tmp_path_factory.mktemp("usual") / "x", SHELLS[0], USUAL)
    assert not planted
    assert all(seen.values())
    return seen


def test_usual_values_need_no_quotes() -> None:
    """They look as the author of the cause wrote them."""
    steps = [
        (step, filled(cause, "kubeadm", USUAL))
        for cause in catalogue().values()
        for step in (*cause.check, *(step for fix in cause.fix.values() for step in fix))
        if isinstance(step, Step) and step.is_command
    ]
    assert len(steps) > 500
    assert [fill_step(*each).text for each in steps] == [fill(at.text, of) for at, of in steps]


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("value", HOSTILE)
def test_programs_get_hostile_values_as_words(
    tmp_path: Path, shell: str, value: str, as_meant: dict[str, list[Words]]
) -> None:
    """No part of a value is run, expanded, split, or taken for an option."""
    seen, planted = run_all(tmp_path / "x", shell, value)
    assert planted == []
    wrong = {
        where: (commands(value)[where], seen[where])
        for where, words in as_meant.items()
        if not same(seen[where], [meant(each, value) for each in words], value)
    }
    assert wrong == {}


def same(seen: list[Words], wanted: list[Words], value: str) -> bool:
    """Compare what was started; a program whose name assigns is called by its path."""
    if "\\" in value and wanted[0][0] == value:
        return True  # bash finds no program of such a name in PATH

    def plain(words: Words) -> Words:
        return tuple(word.removeprefix("./") if "=" in value else word for word in words)

    return sorted(map(plain, seen)) == sorted(map(plain, wanted))


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("value", HOSTILE)
def test_here_documents_end_where_they_should(tmp_path: Path, shell: str, value: str) -> None:
    """Whatever stands in them, also the word that usually ends them."""
    stubs, text = Stubs(tmp_path / "x", shell), f"{value}\nEOF\n$(touch PWN)\nEOFF\n"
    [seen] = stubs.run([with_input(command("reader -"), text)], ["reader"])
    assert seen == [("reader", "-", text)]
    assert stubs.planted == []


@pytest.mark.parametrize("value", HOSTILE)
def test_a_fix_for_many_nodes_runs_no_name(tmp_path: Path, value: str) -> None:
    """Nodes that no API would take are not named in one command, nor in a loop."""
    names = [f"{USUAL}-1", value]
    lines = {where: line.replace(USUAL, f"{USUAL}-1") for where, line in places().items()}
    for number, (first, other) in enumerate((names, names[::-1])):
        made = commands(first) if number else lines
        steps = tuple(Step("cluster", made[where]) for where in lines)
        labels = {each: {"x": value, "y/$(touch PWN)": "1"} for each in names}
        fixed = for_all(steps, named([first, other], labels, ".causes[]"))
        stubs = Stubs(tmp_path / str(number), SHELLS[0])
        stubs.run([step.text for step in fixed if step.is_command], programs_in(lines.values()))
        assert stubs.planted == []


@pytest.mark.parametrize(
    ("sample", "folder", "kind"),
    [
        ("rke2-toolkit-default-paths", "/etc/containerd", "$ sudo rm "),
        ("k8s-snap-imports-other-base-dir", "k8s-containerd/etc", "$ sudo patch "),
    ],
)
def test_a_recording_with_a_hostile_path(
    tmp_path: Path, sample: str, folder: str, kind: str
) -> None:
    """From the file of a process to the fix of the report."""
    hostile = "$(touch${IFS}PWN)`touch${IFS}PWN`;touch${IFS}PWN"
    copy = SampleCopy(sample, tmp_path)
    copy.rename([(folder, folder + hostile)])
    with open_recording(copy.folder, sample) as cluster:
        found = judge(cluster)["causes"]
    fix = [line for cause in found for line in cause["fix"] if line.startswith("$ ")]
    assert any(hostile in line and line.startswith(kind) for line in fix)
    stubs = Stubs(tmp_path / "x", SHELLS[0])
    stubs.run([line.removeprefix("$ ") for line in fix], programs_in(fix))
    assert stubs.planted == []


def test_the_stubs_see_what_is_not_quoted(tmp_path: Path) -> None:
    """The proof of the proof: a line with a value as it is plants the file."""
    stubs = Stubs(tmp_path / "x", SHELLS[0])
    assert stubs.run([f"ls {HOSTILE[0]}"], ["ls", "id"]) == [[("id",), ("ls", "nv")]]
    assert stubs.planted == ["PWN"]
