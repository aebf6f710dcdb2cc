"""The registry of checks: what the conformance tests call, no more and no less."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from pytest_gpu import checks
from pytest_gpu.checks import Check, asked_by_visits, check, check_modules, question, registered
from pytest_gpu.gpu_node import Node
from pytest_gpu.run.node_face import GpuNode
from tests.support.fake_evidence import FakeCluster

CONFORMANCE = Path(__file__).parents[1] / "conformance"
WORDS = {"fail", "latent", "unproven", "first_of", "each_of"}
"""What a conformance test may call beside checks."""


def calls(tree: ast.Module) -> Iterator[str]:
    """Yield every function that the tests of a module name, as ``module.function``."""
    found = dict(_imported(tree))
    for function in tree.body:
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                    yield f"{found.get(node.value.id, node.value.id)}.{node.attr}"
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    yield found.get(node.func.id, node.func.id)


def _imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            for name in node.names:
                yield name.asname or name.name, f"{node.module}.{name.name}"


def called() -> set[str]:
    """Return all that the shipped suite calls, without its own words."""
    files = sorted(CONFORMANCE.glob("test_*.py"))
    found = {each for file in files for each in calls(ast.parse(file.read_text()))}
    return {each for each in found if each.rpartition(".")[2] not in WORDS}


def test_the_suite_calls_registered_checks_and_nothing_else() -> None:
    """Whatever decides a requirement is known to the survey and to the list of requirements."""
    names = {f"{each.__module__}.{each.__name__}" for each in registered().values()}
    assert called() - names == set()


def test_every_registered_check_is_used_by_the_suite() -> None:
    """A check that nobody calls decides nothing."""
    names = {f"{each.__module__}.{each.__name__}" for each in registered().values()}
    assert names - called() == set()
    assert len(names) > 60


def test_checks_stand_where_the_registry_looks() -> None:
    """A decorator in a module of another name would register nothing."""
    looked_into = {module.__name__ for module in check_modules()}
    stack = Path(checks.__file__).parent / "stack"
    for file in stack.rglob("*.py"):
        text = file.read_text()
        if "@check(" in text or "@question(" in text:
            assert ".".join(
                ("pytest_gpu", *file.relative_to(stack.parent).with_suffix("").parts)
            ) in (looked_into)


def test_a_name_says_the_thing_and_what_is_wrong() -> None:
    """The first part is the package in which the check stands."""
    for name, each in registered().items():
        thing, _, what = name.partition("/")
        assert thing == each.__module__.split(".")[-2], name
        assert what


def test_two_checks_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recordings list checks by name: it must mean one thing."""
    module = ModuleType("made_up")
    for attribute in ("one", "other"):
        each: Check[[], None] = check("made/up")(lambda node: None)
        each.__module__ = module.__name__
        setattr(module, attribute, each)
    monkeypatch.setattr(checks, "check_modules", lambda: iter([module]))
    checks._everything.cache_clear()
    with pytest.raises(ValueError, match="two checks are called 'made/up'"):
        checks._everything()
    checks._everything.cache_clear()


def test_a_check_is_the_function_that_it_decorates() -> None:
    """Its documentation, its name, its further arguments."""

    @check("made/up", visit=False)
    def longer_than(node: Node, length: int) -> bool:
        """Say whether a name is longer."""
        return len(node.name) > length

    node = GpuNode("gpu-1", FakeCluster())
    assert longer_than(node, 3)
    assert not longer_than(node, 30)
    assert (longer_than.__doc__, longer_than.__name__) == (
        "Say whether a name is longer.",
        "longer_than",
    )
    assert repr(longer_than) == "Check('made/up')"


def test_visits_ask_what_checks_of_the_node_and_questions_need() -> None:
    """What asks Kubernetes alone is left out."""
    names = asked_by_visits()
    assert "runtime/no-gpu-handler" in names
    assert "gpu/libcuda" in names
    assert not any(name.startswith("pods/") for name in names)
    assert question("x/y")(lambda node: node.name)(GpuNode("a", FakeCluster())) == "a"
