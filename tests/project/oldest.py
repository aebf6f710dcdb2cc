"""Print the oldest version of each direct requirement that pyproject.toml allows.

``python tests/project/oldest.py`` prints one ``name==version`` a line, for ``pip install
--requirement``: what the build, the package, all of its extras and the tests need. What these need
in turn is chosen by pip.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Print the requirements of this checkout."""
    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for requirement in needed_for_tests(metadata):
        print(oldest(requirement))  # noqa: T201 - a script


def needed_for_tests(metadata: Mapping[str, Any]) -> Iterator[Requirement]:
    """Return what building, running with all extras, and testing need directly."""
    project = metadata["project"]
    extras = project["optional-dependencies"].values()
    lists = (
        metadata["build-system"]["requires"],
        project["dependencies"],
        *extras,
        metadata["dependency-groups"]["test"],
    )
    parsed = (Requirement(text) for texts in lists for text in texts)
    return (requirement for requirement in parsed if requirement.name != project["name"])


def oldest(requirement: Requirement) -> str:
    """Return a requirement pinned to its lower bound.

    Raises:
        ValueError: it has no lower bound.
    """
    bounds = [spec.version for spec in requirement.specifier if spec.operator in (">=", "==")]
    if len(bounds) != 1:
        raise ValueError(f"{requirement}: must have one lower bound, such as {requirement.name}>=1")
    return f"{requirement.name}=={bounds[0]}"


if __name__ == "__main__":
    main()
