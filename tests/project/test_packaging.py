"""What is shipped is what is in the repository: no file forgotten, none left over."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.project.wheel_check import ROOT, SETUPS, build, sources, wheel_of

MAPPED = {"conformance": "pytest_gpu/conformance", "fixtures": "pytest_gpu/fixtures"}


@pytest.fixture(scope="session")
def project() -> dict[str, Any]:
    """pyproject.toml as Python sees it."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def _repository() -> Iterator[str]:
    """Return where every file of the package and of what is mapped into it must be shipped."""
    for folder in ("pytest_gpu", *MAPPED):
        for file in (ROOT / folder).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                inside = file.relative_to(ROOT / folder).as_posix()
                yield f"{MAPPED.get(folder, folder)}/{inside}"


def test_the_wheel_holds_exactly_the_repository_files(tmp_path: Path) -> None:
    """Every module, catalogue, schema and sample recording, and nothing else."""
    names = zipfile.ZipFile(build(tmp_path)).namelist()
    shipped = {name for name in names if ".dist-info/" not in name}
    assert shipped == set(_repository())


def test_a_new_package_needs_no_line_anywhere(tmp_path: Path) -> None:
    """Packages and what lies beside their modules are found, not listed."""
    source = sources(tmp_path)
    new = source / "pytest_gpu" / "stack" / "made_up" / "deeper"
    new.mkdir(parents=True)
    names = ["__init__.py", "causes.toml", "schema.json", "list.yaml"]
    for folder in (new.parent, new):
        for name in names:
            (folder / name).write_text("")
    shipped = zipfile.ZipFile(wheel_of(source, tmp_path)).namelist()
    made_up = {name for name in shipped if "/made_up/" in name}
    package = "pytest_gpu/stack/made_up"
    assert made_up == {
        f"{each}/{name}" for each in (package, f"{package}/deeper") for name in names
    }


@pytest.mark.parametrize("folder", MAPPED)
def test_an_editable_install_runs_the_files_of_the_checkout(folder: str) -> None:
    """What is edited is what runs: the mapped folders are no copies."""
    module = import_module(MAPPED[folder].replace("/", "."))
    assert module.__file__ is not None
    assert Path(module.__file__).parent == ROOT / folder


def test_the_version_is_that_of_the_metadata(project: dict[str, Any]) -> None:
    """One release has one number."""
    code = "from importlib.metadata import version; print(version('pytest-gpu'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == project["project"]["version"]


def test_the_changelog_names_the_version(project: dict[str, Any]) -> None:
    """What users get is written down before they get it."""
    assert f"## {project['project']['version']}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_wheel_check_covers_xdist_and_allure_and_both_ends_of_pytest() -> None:
    """Each alone, both, none; and pytest 9.0, the oldest we support."""
    assert {setup.extras for setup in SETUPS} == {"", "[xdist]", "[allure]", "[xdist,allure]"}
    assert "pytest==9.0.*" in {setup.pytest for setup in SETUPS}
