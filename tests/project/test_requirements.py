"""What is installed for development is pinned, and the pins, bounds and short lists are in step."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from tests.project import matrix
from tests.project.oldest import ROOT, needed_for_tests, oldest

FILES = {path.stem: path for path in (ROOT / "requirements").glob("*.txt")}
GROUPS = ("docs", "lint", "plugins", "test")
PIN = re.compile(
    r"([a-z0-9-]+==[0-9][0-9a-z.]*( ; [^\\]+)?)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n"
)
COMMENT = re.compile(r"^ *#.*\n", re.MULTILINE)


def metadata() -> dict[str, Any]:
    """Return what pyproject.toml says."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def pins(text: str) -> dict[str, Requirement]:
    """Return what a requirements file pins, by name; it may hold nothing but pins with hashes."""
    text = COMMENT.sub("", text)
    rest = PIN.sub("", text)
    if rest:
        raise ValueError(f"neither a pin with hashes nor a comment: {rest.splitlines()[0]!r}")
    found = [Requirement(match[1]) for match in PIN.finditer(text)]
    return {requirement.name: requirement for requirement in found}


def missing(wanted: Iterator[Requirement], pinned: dict[str, Requirement]) -> list[str]:
    """Return the requirements that no pin meets."""
    return [
        str(requirement)
        for requirement in wanted
        if not _meets(pinned.get(requirement.name.lower()), requirement)
    ]


def _meets(pin: Requirement | None, wanted: Requirement) -> bool:
    if pin is None:
        return False
    version = str(pin.specifier).removeprefix("==")
    return pin.marker is None and wanted.specifier.contains(version, prereleases=True)


def group(name: str) -> Iterator[Requirement]:
    """Return what a dependency group asks for, without the groups that it includes."""
    texts = metadata()["dependency-groups"][name]
    return (Requirement(text) for text in texts if isinstance(text, str))


def test_there_is_a_file_for_running_and_one_for_each_group() -> None:
    """No file is left over, none is forgotten."""
    assert sorted(FILES) == sorted(("run", *GROUPS))


@pytest.mark.parametrize("name", FILES)
def test_a_requirements_file_holds_pins_with_hashes_and_no_address(name: str) -> None:
    """Neither an index nor any other option of pip, and nothing that is fetched from an address."""
    text = FILES[name].read_text()
    assert pins(text)
    assert "://" not in text


HASH = f"--hash=sha256:{'0' * 64}"


@pytest.mark.parametrize(
    "text",
    [
        "--index-url x\n",
        "a==1\n",
        f"a>=1 \\\n    {HASH}\n",
        f"--find-links x\na==1 \\\n    {HASH}\n",
        f"a @ file:///x \\\n    {HASH}\n",
    ],
)
def test_anything_but_pins_with_hashes_is_refused(text: str) -> None:
    """The test above can fail."""
    with pytest.raises(ValueError, match="neither a pin with hashes nor a comment"):
        pins(text)


def test_the_pins_meet_what_the_metadata_asks_for() -> None:
    """After a change of pyproject.toml: make requirements."""
    run = pins(FILES["run"].read_text())
    test = pins(FILES["test"].read_text())
    assert not missing(needed_for_tests(metadata()), run | test)
    for name in GROUPS:
        assert not missing(group(name), pins(FILES[name].read_text()))


def test_a_missing_or_old_pin_is_found() -> None:
    """The test above can fail."""
    pinned = pins(f"a==1.0 \\\n    {HASH}\nb==1.0 ; sys_platform == 'win32' \\\n    {HASH}\n")
    wanted = [Requirement(text) for text in ("a>=1", "A<1", "a>=1.1", "b", "c")]
    assert missing(iter(wanted), pinned) == ["A<1", "a>=1.1", "b", "c"]


def test_files_agree_on_what_they_share() -> None:
    """They are installed into one environment."""
    found: dict[str, Requirement] = {}
    for path in FILES.values():
        for name, pin in pins(path.read_text()).items():
            assert found.setdefault(name, pin).specifier == pin.specifier, path


def test_the_build_group_is_what_the_build_asks_for() -> None:
    """The pinned build tool is chosen from a group: uv knows no other way."""
    assert metadata()["dependency-groups"]["build"] == metadata()["build-system"]["requires"]


@pytest.mark.parametrize(
    ("text", "version"),
    [("a>=1.2", "a==1.2"), ("a[x]>=3,<4", "a==3"), ("a==5", "a==5")],
)
def test_the_oldest_version_is_the_lower_bound(text: str, version: str) -> None:
    """Other limits do not matter for it."""
    assert oldest(Requirement(text)) == version


@pytest.mark.parametrize("text", ["a", "a<2", "a!=1"])
def test_a_requirement_without_lower_bound_is_refused(text: str) -> None:
    """It would be tested with any version."""
    with pytest.raises(ValueError, match="must have one lower bound"):
        oldest(Requirement(text))


def test_the_oldest_run_covers_build_package_extras_and_tests() -> None:
    """One name from each."""
    names = {requirement.name for requirement in needed_for_tests(metadata())}
    assert {"setuptools", "PyYAML", "pytest-xdist", "hypothesis"} <= names
    assert "pytest-gpu" not in names


def test_the_test_files_that_ci_names_exist() -> None:
    """The short list does not fail CI, so that a moved file would go unnoticed."""
    named = re.findall(r"\btests/[\w/]+\.py\b", (ROOT / ".ci/run").read_text())
    assert len(named) >= 5
    assert [name for name in named if not (ROOT / name).is_file()] == []


def fake_python(folder: Path, name: str, script: str) -> Path:
    """Write a program that stands for a Python; return its folder."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return folder


def test_the_first_python_that_starts_is_found(tmp_path: Path) -> None:
    """Pyenv's shim of a version that is not chosen fails; a wrong version is none."""
    shim = fake_python(tmp_path / "shims", "python3.12", "exit 127")
    wrong = fake_python(tmp_path / "wrong", "python3.12", "echo 3.11")
    right = fake_python(tmp_path / "right", "python3.12", "echo 3.12")
    folders = (tmp_path / "none", shim, wrong, right)
    assert matrix.find("3.12", iter(folders)) == right / "python3.12"
    assert matrix.find("3.13", iter(folders)) is None


def test_pythons_are_looked_for_on_path_and_in_pyenv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PATH comes first."""
    pyenv = tmp_path / "versions/3.12.1/bin"
    pyenv.mkdir(parents=True)
    monkeypatch.setenv("PATH", os.pathsep.join(["/a", "/b"]))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    assert list(matrix.places()) == [Path("/a"), Path("/b"), pyenv]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a machine's only folder of Pythons: it has 3.11, and a make that does nothing."""
    fake_python(tmp_path, "python3.11", "echo 3.11")
    fake_python(tmp_path, "make", "exit 0")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setattr(matrix, "places", lambda: iter([tmp_path]))
    return tmp_path


def test_the_matrix_names_each_version(machine: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Also those that were not found."""
    assert matrix.main(str(machine / "venvs"), []) == 0
    out = capfd.readouterr().out
    assert "Python 3.11: passed in 0 s" in out
    assert "Python 3.14: not found" in out


def test_the_matrix_fails_with_any_version(
    machine: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The exit code of make is told."""
    fake_python(machine, "make", "exit 2")
    assert matrix.main(str(machine / "venvs"), []) == 1
    assert "Python 3.11: FAILED (exit code 2) in 0 s" in capfd.readouterr().out


def test_the_matrix_fails_where_no_python_is_found(machine: Path) -> None:
    """Nothing was tested."""
    (machine / "python3.11").unlink()
    assert matrix.main(str(machine / "venvs"), []) == 1


def test_the_matrix_hands_words_on_as_they_are(
    machine: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Make passes ARGS to a shell."""
    fake_python(machine, "make", 'echo "$@"')
    matrix.main(str(machine / "venvs"), ["-k", "a or b"])
    assert "ARGS=-k 'a or b'" in capfd.readouterr().out
