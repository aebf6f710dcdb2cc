"""The real containerd of each generation: Debian's own, and the newest release from Go modules."""

from __future__ import annotations

from pathlib import Path

from tests.lab.parts import debian
from tests.lab.parts.build import built
from tests.lab.parts.components import COMPONENTS

SUITES = {"1.6": "bookworm", "1.7": "trixie", "2.1": "sid"}
"""The Debian suite that packages a generation."""

NEWEST = COMPONENTS["containerd"]
GENERATIONS = (*SUITES, "2.4")


def containerd(generation: str) -> Path:
    """Return the folder with ``containerd``, its shim and ``ctr``, fetched or built at first.

    Raises:
        Missing: not Debian, not root, Debian's archive did not give the package, or no build.
    """
    if suite := SUITES.get(generation):
        return debian.unpacked(suite, suite, "containerd") / "usr/bin"
    assert NEWEST.version.startswith(f"v{generation}."), f"no containerd {generation}"
    [folder] = built(NEWEST)
    return folder
