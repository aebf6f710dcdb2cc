"""Try all hostile inputs: ``python -m tests.hostile [-k WORD] [--jobs N] [--keep FOLDER]``."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tests.hostile.everything import ALL
from tests.hostile.figures import complaints, figures
from tests.hostile.inputs import Input
from tests.hostile.trying import Tried, try_input


def main(words: Sequence[str] | None = None) -> int:
    """Try the inputs that are asked for; return 1 if anything is wrong, 4 if none is chosen."""
    asked = _parser().parse_args(words)
    chosen = [each for each in ALL if asked.k in f"{each.family}/{each.name}"]
    if not chosen:
        print(f"no hostile input has {asked.k!r} in its name", file=sys.stderr)  # noqa: T201
        return 4
    tried = [*_tried(chosen, asked.jobs, asked.keep)]
    print(figures(tried))  # noqa: T201 - the figures are what it is for
    return int(any(each.faults for each in tried))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("-k", default="", metavar="WORD", help="only inputs with this in the name")
    parser.add_argument("--jobs", type=_jobs, default="auto", help="how many at a time")
    parser.add_argument("--keep", type=Path, help="keep the folders of inputs that fail here")
    return parser


def _jobs(text: str) -> int:
    """Return a number of processes; pytest-xdist's words are understood, too."""
    cores = len(os.sched_getaffinity(0))
    return max(1, cores if text in ("auto", "logical") else int(text))


def _tried(chosen: Sequence[Input], jobs: int, keep: Path | None) -> Iterator[Tried]:
    """Yield each input's result, and print what is wrong as soon as it is known."""
    with (
        tempfile.TemporaryDirectory(prefix="pytest-gpu-hostile-") as place,
        ThreadPoolExecutor(jobs) as pool,
    ):
        begun = [pool.submit(_try, each, Path(place) / each.name, keep) for each in chosen]
        for done in as_completed(begun):
            tried = done.result()
            for line in complaints(tried):
                print(line, flush=True)  # noqa: T201
            yield tried


def _try(each: Input, folder: Path, keep: Path | None) -> Tried:
    tried = try_input(each, folder)
    if keep and tried.faults:
        without_input = shutil.ignore_patterns("input")
        shutil.copytree(folder, keep / each.name, ignore=without_input, dirs_exist_ok=True)
    shutil.rmtree(folder)
    return tried


if __name__ == "__main__":
    sys.exit(main())
