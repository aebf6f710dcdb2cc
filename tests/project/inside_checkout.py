"""The part of ``same_verdicts.py`` that runs inside a checkout, with that checkout's Python.

``python -P inside_checkout.py write CHECKOUT FOLDER GLOB`` writes the inputs into a folder;
``python -P inside_checkout.py judge CHECKOUT FOLDER RESULT`` writes what becomes of them as JSON:
exit code and report of each run, and the questions to each node, round by round.

Nothing of a checkout is imported at the top: modules may have another place in the other one.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

MANIFEST = "recording.yaml"
CHANGED = "changed"
"""The folder of the inputs that are changed samples, as the tests change them."""

ALL_LAYERS = "--gpu-all-layers"

QUICK = ("--disable-plugin-autoload", "-p", "gpu", "-p", "no:unraisableexception")
"""No plugin but ours; without the last, pytest collects garbage several times after each run."""

PLACES: Mapping[str, tuple[str, ...]] = {
    "open_recording": ("pytest_gpu.cluster.recorded", "pytest_gpu.cluster.recording.recorded"),
    "SeenNode": ("pytest_gpu.cluster.seen", "pytest_gpu.cluster.visits.seen"),
    "drive": ("pytest_gpu.cluster.visit", "pytest_gpu.cluster.visits.visit"),
    "Door": ("pytest_gpu.evidence",),
}
"""The modules that hold what is needed, in the order in which they are tried."""

_SAMPLE_BASE = re.compile(r"^base:\s*[\"']?sample:([\w.-]+)[\"']?\s*$", re.M)


def recordings(folder: Path) -> Iterator[Path]:
    """Yield every recording below a folder, but none inside another recording."""
    if (folder / MANIFEST).is_file():
        yield folder
        return
    for each in sorted(folder.iterdir()):
        if each.is_dir() and not each.is_symlink() and not each.name.startswith("."):
            yield from recordings(each)


def find(name: str) -> Any:
    """Return a function or class of pytest_gpu, wherever this checkout has it."""
    for module in PLACES[name]:
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if not module.startswith(str(error.name)):
                raise
        else:
            if hasattr(found, name):
                return getattr(found, name)
    raise SystemExit(f"{name} is in none of {', '.join(PLACES[name])}: add its module to PLACES")


def find_test(checkout: Path, name: str) -> Any:
    """Return a module below ``tests/`` by its file's name, in whatever folder it is."""
    files = list((checkout / "tests").rglob(f"{name}.py"))
    if len(files) != 1:
        raise SystemExit(f"{checkout}/tests has {len(files)} files {name}.py, must be one")
    return importlib.import_module(".".join(files[0].relative_to(checkout).with_suffix("").parts))


def write(checkout: Path, folder: Path, only: str) -> None:
    """Write a checkout's recordings and changed samples whose name matches; each stands alone."""
    folder.mkdir()
    samples = {path.name: path for path in recordings(checkout / "fixtures")}
    for path in recordings(checkout):
        name = path.relative_to(checkout)
        if fnmatchcase(str(name), only):
            _copy(path, folder / name, samples)
    sample_copy = find_test(checkout, "sample_copy").SampleCopy
    for each, base, change in _changed(checkout):
        if fnmatchcase(each, only):
            copy = sample_copy(base, folder / ".scratch")
            change(copy)
            (folder / each).parent.mkdir(parents=True, exist_ok=True)
            copy.folder.rename(folder / each)


def _copy(source: Path, target: Path, samples: Mapping[str, Path]) -> None:
    """Copy a recording; a sample that it builds on becomes a folder inside it."""
    shutil.copytree(source, target)
    text = (source / MANIFEST).read_text(encoding="utf-8")
    if match := _SAMPLE_BASE.search(text):
        _copy(samples[match[1]], target / "base", samples)
        (target / MANIFEST).write_text(_SAMPLE_BASE.sub("base: base", text), encoding="utf-8")


def _changed(checkout: Path) -> Iterator[tuple[str, str, Callable[[Any], object]]]:
    """Yield name, sample and change of what the tests vary, break and move."""
    variants = find_test(checkout, "variants")
    for kind in (variants.HEALTHY, variants.LATENT, variants.UNPROVEN):
        for name, (base, change, *_) in kind.items():
            yield f"{CHANGED}/variants/{name}", base, change
    breaks = find_test(checkout, "test_sample_breaks")
    for sample in breaks.HEALTHY:
        for layer, change in breaks.BREAKS.items():
            yield f"{CHANGED}/breaks/{sample}/{layer}", sample, change
    moves = find_test(checkout, "test_sample_moves")
    for sample in moves.FAILING:
        yield f"{CHANGED}/moves/{sample}", sample, _move(moves.MOVES[moves.SAMPLES[sample].base])


def _move(renames: object) -> Callable[[Any], None]:
    def change(copy: Any) -> None:
        copy.rename(renames)
        copy.reverse()

    return change


def judge(checkout: Path, folder: Path, result: str) -> None:
    """Write what this checkout makes of every input."""
    # pytest is called in an empty folder: no configuration of a checkout counts.
    work = Path(result).with_suffix("")
    work.mkdir()
    (work / "pytest.ini").write_text("[pytest]\n")
    os.chdir(work)
    found = {
        str(path.relative_to(folder)): {
            "runs": _runs(checkout, path),
            "visits": dict(_visits(checkout, path)),
        }
        for path in recordings(folder)
    }
    Path(result).write_text(json.dumps(found), encoding="utf-8")


def _runs(checkout: Path, recording: Path) -> dict[str, Any]:
    """Return a plain run and, where a layer failed, one that goes on above it."""
    runs = {"": _run(checkout, recording)}
    if runs[""]["exit"]:
        runs[ALL_LAYERS] = _run(checkout, recording, ALL_LAYERS)
    return runs


def _run(checkout: Path, recording: Path, *options: str) -> dict[str, Any]:
    """Return exit code and report of one run, ``None`` for a report that was not written."""
    report = Path("report.json")
    report.unlink(missing_ok=True)
    command = [f"--gpu-cluster=path:{recording}", f"--gpu-report={report}", *options]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        code = pytest.main([*QUICK, "-p", "no:cacheprovider", *command])
    document = None
    if report.exists():
        text = report.read_text(encoding="utf-8")
        document = json.loads(text.replace(str(checkout), "CHECKOUT"))
    return {"exit": int(code), "report": document}


def _visits(checkout: Path, recording: Path) -> Iterator[tuple[str, list[list[str]]]]:
    """Yield each node's name and the questions that a visit asks it, round by round."""
    replay, door = find_test(checkout, "replay").Replay, find("Door")(kind="pod")
    with find("open_recording")(recording, "recording") as cluster:
        for name in cluster.node_names():
            stream = replay(cluster.node(name))
            find("drive")(stream, find("SeenNode")(name, door), cluster)
            yield name, [sorted(_questions(asked)) for asked in stream.rounds]


def _questions(asked: Mapping[str, Any]) -> Iterator[str]:
    for kind, whats in asked.items():
        for what in whats if isinstance(whats, list) else [whats]:
            if kind != "round":
                yield f"{kind} {json.dumps(what, sort_keys=True)}"


def main() -> None:
    """Do one of the two parts."""
    part, checkout, folder, argument = sys.argv[1], *map(Path, sys.argv[2:4]), sys.argv[4]
    sys.path.insert(0, str(checkout))
    for name in ("pytest_gpu", "pytest_gpu.fixtures"):
        file = Path(str(importlib.import_module(name).__file__))
        if not file.is_relative_to(checkout):
            raise SystemExit(f"{sys.executable} has {name} in {file}, not in {checkout}")
    {"write": write, "judge": judge}[part](checkout, folder, argument)


if __name__ == "__main__":
    main()
