"""Print the figures of style of what ships: functions, modules, folders, and imports.

Run ``python benchmarks/style.py [ROOT]``; ROOT is another checkout. A function counts from its
``def`` to its last line, docstring included. Imports are judged by the floors in
``tests/project/house_imports.py``; modules without a floor are counted and not judged.
"""

from __future__ import annotations

import argparse
import ast
import math
import statistics
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.project import house_imports as house  # noqa: E402 - needs the checkout

FEW = 10
"""Lines that are listed of each kind without ``--all``."""

Sizes = Mapping[str, int]


def functions(files: Mapping[str, Path]) -> Sizes:
    """Return the lines of every function and method, by ``module:line name``."""
    return {
        f"{module}:{node.lineno} {node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for module, file in files.items()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def lines(files: Mapping[str, Path]) -> Sizes:
    """Return the lines of every module."""
    return {module: file.read_text(encoding="utf-8").count("\n") for module, file in files.items()}


def folders(files: Mapping[str, Path], root: Path) -> Sizes:
    """Return the modules of every folder, without ``__init__.py``, the fullest first."""
    own = [file for file in files.values() if file.name != "__init__.py"]
    return dict(Counter(str(file.parent.relative_to(root)) for file in own).most_common())


def sizes(what: str, found: Sizes) -> str:
    """Return count, median, 90th percentile and the largest of some sizes as a line."""
    ordered = sorted(found.values())
    largest = max(found, key=lambda name: found[name])
    return (
        f"{what}: {len(ordered)}, median {statistics.median(ordered):g} lines, "
        f"p90 {ordered[math.ceil(len(ordered) * 0.9) - 1]}, longest {ordered[-1]} ({largest})"
    )


def report(root: Path, limit: int | None) -> Iterator[str]:
    """Yield the lines of the report on a checkout."""
    files = house.modules(root)
    yield sizes("functions", functions(files))
    yield sizes("modules", lines(files))
    yield "files per folder:"
    yield from (f"  {count:4} {folder}" for folder, count in folders(files, root).items())
    yield f"imports: {len(house.imports(root))} of our own modules"
    yield from _listed("imports upward", house.upward(root), limit)
    yield from _listed("circles of modules", _joined(house.circles(root)), limit)
    yield from _listed("circles of rooms", _joined(house.circles_of_rooms(root)), limit)
    yield f"modules without a floor, not judged: {len(house.without_floor(root))}"
    yield from (f"  {count:4} {name}" for name, count in _unjudged(root).items())


def _joined(circles: Iterable[Sequence[str]]) -> list[str]:
    return [", ".join(circle) for circle in circles]


def _unjudged(root: Path) -> Sizes:
    """Return how many modules without a floor each package has."""
    packages = (name.split(".")[:2] for name in house.without_floor(root))
    return dict(Counter(".".join(each) for each in packages))


def _listed(title: str, found: Sequence[str], limit: int | None) -> Iterator[str]:
    yield f"{title}: {len(found)}"
    yield from (f"  {line}" for line in found[:limit])
    if limit is not None and len(found) > limit:
        yield f"  and {len(found) - limit} more (--all)"


def main() -> None:
    """Print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", nargs="?", type=Path, default=ROOT, help="default: this checkout")
    parser.add_argument("--all", action="store_true", help="list everything that was found")
    options = parser.parse_args()
    for line in report(options.root.resolve(), None if options.all else FEW):
        print(line)  # noqa: T201 - what it is for


if __name__ == "__main__":
    main()
