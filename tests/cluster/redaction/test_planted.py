"""Every secret is planted in every place, and none survives."""

from __future__ import annotations

import base64

import pytest

from tests.cluster.redaction.planted import PLACES, PLAIN, SECRETS, Place, Secret

CODED = "base64"


def survivors(text: str) -> list[str]:
    """Return the secrets of which a part is in a text, as it is or as base64."""
    return [f"{s.name}: {s.value}" for s in SECRETS if any(part in text for part in coded(s))]


def coded(secret: Secret) -> list[str]:
    """Return what may not survive of a secret."""
    return [*secret.parts, base64.b64encode(secret.value.encode()).decode().rstrip("=")]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_no_secret_survives(place: Place) -> None:
    """All of them are there at once; what is no secret stays."""
    text = place.redacted((*SECRETS, PLAIN))
    assert survivors(text) == []
