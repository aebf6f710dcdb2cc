"""What a run of the suite left behind: in the cluster, in containerd, on the nodes' disks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.lab.cluster import LabCluster
from tests.lab.control_plane.api import Api
from tests.lab.nodes.node import Node

MARK = "app.kubernetes.io/managed-by=pytest-gpu"
MARKED = "?labelSelector=app.kubernetes.io/managed-by%3Dpytest-gpu"
KINDS = ("pods", "namespaces")
KUBELETS = "io.kubernetes.pod.uid"
"""A label of sandboxes that the kubelet made: it keeps those of pods that are gone for a while."""

PLACES = (
    *("run/pytest-gpu*", "tmp/pytest-gpu*", "tmp/gpu-*", "usr/local/bin/pytest-gpu*"),
    # What the machine itself has below these shows through: only names that a run gives.
    *("var/tmp/pytest-gpu.*", "opt/pytest-gpu.*", "var/lib/pytest-gpu.*"),
)


def leftovers(cluster: LabCluster, *names: str) -> list[str]:
    """Return everything of the suite in the cluster and on these nodes (none: all), in words."""
    nodes = [cluster.nodes[name] for name in names or cluster.nodes]
    found = [f"{kind}/{name_of(thing)}" for kind, thing in in_cluster(cluster.api)]
    return [*found, *(left for node in nodes for left in on_node(node))]


def in_cluster(api: Api, kinds: Iterable[str] = KINDS) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the objects that carry the suite's label, with their kind."""
    return [
        (kind, thing) for kind in kinds for thing in api.get(f"/api/v1/{kind}{MARKED}")["items"]
    ]


def name_of(thing: Mapping[str, Any]) -> str:
    """Return an object's name."""
    return str(thing["metadata"]["name"])


def on_node(node: Node) -> Iterator[str]:
    """Yield files of the suite and sandboxes that crictl made; the kubelet removes its own."""
    for path in host_files(node):
        yield f"{node.name}: {path}"
    for sandbox in sandboxes(node):
        yield f"{node.name}: sandbox {sandbox}"


def host_files(node: Node) -> list[Path]:
    """Return the suite's files and folders on a node, seen from outside at no cost."""
    root = Path(f"/proc/{node.init}/root")
    return [path for place in PLACES for path in root.glob(place)]


def sandboxes(node: Node) -> list[str]:
    """Return the suite's sandboxes that are not the kubelet's; none where crictl is broken."""
    listed = node.run(["crictl", "pods", "--label", MARK, "--output", "json"])
    if listed.returncode:
        return []
    found = json.loads(listed.stdout).get("items") or []
    return [each["id"] for each in found if KUBELETS not in (each.get("labels") or {})]
