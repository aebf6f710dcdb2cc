"""The rules of this repository that a program can check, checked over all of its code."""

from __future__ import annotations

import ast
import dataclasses
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_gpu.evidence import REDACTED
from pytest_gpu.settings.live_settings import LiveSettings
from pytest_gpu.stack.distributions import every
from tests.project import house_imports as house
from tests.support.runs import run_apart

ROOT = Path(__file__).parents[2]
SHIPPED = ("pytest_gpu", "conformance", "fixtures")
HEAVY = ("allure", "kubernetes", "pynvml", "tomlkit", "xdist", "yaml")

DOORS = {"pytest_gpu/cluster", "pytest_gpu/probe"}
"""Where the world is touched. Beside them only what pytest itself makes a plugin touch:"""

MAY_TOUCH = {
    "pytest_gpu/settings/user_files.py": "whether the files that options name can be used",
    "pytest_gpu/run/ledger.py": "a file for each node, shared by the workers",
    "pytest_gpu/run/opening.py": "the folder that holds these files, gone at the end",
    "pytest_gpu/report/json.py": "writes --gpu-report",
    "pytest_gpu/private_files.py": "creates what only this user can read, for these and the doors",
    "pytest_gpu/_allure.py": "writes into --alluredir",
}

TOUCHING_MODULES = {"http", "kubernetes", "os", "shutil", "socket", "subprocess", "tempfile"}
TOUCHING_CALLS = {
    "open",
    "mkdir",
    "read_bytes",
    "rename",
    "rmtree",
    "touch",
    "unlink",
    "write_bytes",
    "write_text",
}
DISTRIBUTIONS = "pytest_gpu/stack/distributions"
"""The one package that may name a distribution."""

MAY_NAME = {
    "pytest_gpu/stack/host/processes.py": "programs that happen to be called like their product",
}

PUBLIC = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
Check = Callable[[ast.Module, str], Iterator[str]]


def sources(*folders: str) -> Iterator[tuple[str, str]]:
    """Return (path, text) of every Python file below the folders."""
    for folder in folders:
        for file in sorted((ROOT / folder).rglob("*.py")):
            if "__pycache__" not in file.parts:
                yield file.relative_to(ROOT).as_posix(), file.read_text()


def violations(check: Check, *folders: str) -> list[str]:
    """Return what a check finds in the files below the folders, as ``path: what``."""
    return [
        f"{path}: {found}"
        for path, text in sources(*folders)
        for found in check(ast.parse(text), path)
    ]


def test_no_import_runs_upwards_or_in_a_circle() -> None:
    """Every room imports only from its own floor and from those below it."""
    assert list(map(str, house.upward(ROOT))) == []
    assert list(house.circles(ROOT)) == []
    assert list(house.circles_of_rooms(ROOT)) == []
    assert list(house.without_floor(ROOT)) == []


def test_no_module_has_more_than_250_lines() -> None:
    """A longer module holds two things."""
    lengths = {path: text.count("\n") for path, text in sources(*SHIPPED)}
    assert {path: lines for path, lines in lengths.items() if lines > 250} == {}


def test_no_function_has_more_than_50_lines() -> None:
    """Tests included."""
    assert violations(long_functions, *SHIPPED, "tests") == []


def long_functions(tree: ast.Module, _: str) -> Iterator[str]:
    """Yield functions of more than 50 lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > 50:
                yield f"{node.name} has {lines} lines"


def test_all_that_is_public_has_a_docstring() -> None:
    """Modules, classes, functions, methods: what it is, in words."""
    assert violations(undocumented, *SHIPPED, "tests") == []


def undocumented(tree: ast.Module, _: str) -> Iterator[str]:
    """Yield public names without a docstring; nothing inside a function is public."""
    if tree.body and not ast.get_docstring(tree):
        yield "the module"
    for node in _public(tree):
        if not ast.get_docstring(node):
            yield node.name


def _public(parent: ast.Module | ast.ClassDef) -> Iterator[PUBLIC]:
    for node in parent.body:
        if isinstance(node, PUBLIC) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from _public(node)


def test_no_error_is_swallowed() -> None:
    """``except …: pass`` hides what an admin must read."""
    assert violations(swallowed, *SHIPPED, "tests") == []


def swallowed(tree: ast.Module, _: str) -> Iterator[str]:
    """Yield handlers that only pass, and ``suppress`` of everything."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            if all(isinstance(line, ast.Pass) for line in node.body):
                yield f"line {node.lineno} passes over an error"
            if node.type is None:
                yield f"line {node.lineno} catches everything"


def test_all_text_for_people_leaves_through_one_function() -> None:
    """What is written past ``visible`` could control a terminal or a CI service.

    The summary's lines pass it in ``report.terminal``; JSON has an escape of its own.
    """
    assert violations(raw_text, "pytest_gpu") == []
    assert list(raw_text(ast.parse("terminal.write_line(x); sys.stderr.write(y)"), SPEAK[0])) == [
        "line 1: terminal.write_line(x)",
        "line 1: sys.stderr.write(y)",
    ]


SPEAK = ("pytest_gpu/plugin.py", "pytest_gpu/_allure.py", "pytest_gpu/run/")
WRITERS = ("write_line", "stdout.write", "stderr.write", "erminal.write", "allure.attach")


def raw_text(tree: ast.Module, path: str) -> Iterator[str]:
    """Yield calls that write a text which has not passed ``visible``."""
    for node in ast.walk(tree):
        if not path.startswith(SPEAK) or not isinstance(node, ast.Call):
            continue
        text = node.args[0] if node.args else node
        raw = not (isinstance(text, ast.Call) and _called(text) == "visible")
        if raw and ast.unparse(node.func).endswith(WRITERS):
            yield f"line {node.lineno}: {ast.unparse(node)}"


def test_only_the_doors_touch_the_world() -> None:
    """Facts, findings and reports are pure: nothing else reads a file or starts a process."""
    assert violations(touching, *SHIPPED) == []


def test_the_exceptions_to_the_doors_exist() -> None:
    """A module that is gone is no exception any more."""
    assert [path for path in MAY_TOUCH if not (ROOT / path).exists()] == []


def touching(tree: ast.Module, path: str) -> Iterator[str]:
    """Yield imports and calls that reach outside, where that is not the module's job."""
    if path in MAY_TOUCH or any(path.startswith(f"{door}/") for door in DOORS):
        return
    for node in ast.walk(tree):
        for module in _imported(node):
            if module.partition(".")[0] in TOUCHING_MODULES:
                yield f"line {_line(node)} imports {module}"
        if isinstance(node, ast.Call) and _called(node) in TOUCHING_CALLS:
            yield f"line {node.lineno} calls {_called(node)}()"


def _line(node: ast.AST) -> int:
    return getattr(node, "lineno", 0)


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [name.name for name in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []


def _called(call: ast.Call) -> str:
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def test_only_distributions_name_a_distribution() -> None:
    """Whoever writes ``name == "k3s"`` should ask the distribution what is meant by it."""
    assert violations(naming, *SHIPPED) == []


def test_the_exceptions_to_naming_are_needed() -> None:
    """A module that names none any more is no exception."""
    texts = {path: (ROOT / path).read_text() for path in MAY_NAME}
    assert [path for path, text in texts.items() if not any(naming(ast.parse(text), ""))] == []


def naming(tree: ast.Module, path: str) -> Iterator[str]:
    """Yield every text that is a distribution's name and nothing else.

    However it is used: compared, a key, in a list that something is looked up in. Sentences and
    paths may name one; a docstring is a sentence.
    """
    if path in MAY_NAME or path.startswith(f"{DISTRIBUTIONS}/"):
        return
    names = {name for product in every.products() for name in product.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in names:
            yield f"line {node.lineno} names {node.value}"


def test_no_class_copies_the_settings_of_live_clusters() -> None:
    """An option that is added there is known to all that acts in the cluster, by no other name."""
    of_live = {field.name for field in dataclasses.fields(LiveSettings)}
    assert violations(lambda tree, _: copies(tree, of_live), *SHIPPED) == []


def copies(tree: ast.Module, names: set[str]) -> Iterator[str]:
    """Yield classes that have three or more of these fields, beside LiveSettings itself."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name != LiveSettings.__name__:
            fields = [each.target for each in node.body if isinstance(each, ast.AnnAssign)]
            same = names & {each.id for each in fields if isinstance(each, ast.Name)}
            if len(same) > 2:
                yield f"{node.name} has {sorted(same)}"


READ_ONCE = ("DEVICE_LIST_STRATEGY", "enableCDI", REDACTED)
"""Texts that two modules have had, of one meaning: what one changed the other did not."""


@pytest.mark.parametrize("name", READ_ONCE)
def test_one_module_reads_a_name(name: str) -> None:
    """Whoever else needs it asks that module."""
    readers = [path for path, text in sources(*SHIPPED) if name in constants(ast.parse(text))]
    assert len(readers) == 1, readers


def constants(tree: ast.Module) -> set[object]:
    """Return the texts of a module that stand by themselves."""
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return {node.value for node in nodes if isinstance(node.value, str)}


def test_nothing_private_of_pytest_is_imported() -> None:
    """All that is needed is public since pytest 7."""
    assert violations(private_pytest, *SHIPPED, "tests") == []


def private_pytest(tree: ast.Module, _: str) -> Iterator[str]:
    """Yield imports from ``_pytest``."""
    for node in ast.walk(tree):
        for module in _imported(node):
            if module.partition(".")[0] == "_pytest":
                yield f"line {_line(node)} imports {module}"


@pytest.mark.parametrize(
    ("check", "code"),
    [
        (long_functions, "def f():\n" + "    x = 1\n" * 51),
        (undocumented, "'''Doc.'''\ndef f():\n    return 1\n"),
        (
            undocumented,
            "'''Doc.'''\nclass C:\n    '''Doc.'''\n    def m(self):\n        return 1\n",
        ),
        (swallowed, "try:\n    f()\nexcept ValueError:\n    pass\n"),
        (swallowed, "try:\n    f()\nexcept:\n    g()\n"),
        (touching, "import subprocess\n"),
        (touching, "from kubernetes.client import ApiClient\n"),
        (touching, "path.write_text('x')\n"),
        (touching, "open('x')\n"),
        (private_pytest, "from _pytest.config import Config\n"),
        (naming, 'if style == "k3s":\n    pass\n'),
        (naming, 'SEALED = ("talos", other)\n'),
        (naming, 'UNITS = {"eks-ubuntu": 1}\n'),
        (naming, 'match name:\n    case "rke2":\n        pass\n'),
    ],
)
def test_every_rule_sees_its_violation(check: Check, code: str) -> None:
    """A rule that finds nothing anywhere guards nothing."""
    assert list(check(ast.parse(code), "pytest_gpu/stack/cdi/x.py")) != []


@pytest.mark.parametrize("path", ["pytest_gpu/cluster/x.py", "pytest_gpu/probe/x.py"])
def test_the_doors_may_touch_the_world(path: str) -> None:
    """The rule is about everything else."""
    assert list(touching(ast.parse("import subprocess\nopen('x')\n"), path)) == []


def test_sentences_and_paths_may_name_a_distribution() -> None:
    """And so may the package that knows them."""
    text = '"""k3s and RKE2."""\nPATH = "/snap/k8s/bin"\nTEXT = "k3s did not start"\n'
    assert list(naming(ast.parse(text), "pytest_gpu/stack/cdi/x.py")) == []
    assert list(naming(ast.parse('NAME = "k3s"\n'), f"{DISTRIBUTIONS}/products/x.py")) == []


def test_without_its_option_the_plugin_imports_nothing_heavy() -> None:
    """Nobody pays who did not order: a run without --gpu-cluster loads our own modules at most."""
    code = "import sys, pytest_gpu.plugin; print(*sorted(sys.modules))"
    argv = [sys.executable, "-c", code]
    loaded = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    assert "pytest_gpu.plugin" in loaded
    assert set(HEAVY).isdisjoint(loaded)


def test_a_run_without_its_option_imports_nothing_heavy(pytester: pytest.Pytester) -> None:
    """Also after all hooks of a whole run, reporting included."""
    pytester.makepyfile(
        f"""
        import sys

        def test_nothing_heavy_is_loaded():
            assert "pytest_gpu.plugin" in sys.modules
            assert set({HEAVY!r}).isdisjoint(sys.modules)
        """
    )
    run_apart(pytester).assert_outcomes(passed=1)
