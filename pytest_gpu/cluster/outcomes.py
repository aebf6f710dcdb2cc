"""Outcomes on live nodes: starts a layer's sandboxes or pods and keeps their results.

They become part of the recording that is judged, so that live and recorded verdicts rest on the
same evidence. A recorded cluster has its outcomes, or has none: nothing is started for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import wait
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_gpu.cluster.admins_files import admins_files
from pytest_gpu.cluster.crictl.bench import SandboxOptions
from pytest_gpu.cluster.crictl.lifecycle import try_sandboxes
from pytest_gpu.cluster.daemon_pool import DaemonPool
from pytest_gpu.cluster.gpu_pods import try_pods
from pytest_gpu.cluster.live_door import LiveDoor
from pytest_gpu.cluster.recording.manifest import check_node_name
from pytest_gpu.cluster.recording.owner import this_process
from pytest_gpu.cluster.recording.recorded import RecordedCluster
from pytest_gpu.cluster.recording.recorder import NodeRecorder
from pytest_gpu.cluster.visits.node_shell import ProbeShell, open_shell
from pytest_gpu.errors import GpuError, NotInEvidence, Unproven
from pytest_gpu.gpu_node import Node
from pytest_gpu.layers import Layer
from pytest_gpu.settings.settings import Settings
from pytest_gpu.stack.kube.objects import object_of
from pytest_gpu.stack.sandbox import sandboxes
from pytest_gpu.stack.sandbox.sandboxes import shipped_files

KINDS = {Layer.SANDBOX: "sandbox", Layer.RUNTIMECLASS_POD: "pod"}
"""Layers for which something is started, and the kind of its outcome."""

READ_ONLY = "--gpu-read-only creates nothing"

Outcome = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Starter:
    """Starts a layer's objects in this process; ``door`` is ``None`` for this machine itself.

    ``folder`` is the recording that is judged.
    """

    settings: Settings
    folder: Path
    door: LiveDoor | None

    def bring(self, layer: Layer, nodes: Sequence[Node]) -> None:
        """Start a layer's objects on these nodes together, and keep their results.

        Where no sandbox can be tried, a pod replaces it: it is started now.
        """
        if layer is Layer.SANDBOX:
            self._keep("sandbox", self._sandboxes(nodes))
            if self.settings.up_to >= Layer.RUNTIMECLASS_POD:
                self._bring_pods([node for node in nodes if not _is_tried(node)])
        elif layer is Layer.RUNTIMECLASS_POD:
            self._bring_pods(nodes)

    def _bring_pods(self, nodes: Sequence[Node]) -> None:
        new = [node for node in nodes if not _has(node, "pod")]
        if self.door is not None and new:
            self._keep("pod", self._pods(self.door, new))

    def _keep(self, kind: str, outcomes: Mapping[str, Outcome]) -> None:
        for name, outcome in outcomes.items():
            folder = self.folder / "nodes" / check_node_name(name)
            NodeRecorder(folder).add_outcome(kind, outcome)

    def _sandboxes(self, nodes: Sequence[Node]) -> Mapping[str, Outcome]:
        parallel = self.settings.live.parallel if self.door else 1
        wishes = self._wishes()
        with DaemonPool(min(parallel, len(nodes)), "gpu-sandboxes") as pool:
            jobs = {node.name: pool.submit(self._sandbox, node, wishes) for node in nodes}
            try:
                return {name: job.result() for name, job in jobs.items()}
            finally:
                # After Ctrl-C: running sandboxes are removed, nothing else is started.
                wishes.stop.set()
                wait(job for job in jobs.values() if not job.cancel())

    def _sandbox(self, node: Node, wishes: SandboxOptions) -> Outcome:
        if self.settings.live.read_only:
            return {"skipped": READ_ONLY}
        try:
            with self._working():
                return self._try(node, wishes)
        except GpuError as error:
            return {"skipped": str(error)}

    def _working(self) -> AbstractContextManager[None]:
        """Return a block that the end of the run waits for, for a while."""
        return self.door.sandboxes.inside() if self.door else nullcontext()

    def _try(self, node: Node, wishes: SandboxOptions) -> Outcome:
        shell = self._shell(node)
        try:
            return try_sandboxes(node, shell, wishes)
        finally:
            if self.door is None:  # a door keeps its shells for the layers above
                shell.close()

    def _shell(self, node: Node) -> ProbeShell:
        if self.door is None:
            return open_shell("local", object_of(node))
        return self.door.shell(object_of(node), node.evidence.door)

    def _wishes(self) -> SandboxOptions:
        settings = self.settings
        run = self.door.objects.run.id if self.door else "local"
        return SandboxOptions(
            files=admins_files(shipped_files(), settings),
            image=settings.live.image,
            run=run,
            owner=this_process(),
            crictl=settings.live.crictl,
            seconds=settings.timeout,
        )

    def _pods(self, door: LiveDoor, nodes: Sequence[Node]) -> Mapping[str, Outcome]:
        if self.settings.live.read_only:
            return {node.name: {"skipped": READ_ONLY} for node in nodes}
        image, timeout = self.settings.live.image, self.settings.timeout
        return try_pods(nodes, door.objects, image, timeout)


def _is_tried(node: Node) -> bool:
    try:
        sandboxes.read(node.evidence).run("gpu")
    except Unproven:
        return False
    return True


def _has(node: Node, kind: str) -> bool:
    try:
        node.evidence.outcome(kind)
    except NotInEvidence:
        return False
    return True


def leftovers(cluster: RecordedCluster) -> tuple[str, ...]:
    """Return what sandboxes left on nodes and could not be removed, a line each."""
    found = []
    for name in cluster.node_names():
        outcome = cluster.node(name).whole("outcomes/sandbox.yaml") or {}
        found += [f"{name}: {thing} could not be removed" for thing in outcome.get("left") or ()]
    return tuple(found)
