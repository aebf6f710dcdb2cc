"""The state of one run, in each of its processes; fixtures read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from pytest_gpu.asked import question_of, why_not_asked
from pytest_gpu.memory import lazy

if TYPE_CHECKING:
    from pytest_gpu.cause_entry import Cause
    from pytest_gpu.cluster.live_door import LiveDoor
    from pytest_gpu.evidence import ClusterEvidence
    from pytest_gpu.layers import Layer
    from pytest_gpu.run.items import Rung
    from pytest_gpu.run.ledger import Ledger
    from pytest_gpu.run.node_face import GpuNode
    from pytest_gpu.settings.settings import Settings


class JudgesBelow(Protocol):
    """Judges what lies below a layer: :class:`pytest_gpu.run.below.Below`."""

    def judge(self, name: str, layer: Layer) -> None:
        """Note the first layer that fails on a node, below this one, in the ledger."""


@dataclass(kw_only=True, eq=False)
class GpuSession:
    """One run on one cluster.

    The controller finds the nodes under test once; a worker receives their names and opens the
    same evidence itself, the recording in ``folder``. Nodes are built once per process and
    keep their facts. ``others`` are nodes that were checked and show no sign of a GPU;
    ``opened`` is the evidence if it is open already. On a live cluster the controller has the
    ``door``, and ``remote`` is what a worker needs to open its own; ``notes`` are for the header.
    ``shards`` is how many processes share the nodes. ``own_causes`` are those of the user's
    project, read from ``cause_files``. ``below`` judges the lower layers that were not asked for;
    it is known when the tests are.
    """

    settings: Settings
    folder: Path
    title: str
    names: tuple[str, ...]
    others: tuple[str, ...]
    ledger: Ledger
    opened: ClusterEvidence | None = None
    door: LiveDoor | None = None
    remote: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()
    shards: int = 1
    own_causes: Mapping[str, Cause] = field(default_factory=dict)
    cause_files: tuple[Path, ...] = ()
    below: JudgesBelow | None = None
    _brought: set[tuple[Layer, str]] = field(default_factory=set, init=False, repr=False)
    _nodes: dict[str, GpuNode] = field(default_factory=dict, init=False, repr=False)

    @lazy
    def cluster(self) -> ClusterEvidence:
        """The evidence of this cluster; a worker opens it when it is first needed."""
        from pytest_gpu.cluster.recording.recorded import open_recording  # noqa: PLC0415 - heavy
        from pytest_gpu.cluster.workloads import CountedPods  # noqa: PLC0415 - heavy

        opened = self.opened or open_recording(self.folder, self.title)
        workloads = self.settings.workloads
        return opened if workloads is None else CountedPods(opened, workloads)

    @lazy
    def live(self) -> LiveDoor | None:
        """The way to the live cluster under test, ``None`` if it is a recording."""
        if self.door is not None or self.remote is None:
            return self.door
        from pytest_gpu.cluster.live_door import join  # noqa: PLC0415 - heavy

        return join(self.remote)

    @property
    def selected(self) -> tuple[str, ...] | None:
        """The nodes under test if somebody chose them, ``None`` if their signs of a GPU did."""
        is_default = self.settings.sources["nodes"] == "default"
        return None if is_default and self.settings.cluster != "local" else self.names

    def leave(self) -> None:
        """Close a worker's own door, if it was opened."""
        if self.remote is not None and (live := vars(self).get("live")) is not None:
            live.leave()

    def look_again(self, opened: ClusterEvidence) -> None:
        """Switch to the evidence that the visits collected, and forget all facts from before."""
        self.opened = opened
        self._nodes.clear()
        vars(self).pop("cluster", None)

    def why_not_asked(self, rung: Rung) -> str | None:
        """Return why the recording cannot answer a test's question, ``None`` if it can."""
        cluster = self.cluster
        return why_not_asked(cluster.asked, question_of(rung.layer, rung.test), cluster.suite)

    def ensure_outcomes(self, layer: Layer, name: str) -> None:
        """Start the suite's own objects of a layer, once, on all nodes of this process together.

        Args:
            layer: the layer whose first test is about to run.
            name: the node of that test; other nodes of its shard join unless they failed.
        """
        shard = self._live_shard(name)
        if shard is None or (layer, name) in self._brought:
            return
        from pytest_gpu.cluster.outcomes import Starter  # noqa: PLC0415 - heavy

        starter = Starter(settings=self.settings, folder=self.folder, door=self.live)
        fellows = [n for n in self.names[shard :: self.shards] if (layer, n) not in self._brought]
        together = [n for n in fellows if n == name or self._climbs(n, layer)]
        self._brought.update((layer, n) for n in together)
        starter.bring(layer, [self.node(n) for n in together])

    def _live_shard(self, name: str) -> int | None:
        """Return the shard of a node that can be reached, ``None`` if it is only recorded."""
        if self.live is None and self.settings.cluster != "local":
            return None
        return self.names.index(name) % self.shards

    def _climbs(self, name: str, layer: Layer) -> bool:
        """Return whether a node has tests of a layer and may still climb to it."""
        planned = self.ledger.planned().get("tests") or {}
        return str(layer) in (planned.get(name) or {}) and self.blocked_by(layer, name) is None

    def blocked_by(self, layer: Layer, name: str) -> Layer | None:
        """Return the lower layer that blocks a layer on a node, ``None`` if none does.

        Lower layers that were not asked for are judged first.
        """
        if self.below is not None:
            self.below.judge(name, layer)
        failed = self.ledger.first_failure(name)
        blocks = failed is not None and failed < layer and not self.settings.all_layers
        return failed if blocks else None

    def node(self, name: str) -> GpuNode:
        """Return a node under test."""
        from pytest_gpu.run.node_face import GpuNode  # noqa: PLC0415 - heavy

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
            "gpu_causes": [str(file) for file in self.cause_files],
            "gpu_live": None if self.door is None else dict(self.door.for_workers()),
        }


SESSION_KEY = pytest.StashKey[GpuSession]()
