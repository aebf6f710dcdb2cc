"""A node's name in Kubernetes objects: where it is used, and how it is replaced.

Only fields that refer to a node are changed. Text that a person or a program wrote
(messages, logs, files, command lines) stays as it was recorded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

HOSTNAME = "kubernetes.io/hostname"

_NAME_KEYS = frozenset({"nodeName", "holderIdentity", "host", "reportingInstance", HOSTNAME})
"""Keys whose text is a node's name: of pods and slices, leases, events, labels and selectors."""

_ADDRESSES = frozenset({"Hostname", "InternalDNS", "ExternalDNS"})
_SELECTED_BY = frozenset({"metadata.name", HOSTNAME})

_IN_NAMES: Mapping[str, str] = {
    "nodes": r"^{}$",
    "leases": r"^{}$",
    "csinodes": r"^{}$",
    "pods": r"(?<=-){}$",  # a static pod: kube-proxy-NODE
    "events": r"^{}(?=\.)|(?<=-){}(?=\.)",  # NODE.17d2a, kube-proxy-NODE.17d2a
    "resourceslices": r"^{}(?=-)",
}
"""By resource: where a node's name is in an object's own name."""

_REFERRED: Mapping[str, str] = {"Node": "nodes", "Pod": "pods"}

Renamed = Mapping[str, str]
"""A recording's ``nodes:``: the new names of nodes, each with its name in the base."""


def name_above(name: str, steps: Iterable[Renamed]) -> str:
    """Return a node's name after some renamings, the nearest first."""
    for step in steps:
        name = _inverse(step).get(name, name)
    return name


def is_renamed_away(name: str, renamed: Renamed) -> bool:
    """Return whether a name is no longer used: the base's node of this name has a new one."""
    return name not in renamed and name in renamed.values()


def with_new_names(
    resource: str, thing: Mapping[str, Any], steps: Iterable[Renamed]
) -> Mapping[str, Any]:
    """Return an object of a resource with node names replaced."""
    for step in steps:
        thing = _object(resource, thing, _inverse(step))
    return thing


def outcome_with_new_names(
    outcome: Mapping[str, Any], steps: Iterable[Renamed]
) -> Mapping[str, Any]:
    """Return what happened to the suite's own pod with the name of its node replaced."""
    steps = tuple(steps)
    if not steps or "pod" not in outcome:
        return outcome
    events = [with_new_names("events", each, steps) for each in outcome.get("events") or ()]
    return {**outcome, "pod": with_new_names("pods", outcome["pod"], steps), "events": events}


def _inverse(step: Renamed) -> Mapping[str, str]:
    return {old: new for new, old in step.items()}


def _object(resource: str, thing: Mapping[str, Any], new: Mapping[str, str]) -> Mapping[str, Any]:
    changed = _mapping(thing, new)
    about = changed.get("metadata")
    if isinstance(about, dict):
        changed["metadata"] = _renamed_in(about, resource, new)
    return changed


def _mapping(found: Mapping[str, Any], new: Mapping[str, str]) -> dict[str, Any]:
    changed = {key: _value(key, value, new) for key, value in found.items()}
    if found.get("kind") in _REFERRED:  # an owner, or the object of an event
        changed = _renamed_in(changed, _REFERRED[str(found["kind"])], new)
    if found.get("type") in _ADDRESSES and "address" in found:
        changed["address"] = new.get(found["address"], found["address"])
    if found.get("key") in _SELECTED_BY:
        changed["values"] = [new.get(each, each) for each in found.get("values") or ()]
    return changed


def _value(key: str, value: Any, new: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return new.get(value, value) if key in _NAME_KEYS else value
    if isinstance(value, list):
        return [_value("", each, new) for each in value]
    if not isinstance(value, dict):
        return value
    return _renamed_in(_mapping(value, new), "nodes" if key == "pool" else "", new)


def _renamed_in(found: dict[str, Any], resource: str, new: Mapping[str, str]) -> dict[str, Any]:
    """Return a mapping with new node names in its ``name``, in the form of the resource."""
    pattern, name = _IN_NAMES.get(resource), found.get("name")
    if pattern is None or not isinstance(name, str):
        return found
    olds = "|".join(re.escape(old) for old in sorted(new, key=len, reverse=True))
    renamed = re.sub(pattern.replace("{}", f"({olds})"), lambda match: new[match[0]], name)
    return {**found, "name": renamed}
