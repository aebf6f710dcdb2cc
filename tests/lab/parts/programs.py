"""The real programs that a cluster of the lab needs and that are built from Go modules.

``KUBE=older`` in the environment takes an older Kubernetes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tests.lab.parts.build import built
from tests.lab.parts.components import COMPONENTS, Component

RELEASES = {"newest": "kubernetes", "older": "kubernetes-older"}
"""The Kubernetes of each value of ``KUBE``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """The folders of the programs: one for each component."""

    kubernetes: Path
    crictl: Path
    toolkit: Path


def programs() -> Programs:
    """Return the programs; all that are missing are built at once, as they share much.

    Raises:
        Missing: this machine cannot build one of them.
    """
    names = ("crictl", "toolkit", "containerd")
    found = built(chosen_kubernetes(), *(COMPONENTS[name] for name in names))
    kubernetes, crictl, toolkit, _ = found
    return Programs(kubernetes=kubernetes, crictl=crictl, toolkit=toolkit)


def chosen_kubernetes() -> Component:
    """Return the Kubernetes that the environment asks for, by default the newest.

    Raises:
        ValueError: there is no such release.
    """
    release = os.environ.get("KUBE") or "newest"
    if release not in RELEASES:
        raise ValueError(f"KUBE={release} must be one of: {', '.join(RELEASES)}")
    return COMPONENTS[RELEASES[release]]
