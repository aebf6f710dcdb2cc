"""``--gpu-explain``: one cause with an example, a list of those that have a word, all by layer."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import pytest_gpu
from pytest_gpu.catalogue import catalogue, examples
from pytest_gpu.cause_entry import Cause
from pytest_gpu.cause_file import check_placeholders
from pytest_gpu.errors import GpuError
from pytest_gpu.layers import Layer
from pytest_gpu.run.explaining.example import Example
from pytest_gpu.run.explaining.explain import explain
from pytest_gpu.run.explaining.wrapped import WIDTH
from pytest_gpu.stack.distributions.usual import names, usual
from pytest_gpu.text.shell_places import PLACEHOLDER
from tests.run.test_own_causes import MOUNT, own_file
from tests.support.reported_by import lowest_layers
from tests.support.runs import QUIET, refused, run_here

CAUSES = catalogue()


def test_a_cause_is_printed_without_a_cluster(pytester: pytest.Pytester) -> None:
    """Title, layer, example values, why, check, fix per distribution; no test runs."""
    pytester.makepyfile("def test_own(): assert False")
    result = run_here(pytester, "--gpu-explain=runtime/toolkit-default-paths", *QUIET)
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "runtime/toolkit-default-paths: The toolkit wrote to *",
            "Layer: runtime",
            "Example: config /var/lib/rancher/rke2/agent/etc/containerd/config.toml; socket",
            "Check by hand:",
            "  $ sudo grep -n nvidia /var/lib/rancher/rke2/agent/etc/containerd/config.toml *",
            "Fix (any other distribution):",
            '    value: "/run/k3s/containerd/containerd.sock"',
            "  $ sudo systemctl restart containerd",
            "Fix (rke2):",
            "  $ sudo systemctl restart rke2-agent",
            "Consequences of this cause:",
        ]
    )
    assert "test session starts" not in result.stdout.str()


@pytest.mark.parametrize("cause", CAUSES.values(), ids=lambda cause: cause.id)
def test_every_cause_has_an_example_for_each_placeholder(cause: Cause) -> None:
    """And for no other; nothing bare is left, and only what is to be copied is a long line."""
    check_placeholders(replace(cause, example=examples().get(cause.id, {})))
    text = explain(cause.id, {})
    assert not PLACEHOLDER.search(text)
    example = Example(cause)
    steps = [*example.check, *(step for name in cause.fix for step in example.fix(name))]
    copied = {line for step in steps if step.kind != "words" for line in step.shown.splitlines()}
    for line in text.splitlines():
        to_copy = not copied.isdisjoint({line, line[2:], f"$ {line}"})
        assert len(line) <= WIDTH or line.strip().count(" ") == 0 or to_copy, line
    pasted = [step.shown for step in steps if step.kind != "words" and "\n" in step.shown]
    assert all(f"\n{each.removeprefix('$ ').strip()}\n" in text for each in pasted)


def test_what_is_explained_can_be_copied() -> None:
    """A here-document ends only at an unindented word, and a patch applies only as it is."""
    lines = explain("runtime/config-overwritten", {}).splitlines()
    assert lines.count("EOF") == sum("<<" in line for line in lines)


def test_every_example_is_of_a_cause_and_a_distribution_that_exist() -> None:
    """An example of a cause that is gone helps nobody."""
    assert examples().keys() <= CAUSES.keys()
    named = [each["distribution"] for each in examples().values() if "distribution" in each]
    assert named
    assert set(named) <= set(names())


def test_examples_name_what_the_checks_report() -> None:
    """A value that the code no longer passes would be an example of nothing."""
    checked = 0
    for call in findings():
        cause, keywords = call.args[0], {keyword.arg for keyword in call.keywords}
        if isinstance(cause, ast.Constant) and None not in keywords:
            example = examples().get(str(cause.value), {}).keys() - {"distribution"}
            assert example <= keywords, cause.value
            checked += 1
    assert checked > 80


def findings() -> Iterator[ast.Call]:
    """Yield every call of ``Finding.of`` in the checks."""
    for file in sorted((Path(pytest_gpu.__file__).parent / "stack").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Finding.of":
                yield node


def test_every_cause_is_listed_with_the_lowest_layer_that_reports_it() -> None:
    """Its prefix says whose thing must be fixed, which may be another one."""
    lowest = lowest_layers()
    unexplained = {str(layer): f"{layer}/unexplained" for layer in Layer}
    assert CAUSES.keys() - lowest.keys() == set(unexplained.values())
    assert {name: lowest[name] for name in lowest} == {name: CAUSES[name].layer for name in lowest}


def test_all_causes_are_listed_by_layer(pytester: pytest.Pytester) -> None:
    """ID and title of each, in 80 columns, with those of one's own."""
    own_file(pytester)
    result = run_here(pytester, "--gpu-explain=all", *QUIET)
    assert result.ret == 0
    lines = result.outlines
    heads = [line.partition(" (")[0] for line in lines if line and not line.startswith(" ")]
    assert heads[:-1] == [str(layer) for layer in Layer]
    listed = [
        line.partition(": ")[0].strip()
        for line in lines
        if line.startswith("  ") and line[2] != " "
    ]
    assert sorted(listed) == sorted([*CAUSES, "acme/mount-missing"])
    assert max(map(len, lines)) <= WIDTH
    at = lines.index("  acme/mount-missing: The data volume <path> is not mounted on <node>")
    above = [line for line in lines[:at] if line and line[0] != " "]
    assert above[-1].startswith("driver (")


def test_a_part_of_a_name_finds(pytester: pytest.Pytester) -> None:
    """One cause is explained, several are listed, also those of one's own."""
    own_file(pytester)
    for part in ("nouveau", "NOUVEAU", "nouveau-holds-gpu"):
        result = run_here(pytester, f"--gpu-explain={part}", *QUIET)
        assert result.ret == 0
        assert result.outlines[0].startswith("driver/nouveau-holds-gpu: The driver nouveau holds")
    result = run_here(pytester, "--gpu-explain=missing", *QUIET)
    assert result.ret == 0
    found = [name for name in (*CAUSES, "acme/mount-missing") if "missing" in name]
    assert result.outlines[0] == f"{len(found)} causes have 'missing' in their name:"
    for name in found:
        assert f"  {name}: " in result.stdout.str()
    assert max(map(len, result.outlines)) <= WIDTH


def test_a_cause_of_ones_own_is_explained(pytester: pytest.Pytester) -> None:
    """With the example that its file has."""
    own_file(pytester)
    result = run_here(pytester, "--gpu-explain=acme/mount", *QUIET)
    assert result.outlines[:4] == [
        "acme/mount-missing: The data volume /data is not mounted on gpu-1",
        "",
        "Layer: driver",
        "Example: node gpu-1; path /data",
    ]
    assert "  $ sudo mount /data" in result.outlines


def test_a_wrong_file_is_named_here_too(pytester: pytest.Pytester) -> None:
    """As in a run."""
    file = own_file(pytester, MOUNT.replace("why", "reson"))
    found = refused(run_here(pytester, "--gpu-explain=all", *QUIET))
    assert found.startswith(f"{file}:4: acme/mount-missing: reson: unknown key; ")


@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=["inline", "xdist"])
def test_unknown_cause_names_the_closest(pytester: pytest.Pytester, workers: list[str]) -> None:
    """A typo, with and without the prefix, one of one's own, and nothing like it."""
    own_file(pytester)
    for typo, meant in {
        "runtime/binary-mising": "runtime/binary-missing",
        "binary-mising": "runtime/binary-missing",
        "acme/mount-mising": "acme/mount-missing",
        "noveau": "driver/nouveau-holds-gpu",
        "Overwriten": "runtime/config-overwritten",
        "mout": "acme/mount-missing",
    }.items():
        line = refused(run_here(pytester, f"--gpu-explain={typo}", *QUIET, *workers))
        assert line.startswith(f"--gpu-explain: {typo}: no such cause; closest are ")
        assert meant in line
    line = refused(run_here(pytester, "--gpu-explain=xyzzy", *QUIET, *workers))
    assert line.startswith("--gpu-explain: xyzzy: no such cause; causes start with access/")


@pytest.mark.parametrize("empty", ["", " "])
def test_empty_word_is_told_as_empty(pytester: pytest.Pytester, empty: str) -> None:
    """A blank is in the name of no cause, and nothing in the name of each."""
    line = refused(run_here(pytester, f"--gpu-explain={empty}", *QUIET))
    wanted = "name a cause such as driver/nouveau-holds-gpu, a part of its name, or all"
    assert line == f"--gpu-explain: is empty; {wanted}"


def test_all_is_read_in_any_case() -> None:
    """As the parts of names are."""
    assert explain("ALL", {}) == explain("all", {})
    assert explain("Runtime/Binary-Missing", {}) == explain("runtime/binary-missing", {})


def test_a_distribution_that_does_not_exist_has_no_usual_commands() -> None:
    """The other ones have."""
    assert usual("rke2").restart == "sudo systemctl restart rke2-agent"
    with pytest.raises(KeyError):
        usual("rke3")
    with pytest.raises(GpuError):
        explain("nothing-like-it", {})
