"""What a run of the suite left behind: in the cluster, in containerd, on the nodes' disks."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.lab.cluster import LabCluster
from tests.lab.node import Node

MARK = "app.kubernetes.io/managed-by=pytest-gpu"
KUBELETS = "io.kubernetes.pod.uid"
FOLDERS = "/run/pytest-gpu* /tmp/pytest-gpu* /tmp/gpu-* /usr/local/bin/pytest-gpu* /opt/pytest-gpu*"
RUNNING = ("/api/v1/pods", "/api/v1/configmaps", "/api/v1/namespaces")


def leftovers(cluster: LabCluster) -> Iterator[str]:
    """Yield everything of the suite that is still there, in words.

    A namespace that the API server is about to remove is on its way, and so is what lies in it.
    """
    yield from in_cluster(cluster)
    for node in cluster.nodes.values():
        yield from on_node(node)


def in_cluster(cluster: LabCluster) -> Iterator[str]:
    """Yield objects of the suite."""
    for path in RUNNING:
        for thing in cluster.api.get(f"{path}?labelSelector={MARK}")["items"]:
            head = thing["metadata"]
            if not head.get("deletionTimestamp"):
                yield f"{path}: {head.get('namespace', '')}/{head['name']}"


def on_node(node: Node) -> Iterator[str]:
    """Yield sandboxes that crictl made and files of the suite; the kubelet removes its own."""
    for path in node.run(["sh", "-c", f"ls -d {FOLDERS}"]).stdout.split():
        yield f"{node.name}: {path}"
    for pod in sandboxes(node):
        yield f"{node.name}: sandbox {pod['metadata']['name']}"


def sandboxes(node: Node) -> list[dict[str, dict[str, str]]]:
    """Return the sandboxes of the suite that are not the kubelet's; none where crictl is broken."""
    listed = node.run(["crictl", "pods", "--label", MARK, "--output", "json"])
    if listed.returncode:
        return []
    found = json.loads(listed.stdout).get("items") or []
    return [pod for pod in found if KUBELETS not in (pod.get("labels") or {})]
