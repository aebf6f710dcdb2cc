"""What every fix must contain: a look at its effect, a restart, and a node that is handed back."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

import pytest_gpu
from pytest_gpu.catalogue import catalogue
from pytest_gpu.steps import Slot, Step, leaves_drained

CHANGES = {"patch", "own_file", "same_file", "tell", "define", "change"}
"""Slots that hold, or may hold, a patch of a file of the node."""

WITHOUT_RESTART = (
    # The NVIDIA runtime reads its own file before every container.
    "runtime/toolkit-",
    "runtime/no-low-level-runtime",
    "runtime/cdi-kind-",
    # It runs as it should; what is mended counts from the next start on, whenever that is.
    "runtime/lost-at-restart",
    "runtime/drop-in-gone",
    "runtime/template-loses-settings",
    "runtime/next-toolkit-start-",
)

Entry = Step | Slot


def changes(entry: Entry) -> bool:
    """Return whether an entry of a fix may bring the patch of a file."""
    return isinstance(entry, Slot) and entry.name in CHANGES


FIXES = {
    f"{cause.id}[{name}]": steps
    for cause in catalogue().values()
    for name, steps in cause.fix.items()
    if cause.id.startswith(("runtime/", "docker/")) and any(map(changes, steps))
}


def after_the_change(steps: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Return the steps that follow the one that changes a file."""
    return steps[1 + max(at for at, step in enumerate(steps) if changes(step)) :]


def verifies(steps: tuple[Entry, ...]) -> bool:
    """Return whether words such as "Check that it is loaded:" lead to a command."""
    return any(
        isinstance(command, Step) and command.kind == "node" and words.shown.startswith("Check ")
        for words, command in pairwise(steps)
    )


def restarts(steps: tuple[Entry, ...]) -> bool:
    """Return whether a step restarts who reads the file."""
    return any(step.shown in {"$ {restart}", "$ sudo systemctl restart docker"} for step in steps)


def test_there_are_such_fixes() -> None:
    """A placeholder of another name would leave the tests below without a case."""
    assert len(FIXES) >= 30


@pytest.mark.parametrize("name", FIXES)
def test_a_patch_is_followed_by_a_look_at_its_effect(name: str) -> None:
    """Without it an admin does not know whether the change counts."""
    assert verifies(after_the_change(FIXES[name])), FIXES[name]


@pytest.mark.parametrize("name", [each for each in FIXES if not each.startswith(WITHOUT_RESTART)])
def test_a_patch_of_containerds_files_is_followed_by_a_restart(name: str) -> None:
    """Files that only a start reads change nothing before it."""
    assert restarts(after_the_change(FIXES[name])), FIXES[name]


DRAINED = {
    f"{cause.id}[{name}]": steps
    for cause in catalogue().values()
    for name, steps in cause.fix.items()
    if any("kubectl drain" in step.shown for step in steps)
}

ENDS = re.compile(r"\b(reboot|poweroff|nvidia-smi -r|modprobe -r|dcgmi diag)\b|\{restart")
"""Commands that need a node without pods."""


@pytest.mark.parametrize("name", DRAINED)
def test_a_drained_node_is_handed_back_after_what_needed_it(name: str) -> None:
    """Nobody must forget a cordoned node, and pods must not come back too early."""
    steps = DRAINED[name]
    assert not leaves_drained(steps), steps
    (end,) = [
        at
        for at, step in enumerate(steps)
        if re.search("kubectl (uncordon|delete node)", step.shown)
    ]
    assert not [step for step in steps[end:] if ENDS.search(step.shown)]


def test_there_are_fixes_that_drain() -> None:
    """Another wording would leave the test above without a case."""
    assert len(DRAINED) >= 20


def strings(file: Path) -> Iterator[str]:
    """Yield the texts in a module's code."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_no_fix_made_in_code_drains_a_node() -> None:
    """Only the catalogue has such steps: there, each is checked when it is read."""
    modules = list((Path(pytest_gpu.__file__).parent / "stack").rglob("*.py"))
    assert len(modules) > 100
    found = [
        f"{module.name}: {text}"
        for module in modules
        for text in strings(module)
        if re.search(r"kubectl (drain|cordon)\b", text)
    ]
    assert found == []
