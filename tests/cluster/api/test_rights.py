"""The shipped manifest gives exactly the rights that a run asks about by name."""

from __future__ import annotations

from pytest_gpu.cluster.api.rights import creating, preparing, reading
from tests.lab.control_plane.account import NAMESPACE, verbs


def test_the_manifest_gives_what_is_asked_about() -> None:
    """A right that nobody asks about would be missed without a word."""
    asked = (*reading(), *preparing(NAMESPACE, NAMESPACE), *creating(NAMESPACE))
    assert {str(verb) for verb in verbs()} == {f"{right.verb} {right.name}" for right in asked}
