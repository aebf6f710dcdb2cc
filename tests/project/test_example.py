"""The example project of the docs runs, shows everything, and is what its page shows."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from pytest_gpu import hookspecs
from tests.project.test_api import DOCS, load
from tests.support.runs import QUIET, run_here

EXAMPLE = DOCS / "example"


@pytest.fixture
def project(pytester: pytest.Pytester) -> Path:
    """Return a copy of the project, in which pytest is started."""
    shutil.copytree(EXAMPLE, pytester.path, dirs_exist_ok=True)
    return pytester.path


@pytest.fixture(scope="module")
def page() -> str:
    """The page as it is made when the documentation is built."""
    (text,) = load("example").pages().values()
    return str(text)


def commands(page: str) -> list[list[str]]:
    """Return the arguments of pytest on the page."""
    return [shlex.split(line) for line in re.findall(r"^\$ pytest (.*)$", page, re.MULTILINE)]


def test_it_passes_on_a_sample_as_its_page_says(
    pytester: pytest.Pytester, project: Path, page: str
) -> None:
    """With the shipped suite; the hook writes the verdict."""
    result = run_here(pytester, *commands(page)[0], *QUIET)
    assert result.ret == 0
    assert result.parseoutcomes() == {"passed": 68, "unproven": 1}
    assert (project / "on-duty.txt").read_text() == "rke2-agent-1: unproven\n"


def test_it_fails_with_its_own_cause_as_its_page_says(
    pytester: pytest.Pytester, project: Path, page: str
) -> None:
    """The layers above are blocked."""
    result = run_here(pytester, *commands(page)[1], *QUIET)
    cause, layer = re.findall(r"layer `(\w+)`, cause `([\w/-]+)`", page)[0][::-1]
    assert result.ret == 1
    assert f"cause: {cause} (layer {layer})" in result.stdout.str()
    assert (project / "on-duty.txt").read_text() == f"gpu-1: fails {cause}\n"


def test_its_hook_selects_the_nodes(pytester: pytest.Pytester, project: Path) -> None:
    """Of one spare node none is left."""
    recording = pytester.mkdir("spare")
    (recording / "recording.yaml").write_text(
        "format: 1\nbase: sample:healthy-rke2\nnodes: {spare-1: rke2-agent-1}\n"
    )
    result = run_here(pytester, "--gpu-cluster=path:spare", "tests", *QUIET)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "pytest_gpu_select_nodes" in result.stderr.str()


def functions(path: str) -> set[str]:
    """Return the names of the functions of a file of the project."""
    tree = ast.parse((EXAMPLE / path).read_text(encoding="utf-8"))
    return {each.name for each in tree.body if isinstance(each, ast.FunctionDef)}


def test_it_has_a_test_for_every_fixture() -> None:
    """A new fixture is shown."""
    api: ModuleType = load("api")
    fixtures = {f"test_{entry.name}" for entry in api.fixture_entries()}
    assert functions("tests/gpu/test_fixtures.py") == fixtures


def test_it_has_every_hook() -> None:
    """A new hook is shown."""
    hooks = {name for name in vars(hookspecs) if name.startswith("pytest_gpu_")}
    assert functions("conftest.py") == hooks


def test_the_page_shows_every_file(page: str) -> None:
    """None is left out, and none is another text."""
    shown = dict(re.findall(r"^## `(.*?)`\n.*?^```\w+\n(.*?)^```$", page, re.M | re.S))
    files = {
        path.relative_to(EXAMPLE).as_posix(): path.read_text(encoding="utf-8")
        for path in EXAMPLE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert shown == files
