"""The steps of a fix; each says where it is done.

In the catalogue a plain string is prose. A table with one key is a command: ``node`` on the node,
``cluster`` with kubectl, ``helm`` with helm, ``outside`` elsewhere (the cloud's tool, Windows); or
``file``: the text of a file. ``{ steps = "patch" }`` is replaced by the steps in a finding's value
``patch``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeGuard, get_args

from pytest_gpu.text.shell import Command
from pytest_gpu.text.shell_places import places

Kind = Literal["words", "node", "cluster", "helm", "outside", "file"]


@dataclass(frozen=True, slots=True)
class Step:
    """One step: words, a command, or the text of a file."""

    kind: Kind
    text: str

    @property
    def is_command(self) -> bool:
        """Whether this is typed into a shell."""
        return self.kind not in ("words", "file")

    @property
    def shown(self) -> str:
        """The step as reports show it: a command begins with ``$ ``."""
        return f"$ {self.text}" if self.is_command else self.text


_AWAY = re.compile(r"\bkubectl (drain|cordon)\b")
_BACK = re.compile(r"\bkubectl (uncordon|delete node)\b")

Steps = tuple[Step, ...]


def announced(steps: Steps) -> Steps:
    """Return steps whose words end with a colon only before what they announce.

    A patch may be empty: the words before it are then the whole step.
    """
    kinds = [*(step.kind for step in steps[1:]), "words"]
    return tuple(
        Step("words", f"{step.text[:-1]}.")
        if step.kind == after == "words" and step.text.endswith(":")
        else step
        for step, after in zip(steps, kinds, strict=False)
    )


def once(steps: Steps) -> Steps:
    """Return steps without a command that repeats one just before: two names of one unit."""
    return tuple(
        step
        for at, step in enumerate(steps)
        if not (step.is_command and at and step == steps[at - 1])
    )


def typed(kind: Kind, command: Command) -> Step:
    """Return the step that types a command into a shell."""
    return Step(kind, command)


def step_shown(kind: Kind, shown: str) -> Step:
    """Return a step from its kind and the text that reports show."""
    return Step(kind, shown.removeprefix("$ ") if Step(kind, "").is_command else shown)


Value = str | Steps
"""What a finding fills into its cause's texts: a text, a :class:`Command`, or whole steps.

In a command a text is one word of it, and is quoted if a shell would read it in another way.
"""


@dataclass(frozen=True, slots=True)
class Slot:
    """The place for the steps of a finding's value; ``before`` is shown only if there are any."""

    name: str
    before: str = ""

    @property
    def shown(self) -> str:
        """The slot as the catalogue's page shows it."""
        return f"{{{self.name}}}"


def read_step(entry: object) -> Step | Slot:
    """Return a step as the catalogue writes it.

    Raises:
        ValueError: it is not a step.
    """
    if isinstance(entry, str):
        return Step("words", entry)
    if isinstance(entry, Mapping) and all(isinstance(each, str) for each in entry.values()):
        if "steps" in entry and entry.keys() <= {"steps", "before"}:
            return Slot(entry["steps"], entry.get("before", ""))
        kind, *more = entry
        if _is_kind(kind) and not more:
            return _checked(Step(kind, entry[kind]))
    kinds = ", ".join([*get_args(Kind)[1:], "steps"])
    raise ValueError(f"{entry!r} is not a step: it must be words or a table of one of {kinds}")


def _checked(step: Step) -> Step:
    """Return a step; refuse a command with a placeholder where its value cannot be quoted."""
    if step.is_command:
        places(step.text)
    return step


def leaves_drained(fix: Sequence[Step | Slot]) -> bool:
    """Return whether a fix drains or cordons a node and never lets pods back onto it.

    To delete the node's object also ends it: a new node takes its place.
    """
    drained = False
    for step in fix:
        text = step.text if isinstance(step, Step) and step.is_command else ""
        drained = (drained or bool(_AWAY.search(text))) and not _BACK.search(text)
    return drained


def _is_kind(name: str) -> TypeGuard[Kind]:
    return name in get_args(Kind)
