"""Our merge of containerd's files agrees with ``config dump`` of the real containerd."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from pytest_gpu.stack.kubelet.containerd import effective_config
from tests.lab.conftest import COMPARED
from tests.lab.parts.containerds import GENERATIONS
from tests.lab.stack.containerd.configurations import Files, digest, groups, placed
from tests.lab.stack.containerd.dump import (
    CRI_OFF,
    NO_FILE,
    Facts,
    daemon_stops,
    dumped,
    merged,
    words,
)
from tests.lab.stack.containerd.generated import configurations
from tests.lab.stack.containerd.pieces import ROOTS

Program = Callable[[str], Path]
Record = Callable[[str, object], None]

EXAMPLES = int(os.environ.get("PYTEST_GPU_EXAMPLES", "60"))
"""How many random configurations are compared; the same ones in every run of as many."""


@cache
def _version(program: Path) -> tuple[int, int, int]:
    """Return the version of ``containerd github.com/… 1.7.24~ds1 …``, or ``… v2.4.2 …``."""
    text = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=True)
    numbers = text.stdout.split()[2].removeprefix("v").partition("~")[0].partition("+")[0]
    major, minor, patch = numbers.split(".")
    return int(major), int(minor), int(patch)


def _write(folder: Path, files: Files) -> Path:
    for name, content in placed(files, str(folder)).items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder / "config.toml"


def _difference(program: Path, files: Files) -> str:
    """Return how the two readings differ, empty where they agree; error texts are ours to word.

    Our reading is taken twice: from the folder, and from the files alone, as others call it.
    """
    version = _version(program)
    with tempfile.TemporaryDirectory() as folder:
        path = _write(Path(folder), files)
        theirs, ours = dumped(program, path), merged(path, version)
        if NO_FILE in str(ours) and (isinstance(theirs, Facts) or theirs == CRI_OFF):
            # ``config dump`` of 2.x passes over a missing file; the daemon does not.
            theirs = daemon_stops(program, path)
        config = effective_config(placed(files, folder), version, root=str(path))
        alone = words(config, version)
    if _word(theirs) == _word(ours) == _word(alone):
        return ""
    return f"containerd: {theirs}\nours:       {ours}\nalone:      {alone}\n"


def _word(answer: Facts | str) -> Facts | str:
    """Reduce an error to the fact that there is one."""
    return answer if isinstance(answer, Facts) or answer == CRI_OFF else "containerd stops"


def _differences(program: Path, named: Iterable[tuple[str, Files]]) -> dict[str, str]:
    """Return the differences by name; two processes at a time are what the machine has."""
    names, all_files = zip(*named, strict=True)
    with ThreadPoolExecutor(max_workers=2) as pool:
        found = pool.map(partial(_difference, program), all_files)
        return {name: text for name, text in zip(names, found, strict=True) if text}


@pytest.mark.parametrize("group", groups())
@pytest.mark.parametrize("generation", GENERATIONS)
def test_merge_is_that_of_the_real_containerd(
    generation: str, group: str, containerd_program: Program, record_property: Record
) -> None:
    """Same handlers, options, default, CDI, CNI and images; and the same refusals to start."""
    program = containerd_program(generation)
    files = groups()[group]
    found = _differences(program, files.items())
    digests = sorted({digest(each) for each in files.values()})
    record_property(COMPARED, (generation, digests, len(found)))
    assert found == {}


@pytest.mark.parametrize("generation", GENERATIONS)
def test_random_configurations_merge_as_the_real_containerd_does(
    generation: str, containerd_program: Program, record_property: Record
) -> None:
    """Import trees, versions, overlaps and ways of writing that nobody thought of."""
    program = containerd_program(generation)
    digests: set[str] = set()

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(files=configurations())
    def compare(files: dict[str, str]) -> None:
        digests.add(digest(files))
        assert _difference(program, files) == ""

    try:
        compare()
    except BaseException:
        record_property(COMPARED, (generation, sorted(digests), 1))
        raise
    record_property(COMPARED, (generation, sorted(digests), 0))


def test_the_configurations_are_many_and_different() -> None:
    """At least 300, the random ones not counted."""
    assert len({digest(files) for named in groups().values() for files in named.values()}) >= 300


@pytest.mark.parametrize("generation", GENERATIONS)
def test_links_are_followed(generation: str, containerd_program: Program, tmp_path: Path) -> None:
    """A linked folder of drop-ins, and one file under two names."""
    program = containerd_program(generation)
    nvidia = ROOTS["v2-only-nvidia"]
    root = 'imports = ["@DIR@/linked/*.toml", "@DIR@/alias.toml"]\n' + ROOTS["v2-default-nvidia"]
    path = _write(tmp_path, {"config.toml": root, "real/99-nvidia.toml": nvidia})
    (tmp_path / "linked").symlink_to("real")
    (tmp_path / "alias.toml").symlink_to("real/99-nvidia.toml")
    assert _word(dumped(program, path)) == _word(merged(path, _version(program)))


@pytest.mark.parametrize("generation", GENERATIONS)
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
