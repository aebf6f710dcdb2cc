"""Groups the findings of many nodes by root cause: one block for each fix."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from pytest_gpu.layers import Layer
from pytest_gpu.report.findings import nameless
from pytest_gpu.report.for_all import Labels, for_all, named
from pytest_gpu.steps import Steps, step_shown

Entry = dict[str, Any]
_Members = list[tuple[str, Mapping[str, Any]]]


def causes(nodes: Sequence[Mapping[str, Any]], labels: Labels) -> list[Entry]:
    """Return the distinct root causes of the failing nodes, the most frequent first.

    Two nodes share a root cause if both its ID and the fix are the same, apart from the node's
    own name in the commands. The evidence is that of the first such node, the fix is for all.
    ``labels`` are those of all nodes of the cluster.
    """
    failing = [(node["name"], node) for node in nodes if node["verdict"] == "fails"]
    by_name = {node["name"]: node for node in nodes}
    return [
        group | _of_members([by_name[name] for name in group["nodes"]])
        for group in _grouped(failing, "causes", labels)
    ]


def _of_members(nodes: Sequence[Mapping[str, Any]]) -> Entry:
    return {
        "also_seen": also_seen((node["name"], node["also_seen"]) for node in nodes),
        "silent": all(node["silent"] for node in nodes),
        "not_judged": not_judged(nodes),
    }


def not_judged(nodes: Sequence[Mapping[str, Any]]) -> list[Entry]:
    """Return what could not be judged below the cause: layer, reason, nodes; lowest layer first."""
    members = [(node["name"], entry) for node in nodes for entry in node["not_judged"]]
    entries = [
        {"layer": layer, "reason": _for_all(group[0][1]["reason"], group), "nodes": _names(group)}
        for (layer, _), group in _by(members, _unknown)
    ]
    return sorted(entries, key=lambda entry: Layer.parse(entry["layer"]))


def _unknown(member: tuple[str, Mapping[str, Any]]) -> tuple[str, str]:
    name, entry = member
    return entry["layer"], nameless(entry["reason"], name)


def latent(nodes: Sequence[Mapping[str, Any]], labels: Labels) -> list[Entry]:
    """Return what works now and breaks later, grouped like root causes."""
    members = [(node["name"], found) for node in nodes for found in node["latent"]]
    return _grouped(members, "latent", labels)


def also_seen(seen: Iterable[tuple[str, Sequence[Mapping[str, Any]]]]) -> list[Entry]:
    """Return further causes by how often they were seen: cause, title, layer, nodes."""
    members = [(name, found) for name, entries in seen for found in entries]
    return [
        {
            "cause": cause,
            "title": _for_all(group[0][1]["title"], group),
            "layer": group[0][1]["layer"],
            "nodes": _names(group),
        }
        for cause, group in _by(members, lambda member: member[1]["cause"])
    ]


def _grouped(members: _Members, key: str, labels: Labels) -> list[Entry]:
    groups = [_entry(group, key, labels) for _, group in _by(members, _repair)]
    return sorted(groups, key=lambda g: (-len(g["nodes"]), Layer.parse(g["layer"]), g["id"]))


def _repair(member: tuple[str, Mapping[str, Any]]) -> tuple[str, ...]:
    name, found = member
    return (found["cause"], *(nameless(line, name) for line in found["fix"]))


def _entry(members: _Members, key: str, labels: Labels) -> Entry:
    name, found = members[0]
    fix = _fix(members, key, labels)
    return {
        "id": found["cause"],
        "title": _for_all(found["title"], members),
        "why": _for_all(found["why"], members),
        "layer": found["layer"],
        "nodes": _names(members),
        "evidence_of": name,
        "evidence": found["evidence"],
        "check": found["check"],
        "fix": [step.shown for step in fix],
        "fix_kinds": [step.kind for step in fix],
    }


def _fix(members: _Members, key: str, labels: Labels) -> Steps:
    """Return the fix for all nodes of a group."""
    (name, found), names = members[0], _names(members)
    steps = tuple(map(step_shown, found["fix_kinds"], found["fix"]))
    if len(names) == 1:
        return steps
    listed = f'.{key}[] | select(.id == "{found["cause"]}" and .evidence_of == "{name}") | .nodes[]'
    return for_all(steps, named(names, labels, listed))


def _for_all(text: str, members: _Members) -> str:
    """Return a text of the first node, without the node's name if there are more nodes."""
    return text if len(_names(members)) == 1 else nameless(text, members[0][0])


def _names(members: _Members) -> list[str]:
    return list(dict.fromkeys(name for name, _ in members))


def _by(
    members: _Members, key: Callable[[tuple[str, Mapping[str, Any]]], Any]
) -> Iterator[tuple[Any, _Members]]:
    groups: dict[Any, _Members] = {}
    for member in members:
        groups.setdefault(key(member), []).append(member)
    yield from groups.items()
