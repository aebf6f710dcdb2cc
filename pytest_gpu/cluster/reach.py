"""Finds the live cluster that ``--gpu-cluster`` names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_gpu.cluster.api.client import KubeClient
from pytest_gpu.cluster.api.login import open_client
from pytest_gpu.cluster.choose import Target

if TYPE_CHECKING:
    import pytest

LIVE_KINDS = ("current", "in-cluster", "context", "kind")
"""Kinds of targets that lead to a Kubernetes API server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How to reach a cluster: ``kind`` is current, in-cluster or context, ``name`` a context's.

    No wait for it exceeds ``timeout`` seconds.
    """

    kind: str
    name: str = ""
    kubeconfig: Path | None = None
    timeout: float

    def client(self) -> KubeClient:
        """Return a client of the cluster.

        Raises:
            GpuError: there is no such context, or its credentials cannot be obtained.
        """
        return open_client(self.kind, self.name, self.kubeconfig, self.timeout)


def reach_of(
    config: pytest.Config, target: Target, kubeconfig: Path | None, timeout: float
) -> Reach:
    """Return how to reach a target; a kind cluster is created if it does not exist.

    Raises:
        GpuError: there is no such cluster.
    """
    if target.kind == "kind":
        from pytest_gpu.cluster.kind import open_kind  # noqa: PLC0415 - optional dependency

        context, file = open_kind(config)
        return Reach(kind="context", name=context, kubeconfig=file, timeout=timeout)
    return Reach(kind=target.kind, name=target.value, kubeconfig=kubeconfig, timeout=timeout)
