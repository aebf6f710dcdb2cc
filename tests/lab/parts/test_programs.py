"""Which Kubernetes the environment chooses."""

from __future__ import annotations

import pytest

from tests.lab.parts.components import COMPONENTS
from tests.lab.parts.programs import chosen_kubernetes


@pytest.mark.parametrize(
    ("asked", "name"),
    [(None, "kubernetes"), ("newest", "kubernetes"), ("older", "kubernetes-older")],
)
def test_environment_chooses_the_release(
    asked: str | None, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest where nothing is asked for."""
    monkeypatch.delenv("KUBE", raising=False)
    if asked:
        monkeypatch.setenv("KUBE", asked)
    assert chosen_kubernetes() == COMPONENTS[name]


def test_unknown_release_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A typing error must not leave the lab out."""
    monkeypatch.setenv("KUBE", "odler")
    with pytest.raises(ValueError, match="KUBE=odler must be one of: newest, older"):
        chosen_kubernetes()
