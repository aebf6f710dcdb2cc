"""A fix that changes files says how to see that it worked, and how to have it loaded."""

from __future__ import annotations

from itertools import pairwise

import pytest

from pytest_gpu.catalogue import catalogue
from pytest_gpu.steps import Slot, Step

CHANGES = {"patch", "own_file", "same_file", "tell", "define", "change"}
"""Slots that hold, or may hold, a patch of a file of the node."""

WITHOUT_RESTART = (
    # The NVIDIA runtime reads its own file before every container.
    "runtime/toolkit-",
    "runtime/no-low-level-runtime",
    # It runs as it should; what is mended counts from the next start on, whenever that is.
    "runtime/lost-at-restart",
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
