"""YAML is read the same however often ``yaml`` was imported in one process."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest
import yaml

from pytest_gpu import libyaml
from pytest_gpu.cluster.recording import yaml_io, yaml_writer
from tests.support.runs import run_apart

RELOADED = ("yaml", libyaml.__name__, yaml_io.__name__, yaml_writer.__name__)

TWO_RUNS = """
import sys

pytest_plugins = ["pytester"]


def test_two_runs(pytester):
    for _ in range(2):
        assert "yaml" not in sys.modules
        result = pytester.runpytest_inprocess("--gpu-cluster=sample:k8s-snap-two-containerds")
        result.stdout.fnmatch_lines(["*cause: runtime/toolkit-configured-other-containerd*"])
        assert result.ret == 1
"""
"""A user's test of a project that uses our plugin, with pytest's own fixture for it."""


@pytest.fixture
def again() -> Iterator[ModuleType]:
    """Our YAML reader as it is where ``yaml`` was imported a second time."""
    before = {name: module for name, module in sys.modules.items() if _is_reloaded(name)}
    for name in before:
        del sys.modules[name]
    yield importlib.import_module(yaml_io.__name__)
    for name in [name for name in sys.modules if _is_reloaded(name)]:
        del sys.modules[name]
    sys.modules.update(before)
    for name, module in before.items():
        package, _, child = name.rpartition(".")
        if package:  # importing it again has put the new one there, too
            setattr(sys.modules[package], child, module)


def _is_reloaded(name: str) -> bool:
    return name in RELOADED or name.startswith("yaml.")


def test_two_runs_in_one_process_read_the_same(pytester: pytest.Pytester) -> None:
    """The second one imports ``yaml`` again, and libyaml's binding does not follow."""
    pytester.makepyfile(TWO_RUNS)
    run_apart(pytester).assert_outcomes(passed=1)


def test_a_second_yaml_is_read_as_the_first(again: ModuleType) -> None:
    """Values, order and refusals are those of the binding."""
    assert sys.modules["yaml"] is not yaml
    assert again.load(b"b: [1, x]\na: 2026-01-01\n", "f") == {"b": [1, "x"], "a": "2026-01-01"}
    writer = importlib.import_module(yaml_writer.__name__)
    assert writer is not yaml_writer
    assert again.load(writer.dump({"text": "a\nb\n"}), "f") == {"text": "a\nb\n"}
    for wrong, words in ((b"a: 1\na: 2\n", "a key occurs twice"), (b"a: [", "is not valid YAML")):
        with pytest.raises(again.RecordingError, match=words):
            again.load(wrong, "f")
    with pytest.raises(again.RecordingError, match="has an alias"):
        again.load(b"a: &x 1\nb: *x\n", "f")


def test_libyaml_is_used_where_it_fits() -> None:
    """Falling back where it is not needed would make every recording slow to read."""
    assert libyaml.SafeLoader is getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    assert libyaml.SafeDumper is getattr(yaml, "CSafeDumper", yaml.SafeDumper)
