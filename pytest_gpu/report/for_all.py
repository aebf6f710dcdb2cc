"""One fix for all nodes of a cause: a command that names one node is made to do all of them.

Nodes share a cause only if their fixes are equal apart from their own names, so nothing but the
name is replaced.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_gpu.report.findings import nameless
from pytest_gpu.report.names import fold
from pytest_gpu.steps import Step, Steps
from pytest_gpu.text.shell_places import places

Labels = Mapping[str, Mapping[str, str]]
"""The labels of every node of the cluster, by its name."""

_LONGEST = 160
"""Characters of node names that a command may have."""

_BRIEF = 80

# Recordings are not trusted, and a shell reads these.
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")
_LABEL = re.compile(r"[A-Za-z0-9][\w./-]*=[\w.-]*")

_CHANGING = ("nvidia.com/", "feature.node.kubernetes.io/", "kubernetes.io/", "beta.kubernetes.io/")
"""Labels that software writes: they may be others when the fix is done."""

_VERBS = r"\bkubectl (?:drain|cordon|uncordon|(?:label|annotate|taint|delete|get|describe) nodes?)"
"""The commands of kubectl that take several nodes, or a selector of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """Nodes as commands name them: ``arguments`` of kubectl, ``words`` of a loop.

    ``note`` is what a reader must know first; ``brief`` names the nodes in a sentence.
    """

    first: str
    count: int
    arguments: str
    words: str
    brief: str
    note: str = ""


def for_all(steps: Steps, nodes: Named) -> Steps:
    """Return the steps that repair all nodes, made from those of the first one."""
    found: list[Step] = []
    for step in steps:
        if step.kind == "node":
            _say_where(found, step, nodes)
            found.append(step)
        else:
            if step.is_command:
                _say_when(found)
            found += _for_all(step, nodes)
    return (*_notes(found, nodes), *found)


def named(names: Sequence[str], labels: Labels, listed: str) -> Named:
    """Return how commands name these nodes: in full, by a label, or in brief.

    Args:
        names: the nodes; the fix is that of the first one.
        labels: the labels of all nodes; one serves if these nodes and no others have it.
        listed: the filter for jq that finds the names in the JSON report.
    """
    text, brief = " ".join(names), ", ".join(fold(names))
    note = ""
    arguments = words = text
    if not all(map(_NAME.fullmatch, names)):
        arguments = words = ""
    elif len(text) > _LONGEST and (label := _exact_label(names, labels)):
        arguments = f"-l {label}"
        words = f"$(kubectl get nodes -l {label} -o name | cut -d/ -f2)"
    elif len(text) > _LONGEST and len(short := _braces(names)) <= _LONGEST:
        arguments = words = short
        note = "Bash writes out the names in {braces}."
    elif len(text) > _LONGEST:
        arguments = words = f"$(jq -r '{listed}' FILE.json)"
        note = "The names are in the JSON report: run again with --gpu-report=FILE.json."
    return Named(
        first=names[0],
        count=len(names),
        arguments=arguments,
        words=words,
        brief=brief if len(brief) <= _BRIEF else f"these {len(names)} nodes",
        note=note,
    )


def _notes(found: Sequence[Step], nodes: Named) -> Iterator[Step]:
    if not nodes.words:
        return
    commands = [step.text for step in found if step.is_command]
    if any("kubectl drain" in text and nodes.arguments in text for text in commands):
        yield Step(
            "words",
            f"These commands name all {nodes.count} nodes. Drain only as many at a time as the "
            "cluster can spare.",
        )
    if nodes.note and any(nodes.words in text or nodes.arguments in text for text in commands):
        yield Step("words", nodes.note)


def _say_where(found: list[Step], step: Step, nodes: Named) -> None:
    """Say before a command on the node that it is done on each, unless that was just said."""
    names_it = nameless(step.text, nodes.first) != step.text
    last = found[-1] if found else Step("file", "")
    if last.kind == "node" and not names_it:
        return
    where = f"n each of {nodes.brief}{', with its own name' if names_it else ''}:"
    if last.kind == "words" and last.text.endswith(":"):
        found[-1] = Step("words", f"{last.text[:-1]}, o{where}")
    else:
        found.append(Step("words", f"O{where}"))


def _say_when(found: list[Step]) -> None:
    """Say, before what is done once for all nodes, that each has been through what comes before.

    Otherwise whoever goes from node to node lets pods onto all of them after the first one.
    """
    last = found[-1] if found else Step("file", "")
    introduced = last.kind == "words" and last.text.endswith(":")
    before = next((each for each in reversed(found) if each.is_command), last)
    if before.kind != "node":
        return
    if introduced:
        found[-1] = Step("words", f"{last.text[:-1]}, when all nodes are done:")
    else:
        found.append(Step("words", "When all nodes are done:"))


def _for_all(step: Step, nodes: Named) -> Iterator[Step]:
    """Yield what becomes of words, a file, or a command that is not done on the node."""
    if step.kind == "words":
        yield Step("words", nameless(step.text, nodes.first))
    elif nameless(step.text, nodes.first) == step.text:
        yield step
    elif text := _merged(step.text, nodes) or _loop(step.text, nodes):
        yield Step(step.kind, text)
    else:
        yield Step("words", f"This is for {nodes.first}; for the others use their names:")
        yield step


def _merged(text: str, nodes: Named) -> str:
    """Return a command of kubectl for all nodes, an empty text if it takes only one."""
    one = re.compile(rf"({_VERBS}) {re.escape(nodes.first)}(?=\s|$)")
    found = one.sub(lambda match: f"{match[1]} {nodes.arguments}", text)
    rest = one.sub("", text)
    alone = rest != text and nameless(rest, nodes.first) == rest
    return found if alone and nodes.arguments else ""


def _loop(text: str, nodes: Named) -> str:
    """Return a loop that runs a command for each node, an empty text if that cannot be done."""
    pieces = nameless(text, nodes.first, "\0").split("\0")
    if not nodes.words or "\n" in text or "$node" in text or not _may_vary(pieces):
        return ""
    return f"for node in {nodes.words}; do {'$node'.join(pieces)}; done"


def _may_vary(pieces: Sequence[str]) -> bool:
    """Return whether a variable of the shell can stand between all pieces of a command."""
    try:
        found = places("{node}".join(pieces))
    except ValueError:
        return False
    return not any(place.in_quotes or place.is_program for place in found)


def _exact_label(names: Sequence[str], labels: Labels) -> str | None:
    """Return a label that these nodes have and no others, as a selector."""
    for key, value in sorted(labels.get(names[0], {}).items()):
        selector = f"{key}={value}"
        stable = not key.startswith(_CHANGING) and _LABEL.fullmatch(selector)
        if stable and {name for name in labels if labels[name].get(key) == value} == set(names):
            return selector
    return None


def _braces(names: Sequence[str]) -> str:
    """Return names as bash expands them: ``gpu-{001..085} gpu-090``."""
    return " ".join(word for folded in fold(names) for word in _expanded(folded))


def _expanded(folded: str) -> Iterator[str]:
    match = re.fullmatch(r"(.*)\[([0-9,-]+)\](.*)", folded, re.DOTALL)
    if match is None:
        yield folded
        return
    for run in match[2].split(","):
        first, dash, last = run.partition("-")
        yield f"{match[1]}{{{first}..{last}}}{match[3]}" if dash else f"{match[1]}{run}{match[3]}"
