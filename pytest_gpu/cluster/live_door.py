"""The way to a live cluster and into its nodes, for every process of a run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from pytest_gpu.cluster.api.client import KubeClient
from pytest_gpu.cluster.api.run_marks import Run
from pytest_gpu.cluster.api.run_objects import RunObjects
from pytest_gpu.cluster.gate import Gate
from pytest_gpu.cluster.reach import Reach
from pytest_gpu.cluster.visits.node_shell import ProbeShell, open_shell
from pytest_gpu.cluster.visits.pod_line import open_line
from pytest_gpu.cluster.visits.visit_pod import visit_pod_name
from pytest_gpu.errors import GpuError
from pytest_gpu.evidence import Door, KubeObject
from pytest_gpu.stack.kube.objects import name_of

END_TIME = 5.0
"""Seconds that an interrupted run leaves to what is still being created or removed on nodes."""


class LiveDoor:
    """What a process needs to act in the cluster: its API, the run's objects, shells on nodes.

    ``sandboxes`` are those in progress: shells are closed once they have removed what they
    created.
    """

    def __init__(self, reach: Reach, client: KubeClient, run: Run) -> None:
        self.reach = reach
        self.client = client
        self.objects = RunObjects(client, run)
        self.sandboxes = Gate()
        self._shells: dict[str, ProbeShell] = {}

    def shell(self, node: KubeObject, door: Door) -> ProbeShell:
        """Return a shell on a node, through the door by which its evidence came.

        Raises:
            GpuError: there is no way into the node; the message says why.
        """
        name, patience = name_of(node), self.reach.timeout
        if name not in self._shells:
            if door.kind == "pod":
                pod = visit_pod_name(name, self.objects.run.id)
                self._shells[name] = ProbeShell(lambda: open_line(self.objects, pod), patience)
            elif door.kind == "ssh":
                self._shells[name] = open_shell("ssh", node, patience)
            else:
                raise GpuError(f"there is no way into {name}: {door.reason or 'not visited'}")
        return self._shells[name]

    def close(self) -> None:
        """End the conversations with all nodes."""
        self.sandboxes.shut(END_TIME)
        for shell in self._shells.values():
            shell.close()

    def leave(self) -> None:
        """End the conversations with all nodes and with the API server."""
        self.close()
        self.objects.creating.shut(END_TIME)
        self.client.close()

    def for_workers(self) -> Mapping[str, Any]:
        """Return what another process needs to open the same door, in plain types."""
        run, kubeconfig = self.objects.run, self.reach.kubeconfig
        return {
            "reach": [self.reach.kind, self.reach.name, str(kubeconfig or ""), self.reach.timeout],
            "run": [run.id, run.namespace, run.ends.isoformat(), run.owner, run.own, run.priority],
        }


def join(received: Mapping[str, Any]) -> LiveDoor:
    """Return the door of a worker, from what the controller sent.

    Raises:
        GpuError: the cluster cannot be reached from here.
    """
    kind, name, kubeconfig, timeout = received["reach"]
    where = Path(kubeconfig) if kubeconfig else None
    reach = Reach(kind=kind, name=name, kubeconfig=where, timeout=timeout)
    run_id, namespace, ends, owner, own, priority = received["run"]
    run = Run(
        id=run_id,
        namespace=namespace,
        ends=datetime.fromisoformat(ends),
        owner=owner,
        own=own,
        priority=priority,
    )
    return LiveDoor(reach, reach.client(), run)
