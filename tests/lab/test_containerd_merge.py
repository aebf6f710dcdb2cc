"""Our merge of containerd's files against ``config dump`` of the real containerd: no arguing."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.debian import SUITES
from tests.lab.dump import CRI_OFF, Facts, daemon_stops, dumped, merged
from tests.lab.pieces import DROP_INS, LAYOUTS, MISSING_IMPORTS, ROOTS

Program = Callable[[str], Path]


def _version(program: Path) -> tuple[int, int, int]:
    """Return the version of a containerd: ``containerd github.com/… 1.7.24~ds1 …``."""
    text = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=True)
    major, minor, patch = text.stdout.split()[2].partition("~")[0].partition("+")[0].split(".")
    return int(major), int(minor), int(patch)


def _write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("@DIR@", str(folder)))
    return folder / "config.toml"


def _differences(program: Path, path: Path) -> str:
    """Return how the two readings differ, empty where they agree; error texts are ours to word."""
    theirs, ours = dumped(program, path), merged(path, _version(program))
    return "" if _word(theirs) == _word(ours) else f"containerd: {theirs}\nours:       {ours}\n"


def _word(answer: Facts | str) -> Facts | str:
    """Reduce an error to the fact that there is one."""
    return answer if isinstance(answer, Facts) or answer == CRI_OFF else "containerd stops"


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("generation", SUITES)
def test_layout_merges_as_the_real_containerd_does(
    generation: str, layout: str, containerd_program: Program, tmp_path: Path
) -> None:
    """Whatever imports do, the effective configuration is the one containerd has."""
    program = containerd_program(generation)
    assert _differences(program, _write(tmp_path, LAYOUTS[layout])) == ""


@pytest.mark.parametrize("layout", MISSING_IMPORTS)
@pytest.mark.parametrize("generation", SUITES)
def test_missing_import_stops_the_daemon(
    generation: str, layout: str, containerd_program: Program, tmp_path: Path
) -> None:
    """The daemon is asked, not ``config dump``: that of 2.x passes over a missing file."""
    path = _write(tmp_path, MISSING_IMPORTS[layout])
    program = containerd_program(generation)
    assert "no such file" in daemon_stops(program, path)
    assert "no such file" in str(merged(path, _version(program)))


@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize("generation", SUITES)
def test_every_drop_in_merges_as_the_real_containerd_does(
    generation: str, root: str, containerd_program: Program, tmp_path: Path
) -> None:
    """A root file alone, then with each drop-in in turn."""
    program = containerd_program(generation)
    found = {"no drop-in": _differences(program, _write(tmp_path, {"config.toml": ROOTS[root]}))}
    imports = 'imports = ["@DIR@/conf.d/*.toml"]\n'
    for name, drop_in in DROP_INS.items():
        files = {"config.toml": imports + ROOTS[root], "conf.d/99-nvidia.toml": drop_in}
        found[name] = _differences(program, _write(tmp_path, files))
    assert {name: text for name, text in found.items() if text} == {}


@pytest.mark.parametrize("generation", SUITES)
def test_the_comparison_sees_a_difference(
    generation: str, containerd_program: Program, tmp_path: Path
) -> None:
    """The dump of a file with a handler is not that of a file without: no vacuous agreement."""
    program = containerd_program(generation)
    bare = dumped(program, _write(tmp_path / "a", {"config.toml": ROOTS["v2-bare"]}))
    nvidia = dumped(program, _write(tmp_path / "b", {"config.toml": ROOTS["v2-only-nvidia"]}))
    assert isinstance(bare, Facts)
    assert isinstance(nvidia, Facts)
    assert "nvidia" in nvidia.runtimes
    assert "nvidia" not in bare.runtimes
