"""The state of one run, in every process of it; fixtures look things up here."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_gpu.ledger import Ledger
from pytest_gpu.settings import Settings

if TYPE_CHECKING:
    from pytest_gpu.cluster.choose import Place
    from pytest_gpu.evidence import ClusterEvidence
    from pytest_gpu.node.gpu_node import GpuNode


class GpuSession:
    """One run on one cluster.

    The controller finds the nodes under test once; a worker receives their names and opens the
    same evidence for itself. Nodes are built once per process and keep their facts.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        place: Place,
        names: tuple[str, ...],
        others: tuple[str, ...],
        ledger: Ledger,
        cluster: ClusterEvidence | None = None,
    ) -> None:
        self.settings = settings
        self.place = place
        self.names = names
        self.others = others
        self.ledger = ledger
        self._opened = cluster
        self._nodes: dict[str, GpuNode] = {}

    @cached_property
    def cluster(self) -> ClusterEvidence:
        """The evidence of this cluster; a worker opens it when it is first asked for."""
        return self._opened if self._opened is not None else self.place.open()

    def node(self, name: str) -> GpuNode:
        """Return a node under test."""
        from pytest_gpu.node.gpu_node import GpuNode  # noqa: PLC0415 - heavy; see plugin.py

        if name not in self._nodes:
            self._nodes[name] = GpuNode(name, self.cluster)
        return self._nodes[name]

    def for_workers(self) -> Mapping[str, Any]:
        """Return what an xdist worker needs to join, in types that execnet carries."""
        return {
            "gpu_nodes": list(self.names),
            "gpu_others": list(self.others),
            "gpu_folder": str(self.place.folder),
            "gpu_title": self.place.title,
            "gpu_ledger": str(self.ledger.directory),
        }


SESSION_KEY = pytest.StashKey[GpuSession]()


def join_session(settings: Settings, received: Mapping[str, Any]) -> GpuSession:
    """Return the session of an xdist worker, from what the controller sent."""
    from pytest_gpu.cluster.choose import Place  # noqa: PLC0415 - heavy; see plugin.py

    return GpuSession(
        settings=settings,
        place=Place(folder=Path(received["gpu_folder"]), title=received["gpu_title"]),
        names=tuple(received["gpu_nodes"]),
        others=tuple(received["gpu_others"]),
        ledger=Ledger(Path(received["gpu_ledger"])),
    )
