"""Refuses options of other plugins that look as if they chose the cluster under test.

Such an option would be ignored without a word, and another cluster would be tested than the user
meant. So it is refused in a run on a live cluster, unless it says the same as ours.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_gpu.cluster.choose import Target
from pytest_gpu.cluster.reach import LIVE_KINDS
from pytest_gpu.settings.look_alikes import GIVEN_KEY, OURS
from pytest_gpu.settings.settings import Settings

_OF_KIND = ("kubeconfig", "cluster_name")
"""Options that ``--gpu-cluster=kind`` honours."""


def refuse_look_alikes(config: pytest.Config, settings: Settings, target: Target | None) -> None:
    """Refuse options that would be ignored; ``target`` is ``None`` if the cluster is unknown.

    Raises:
        pytest.UsageError: such an option was given; the message names ours.
    """
    if target is not None and target.kind not in LIVE_KINDS:
        return
    for name, value in config.stash.get(GIVEN_KEY, {}).items():
        if not _is_meant(name, value, settings, target):
            option = f"--{name.replace('_', '-')}"
            shown = option if value is True else f"{option}: {value}"
            raise pytest.UsageError(
                f"{shown}: is an option of another plugin and does not choose the cluster under "
                f"test; write {OURS[name].format(value=value)}"
            )
    if target is not None:
        _refuse_unread_kubeconfig(settings, target)


def _is_meant(name: str, value: Any, settings: Settings, target: Target | None) -> bool:
    """Return whether an option is used, or says the same as ours."""
    if target is not None and target.kind == "kind":
        return name in _OF_KIND
    if name in {"kubeconfig", "kube_config"}:
        ours = settings.live.kubeconfig
        return ours is not None and ours.resolve() == Path(value).expanduser().resolve()
    if name == "kube_context":
        return target == Target(kind="context", value=value)
    return name == "in_cluster" and target is not None and target.kind == "in-cluster"


def _refuse_unread_kubeconfig(settings: Settings, target: Target) -> None:
    """Refuse our own option for a cluster that is reached without the user's kubeconfig."""
    instead = {
        "kind": "write --kubeconfig to say where that of the kind cluster is",
        "in-cluster": "the pod's service account is used",
    }
    if target.kind in instead and settings.sources["kubeconfig"] == "--gpu-kubeconfig":
        raise pytest.UsageError(
            f"--gpu-kubeconfig: {settings.live.kubeconfig}: is not read with "
            f"--gpu-cluster={target.kind}; {instead[target.kind]}"
        )
