"""The check beside other plugins covers what it says, and notices what differs."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_gpu.layers import Layer
from tests.project.plugins_check import against_sample, differences, runs
from tests.project.plugins_runs import (
    BROKEN,
    FLEET,
    HEALTHY,
    LAYERS,
    OWN_STATES,
    OWN_TESTS,
    PLUGINS,
    TOGETHER,
    UNPROVEN,
    Outcome,
    Run,
    layers_tested,
    rises,
)
from tests.project.test_requirements import FILES, pins

NODE: dict[str, Any] = {
    "verdict": "fails",
    "layer": "hardware",
    "cause": "driver/x",
    "latent": [],
    "states": {"hardware": "failed"},
    "open": [],
    "tests": {"hardware": 3},
}
EXPECTED = Outcome(
    exit=1,
    nodes={"gpu-1": NODE},
    header=("gpu: cluster: x",),
    closing=("1 node: fails (1 cause)",),
    climbs=True,
    loaded=frozenset(),
)


def test_each_of_the_eight_plugins_is_tried_alone_and_with_others() -> None:
    """They are the ones that issue reports name."""
    names = {plugin.name for plugin in PLUGINS}
    assert names == {
        *("asyncio", "randomly", "timeout", "rerunfailures"),
        *("html", "sugar", "cov", "repeat"),
    }
    assert {plugin.name for group in TOGETHER for plugin in group} == names
    assert all(len(group) == len(PLUGINS) - 1 for group in TOGETHER)


def test_every_plugin_is_pinned() -> None:
    """Its environment is made from pins."""
    pinned = pins(FILES["plugins"].read_text())
    assert [each.name for each in PLUGINS if f"pytest-{each.name}" not in pinned] == []


def test_a_healthy_a_broken_and_an_unproven_cluster_are_judged_with_and_without_workers() -> None:
    """Also with one plugin alone; a healthy one ends with 0, the others do not."""
    alone = list(runs((PLUGINS[0],)))
    assert [run.sample for run in alone if not run.parallel] == [HEALTHY, BROKEN, UNPROVEN]
    assert [run.sample for run in alone if run.parallel] == [FLEET]
    assert [run.sample for run in runs(()) if run.parallel] == [FLEET, HEALTHY]
    assert set(FLEET.verdicts.values()) == {"conforms", "unproven", "fails"}
    assert [sample.exit for sample in (HEALTHY, BROKEN, UNPROVEN)] == [0, 1, 1]


def run_with(name: str) -> Run:
    """Return a run with one plugin."""
    (plugin,) = (each for each in PLUGINS if each.name == name)
    return Run(plugins=(plugin,), sample=BROKEN, parallel=False)


def test_no_difference_is_none() -> None:
    """With --count=2 there are twice as many tests."""
    html = replace(EXPECTED, loaded=frozenset({"html"}))
    assert differences(run_with("html"), EXPECTED, html) == []
    repeated = {"gpu-1": NODE | {"tests": {"hardware": 6}}}
    twice = replace(EXPECTED, loaded=frozenset({"repeat"}), nodes=repeated)
    assert differences(run_with("repeat"), EXPECTED, twice) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"exit": 0}, "WRONG exit code: 0, not 1"),
        ({"header": ()}, "WRONG header"),
        ({"closing": ()}, "WRONG closing line"),
        ({"climbs": False}, "WRONG order"),
        ({"loaded": frozenset()}, "WRONG plugins: [], not ['html']"),
        ({"nodes": {}}, "WRONG verdict of gpu-1: None, not fails"),
        *(
            ({"nodes": {"gpu-1": NODE | {key: "other"}}}, f"WRONG {key} of gpu-1: other, not ")
            for key in ("verdict", "layer", "cause", "latent", "states", "open")
        ),
        ({"nodes": {"gpu-1": NODE | {"tests": {"hardware": 6}}}}, "WRONG number of tests of gpu-1"),
    ],
)
def test_every_difference_is_told(change: dict[str, Any], words: str) -> None:
    """The check can fail."""
    found = replace(EXPECTED, **({"loaded": frozenset({"html"})} | change))
    assert any(line.startswith(words) for line in differences(run_with("html"), EXPECTED, found))


def test_a_sample_that_is_not_what_it_must_be_is_told() -> None:
    """Otherwise two runs that are wrong in the same way would agree."""
    assert "WRONG verdicts" in " ".join(against_sample(HEALTHY, EXPECTED))


def test_tests_out_of_the_ladders_order_are_noticed(tmp_path: Path) -> None:
    """In the order in which JUnit lists them."""
    cases = "".join(
        f"<testcase><properties><property name='gpu_node' value='gpu-1'/>"
        f"<property name='gpu_layer' value='{layer}'/></properties></testcase>"
        for layer in ("driver", "hardware")
    )
    (tmp_path / "junit.xml").write_text(f"<testsuite>{cases}</testsuite>")
    found = layers_tested(tmp_path / "junit.xml")
    assert found == {"gpu-1": ["driver", "hardware"]}
    assert not rises(found["gpu-1"])
    assert rises(["hardware", "driver"])


def test_the_layers_of_the_check_are_the_products() -> None:
    """The script must not import the product that it checks."""
    assert tuple(map(str, Layer)) == LAYERS


def test_the_state_of_every_own_test_is_expected() -> None:
    """None is forgotten."""
    tree = ast.parse(OWN_TESTS.read_text())
    functions = (
        each for each in tree.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    tests = {each.name for each in functions if each.name.startswith("test_")}
    assert {name.partition("[")[0] for name in OWN_STATES} == tests
