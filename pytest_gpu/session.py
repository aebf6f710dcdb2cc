"""The state of one run, in every process of it; fixtures look things up here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_gpu.evidence import ClusterEvidence
    from pytest_gpu.ledger import Ledger
    from pytest_gpu.node.gpu_node import GpuNode
    from pytest_gpu.settings import Settings


@dataclass(kw_only=True, eq=False)
class GpuSession:
    """One run on one cluster.

    The controller finds the nodes under test once; a worker receives their names and opens the
    same evidence for itself, the recording in ``folder``. Nodes are built once per process and
    keep their facts. ``others`` are nodes that were looked at and show no sign of a GPU;
    ``opened`` is the evidence where it is open already.
    """

    settings: Settings
    folder: Path
    title: str
    names: tuple[str, ...]
    others: tuple[str, ...]
    ledger: Ledger
    opened: ClusterEvidence | None = None
    _nodes: dict[str, GpuNode] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def cluster(self) -> ClusterEvidence:
        """The evidence of this cluster; a worker opens it when it is first asked for."""
        from pytest_gpu.cluster.recorded import open_recording  # noqa: PLC0415 - heavy
        from pytest_gpu.cluster.workloads import CountedPods  # noqa: PLC0415 - heavy

        opened = self.opened or open_recording(self.folder, self.title)
        workloads = self.settings.workloads
        return opened if workloads is None else CountedPods(opened, workloads)

    def node(self, name: str) -> GpuNode:
        """Return a node under test."""
        from pytest_gpu.node.gpu_node import GpuNode  # noqa: PLC0415 - heavy

        if name not in self._nodes:
            self._nodes[name] = GpuNode(name, self.cluster)
        return self._nodes[name]

    def for_workers(self) -> Mapping[str, Any]:
        """Return what an xdist worker needs to join, in types that execnet carries."""
        return {
            "gpu_nodes": list(self.names),
            "gpu_others": list(self.others),
            "gpu_folder": str(self.folder),
            "gpu_title": self.title,
            "gpu_ledger": str(self.ledger.directory),
        }


SESSION_KEY = pytest.StashKey[GpuSession]()
