"""One hostile input, tried end to end in a folder of its own."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.hostile.child import Ran, run
from tests.hostile.inputs import Given, Input
from tests.hostile.judging import REPORT, Fault, Limits, judge

ALLURE = importlib.util.find_spec("allure_pytest") is not None

PYTEST = (
    *(sys.executable, "-m", "pytest", "-p", "pytest_gpu.plugin", "-p", "no:cacheprovider"),
    *("--color=no", "-rA", f"--gpu-report={REPORT}", "--junit-xml=junit.xml"),
    *(("-p", "allure_pytest.plugin", "--alluredir=allure") if ALLURE else ()),
)
"""pytest with our plugin and no other, and with every report."""


@dataclass(frozen=True, kw_only=True)
class Tried:
    """An input that was tried: what it took, and what is wrong."""

    input: str
    family: str
    seconds: float
    peak: int
    faults: tuple[Fault, ...]


def try_input(
    each: Input, place: Path, *, program: Sequence[str] = PYTEST, limits: Limits | None = None
) -> Tried:
    """Make an input below a folder, run it there, and judge the run."""
    ran, faults = _run(each, place, program, limits or Limits())
    return Tried(
        input=each.name, family=each.family, seconds=ran.seconds, peak=ran.peak, faults=faults
    )


def _run(
    each: Input, place: Path, program: Sequence[str], limits: Limits
) -> tuple[Ran, tuple[Fault, ...]]:
    material, folder, temporary = place / "input", place / "run", place / "tmp"
    for new in (material, folder, temporary):
        new.mkdir(parents=True)
    with each.start(material) as given:
        ran = run(
            [*program, *given.arguments],
            folder=folder,
            environment=_environment(given, temporary),
            prints=place / "printed",
        )
    return ran, (*judge(each, ran, folder, limits), *_left(temporary))


def _environment(given: Given, temporary: Path) -> Mapping[str, str]:
    """Return few variables: those of a CI service or of pytest would change what is printed."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {
        **kept,
        "TMPDIR": str(temporary),
        "COLUMNS": "200",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        **given.environment,
    }


def _left(temporary: Path) -> tuple[Fault, ...]:
    left = sorted(path.name for path in temporary.iterdir())
    return (Fault(kind="left", what=f"leaves {left[0]!r} in the temporary folder"),) if left else ()
