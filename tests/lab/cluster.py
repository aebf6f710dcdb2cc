"""The lab's cluster as tests use it: a control plane, nodes that can be broken, a GPU stack."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.control_plane import gpu_stack
from tests.lab.control_plane.api import Api
from tests.lab.control_plane.control_plane import ControlPlane, start_control_plane
from tests.lab.control_plane.pki import CONTEXT
from tests.lab.nodes.cgroups import hierarchies
from tests.lab.nodes.daemons import wait_for
from tests.lab.nodes.node import Node, start_node
from tests.lab.nodes.node_files import NodeSpec
from tests.lab.nodes.sshd import SshClient, connect
from tests.lab.parts import debian
from tests.lab.parts.images import PYTHON
from tests.lab.parts.programs import programs
from tests.lab.workplace import Workplace, open_workplace

NODES = (
    NodeSpec(name="n16", number=1, generation="1.6"),
    NodeSpec(name="n17", number=2, generation="1.7"),
    NodeSpec(name="n24", number=3, generation="2.4"),
    NodeSpec(name="nsd", number=4, generation="1.7", systemd=True),
)
"""Nodes with the newest containerd and two that are still common, one of them with systemd."""

PODS = "/api/v1/namespaces/default/pods"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabCluster:
    """A running cluster; ``context`` is the only context in ``kubeconfig``."""

    workplace: Workplace
    control: ControlPlane
    nodes: Mapping[str, Node]
    ssh: SshClient
    context: str = CONTEXT

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.control.kubeconfig

    @property
    def api(self) -> Api:
        """A bare client of its API, as administrator."""
        return self.control.api

    def await_gpus(self, seconds: float = 180) -> None:
        """Wait until every node with GPUs gives away as many as it has."""
        for node in self.nodes.values():
            count = node.spec.gpus.count if node.spec.gpus else 0
            self.await_allocatable(node.name, count, seconds)

    def await_allocatable(self, name: str, count: int, seconds: float = 60) -> None:
        """Wait until a node gives away this many GPUs."""
        node = self.nodes[name]
        what = f"{count} allocatable GPUs on {name}"
        wait_for(lambda: node.allocatable() == count, what, node.outer, seconds=seconds)

    def run_pod(self, name: str, spec: Mapping[str, Any]) -> tuple[str, str]:
        """Run a pod of the Python image to its end; return its phase and its log."""
        return run_pod(self.api, name, spec)

    def close(self) -> None:
        """End everything, leave nothing."""
        self.workplace.close()


def run_pod(api: Api, name: str, spec: Mapping[str, Any], seconds: float = 90) -> tuple[str, str]:
    """Run a pod of the Python image to its end.

    Returns:
        Its phase and its log; the pod is removed.
    """
    container = {"name": "main", "image": PYTHON, "imagePullPolicy": "IfNotPresent"}
    containers = [{**container, **given} for given in spec.get("containers", [{}])]
    body = {"restartPolicy": "Never", **spec, "containers": containers}
    api.create(PODS, {"metadata": {"name": name}, "spec": body})
    path = f"{PODS}/{name}"

    def ended() -> str | None:
        phase: str = api.get(path)["status"]["phase"]
        return phase if phase in {"Succeeded", "Failed"} else None

    try:
        phase = wait_for(ended, f"pod {name} to end", seconds=seconds)
        return phase, api.get(f"{path}/log")
    finally:
        api.delete(path, seconds=0)


def require_machine() -> None:
    """Find out at once, before anything is built, whether this machine can have a lab.

    Raises:
        Missing: it cannot; the message says what it lacks.
    """
    debian.require_debian()
    hierarchies()
    for program in ("gcc", "unshare", "nsenter", "ip", "openssl", "ssh-keygen"):
        if not shutil.which(program):
            raise debian.Missing(f"needs the program {program}")
    argv = ["unshare", "--mount", "--net", "--pid", "--cgroup", "--fork", "true"]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise debian.Missing(f"may not make namespaces: {done.stderr.strip()}")


def open_cluster(specs: Sequence[NodeSpec] = NODES) -> LabCluster:
    """Start a cluster whose nodes are Ready and give away their GPUs.

    Args:
        specs: the nodes.

    Raises:
        Missing: this machine cannot have a lab; the message says what it lacks.
    """
    require_machine()
    found = programs()
    workplace = open_workplace()
    try:
        control = start_control_plane(workplace, found)
        gpu_stack.install(control.api)
        nodes = {spec.name: start_node(spec, control) for spec in specs}
        for node in nodes.values():
            node.await_ready()
            if node.spec.gpus:
                gpu_stack.label(control.api, node.name)
        ssh = connect(workplace, nodes)
        cluster = LabCluster(workplace=workplace, control=control, nodes=nodes, ssh=ssh)
        cluster.await_gpus()
    except BaseException:
        workplace.close()
        raise
    return cluster
