"""Options of other plugins that look as if they chose the cluster under test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

GIVEN_KEY = pytest.StashKey[Mapping[str, Any]]()

OURS: Mapping[str, str] = {
    "kubeconfig": "--gpu-kubeconfig={value}",
    "kube_config": "--gpu-kubeconfig={value}",
    "kube_context": "--gpu-cluster=context:{value}",
    "in_cluster": "--gpu-cluster=in-cluster",
    "cluster_name": "--gpu-cluster=context:NAME, or --gpu-cluster=kind for a kind cluster",
}
"""Options of pytest-kind, kubetest and pytest-helm-charts, and what to write instead."""


def given(known: object, defaults: object) -> Mapping[str, Any]:
    """Return the look-alikes that were given: those whose value is not their default.

    Args:
        known: the values of this run.
        defaults: ``config.option`` before it is filled: each option has its default.
    """
    values = ((name, getattr(known, name, None)) for name in OURS)
    return {name: value for name, value in values if value != getattr(defaults, name, None)}
