"""A live cluster: ``--gpu-cluster=CONTEXT``, ``current``, ``in-cluster``, ``kind``.

The evidence is redacted and written to a spool folder in the recording format; every process
judges that folder, exactly as it would judge a recording.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_gpu.asked import Asked
from pytest_gpu.cluster.api import reviews, rights, snapshot
from pytest_gpu.cluster.api.answers import FORBIDDEN, ApiError
from pytest_gpu.cluster.api.client import KubeClient
from pytest_gpu.cluster.api.run_marks import SUITE, new_run
from pytest_gpu.cluster.api.run_objects import REMOVAL_TIME, RunObjects
from pytest_gpu.cluster.api.slow_waits import Progress
from pytest_gpu.cluster.api.sweep import sweep
from pytest_gpu.cluster.daemon_pool import DaemonPool
from pytest_gpu.cluster.live_door import LiveDoor
from pytest_gpu.cluster.reach import Reach
from pytest_gpu.cluster.recording.copying import record
from pytest_gpu.cluster.recording.recorded import RecordedCluster, open_recording
from pytest_gpu.cluster.recording.recorder import Recorder
from pytest_gpu.cluster.recording.temporary import new_folder, remove
from pytest_gpu.cluster.redaction.redact import redact_text
from pytest_gpu.cluster.visits.all_nodes import Plan, Visits
from pytest_gpu.cluster.visits.pod_line import VISIT_TIME
from pytest_gpu.errors import GpuError
from pytest_gpu.evidence import KubeObject
from pytest_gpu.stack.kube.objects import name_of

if TYPE_CHECKING:
    from pytest_gpu.settings.settings import Settings

LAYER_WAITS = 4
"""Waits of the layers above the visit; each takes ``timeout`` seconds at most."""

Write = Callable[[str], None]


class LiveCluster:
    """An open cluster: its objects are known, its nodes can be visited, and it can be cleaned up.

    Args:
        reach: where it is.
        settings: what the user asked for.
        write: writes a line for the user.

    Raises:
        GpuError: it cannot be reached, or its nodes cannot be listed; a one-line message.
    """

    def __init__(self, reach: Reach, settings: Settings, write: Write) -> None:
        self.title = settings.cluster
        self.settings = settings
        self.write: Write = lambda line: write(redact_text(line))
        self._private = new_folder()
        self._created = False
        self.visited = False
        self._client: KubeClient | None = None
        try:
            self._open(reach)
        except BaseException:
            self.forget()
            raise

    def _open(self, reach: Reach) -> None:
        self._client = client = reach.client()
        create = not self.settings.live.read_only
        run = new_run(client, self.settings.live.namespace, self.longest, create=create)
        self.door = LiveDoor(reach, client, run)
        # A review of rights is itself created: a read-only run finds missing rights when refused.
        wanted = self._wanted(run.namespace) if create else ()
        self.rights = reviews.ask(client, run.namespace, wanted)
        self._listed = _listed(client)
        self._recorder = Recorder(self.folder, taken=datetime.now(UTC))
        self._listed.write(self._recorder)

    def _wanted(self, namespace: str) -> Sequence[rights.Right]:
        made = rights.preparing(self.settings.live.namespace, SUITE)
        return (*made, *rights.creating(namespace))

    @property
    def folder(self) -> Path:
        """The spool: a recording that grows."""
        return self._private / "recording"

    @property
    def longest(self) -> float:
        """Seconds after which every wait of this run has ended."""
        waits = self.settings.timeout * (1 + LAYER_WAITS)
        return waits + VISIT_TIME + 2 * REMOVAL_TIME

    @property
    def objects(self) -> RunObjects:
        """What the run creates."""
        return self.door.objects

    def opened(self) -> RecordedCluster:
        """Return what is known so far."""
        return open_recording(self.folder, self.title)

    def notes(self) -> Sequence[str]:
        """Return what the user must know before anything is tested, a line each."""
        lacking = (*rights.refused(self._listed.forbidden), *self.rights.missing)
        missing = [f"this user may not {right} ({right.use})" for right in lacking]
        refused = [
            f"could not read {resource}: {redact_text(why)}"
            for resource, why in self._listed.refused.items()
            if resource not in self._listed.forbidden
        ]
        run = self.objects.run
        creates = not self.settings.live.read_only
        what = f"run {run.id} in namespace {run.namespace}, " if creates else ""
        return [f"{what}will finish within {self.longest / 60:.0f} min", *missing, *refused]

    def visit(self, names: Sequence[str]) -> None:
        """Visit nodes, all at once; their evidence is in the recording afterwards.

        Raises:
            ApiError: the cluster can no longer be reached.
        """
        self.visited = True
        wanted, settings = set(names), self.settings
        nodes = [node for node in self._listed.objects["nodes"] if name_of(node) in wanted]
        visits = Visits(
            objects=self.objects,
            cluster=self.opened(),
            recorder=self._recorder,
            plan=Plan(
                image=settings.live.image,
                timeout=settings.timeout,
                parallel=settings.live.parallel,
            ),
            write=self.write,
        )
        # Also if ssh reaches every node: GPU pods need the same preparation.
        reason = self._closed()
        if settings.node_shell == "ssh":
            nodes = self._by_ssh(visits, nodes)
        if nodes and reason:
            for node in nodes:
                visits.no_door(name_of(node), reason)
        elif nodes:
            visits.by_pod(nodes)
            if visits.lost:
                self._list_nodes_again()

    def _list_nodes_again(self) -> None:
        """Note the nodes' present state: one that cannot be visited may be NotReady by now."""
        self._recorder.add_objects("nodes", snapshot.list_nodes(self.door.client))

    def _by_ssh(self, visits: Visits, nodes: Sequence[KubeObject]) -> list[KubeObject]:
        """Visit nodes over ssh; return those that it cannot reach."""
        from pytest_gpu.cluster.visits.ssh import host_of, open_ssh  # noqa: PLC0415 - few runs use it

        patience = self.settings.timeout

        def look(node: KubeObject) -> KubeObject | None:
            try:
                visits.look(name_of(node), "ssh", lambda: open_ssh(host_of(node), patience))
            except GpuError as error:
                self.write(f"gpu: {name_of(node)}: {error}")
                return node
            return None

        try:
            with DaemonPool(self.settings.live.parallel, "gpu-ssh") as pool:
                return [node for node in pool.map(look, nodes) if node is not None]
        finally:
            visits.hang_up()

    def _closed(self) -> str:
        """Prepare visits through pods; return why they are impossible, empty if they are not."""
        if self.settings.live.read_only:
            return "--gpu-read-only creates no pod for the visit; --gpu-node-shell=ssh needs none"
        if self.settings.node_shell == "none":
            return "--gpu-node-shell=none"
        if right := self.rights.to_visit:
            return right.denial
        try:
            self._created = True
            self.objects.prepare()
            for line in sweep(self.objects, self._listed.objects.get("pods")):
                self.write(f"gpu: {line}")
        except ApiError as error:
            if error.status == 0:
                raise
            return str(error)
        return ""

    def record(self, to: Path, asked: Asked, selected: Sequence[str] | None) -> None:
        """Write the evidence and outcomes as a recording.

        Args:
            to: its path.
            asked: the questions asked.
            selected: the nodes under test if the user chose them.

        Raises:
            RecordingError: ``to`` is in use, or cannot be written.
        """
        record(self.opened(), to, asked, selected)

    @property
    def by_hand(self) -> str:
        """What to do about what is left."""
        return f"remove it with: {self.objects.run.removal}"

    def clean_up(self) -> str:
        """Remove everything that the run created, once; return what went wrong, empty if nothing.

        Nothing is raised: the caller may have another error to report.
        """
        self.door.close()
        if not self._created:
            return ""
        self._created = False
        by_hand = self.by_hand
        told = Progress(self.write, "removing what the run created")
        try:
            left = self.objects.remove_all(tell=told.now)
        except ApiError as error:
            return f"what the run created could not be removed: {error}; {by_hand}"
        return f"what the run created is still there: {', '.join(left)}; {by_hand}" if left else ""

    def forget(self) -> None:
        """Remove the spool folder and close the connections."""
        if self._client is not None:
            self._client.close()
        remove(self._private)


def _listed(client: KubeClient) -> snapshot.Listed:
    """Return what the cluster has.

    Raises:
        GpuError: it cannot be reached, or its nodes may not be listed; a one-line message.
    """
    try:
        return snapshot.list_objects(client)
    except snapshot.NoNodesError as error:
        if error.status != FORBIDDEN:
            raise
        [right] = rights.refused(("nodes",))
        raise GpuError(f"this user may not {right}: {right.use} ({error})") from error
