"""The shipped manifest gives exactly the rights that a run asks about by name."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files

import yaml

from pytest_gpu.cluster.api.rights import creating, preparing, reading
from tests.lab.control_plane.account import NAMESPACE, verbs


def test_the_manifest_gives_what_is_asked_about() -> None:
    """A right that nobody asks about would be missed without a word."""
    asked = (*reading(), *preparing(NAMESPACE, NAMESPACE), *creating(NAMESPACE))
    assert {str(verb) for verb in verbs()} == {f"{right.verb} {right.name}" for right in asked}


def granted(kind: str) -> Iterator[tuple[str, str]]:
    """Yield verb and resource of the manifest's role of this kind that is bound to the account."""
    text = (files("pytest_gpu.fixtures") / "rbac.yaml").read_text(encoding="utf-8")
    for role in yaml.safe_load_all(text):
        if role["kind"] == kind and role["metadata"]["name"] == "pytest-gpu":
            for rule in role["rules"]:
                yield from ((verb, name) for verb in rule["verbs"] for name in rule["resources"])


def test_what_is_only_needed_in_our_namespace_is_not_given_everywhere() -> None:
    """Everywhere it may only read, and no Secrets; lists of pods are needed there anyway."""
    everywhere, ours = set(granted("ClusterRole")), set(granted("Role"))
    asked = {(right.verb, right.resource) for right in creating(NAMESPACE)}
    assert {verb for verb, _ in everywhere} == {"list", "get"}
    assert "secrets" not in {name for _, name in everywhere | ours}
    assert asked - everywhere == ours
    assert asked & everywhere == {("list", "pods")}
