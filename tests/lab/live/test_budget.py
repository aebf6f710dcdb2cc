"""What a run costs the API server: requests, as its audit log counts them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.lab.cluster import LabCluster
from tests.lab.control_plane import audit
from tests.lab.control_plane.account import Account

PER_NODE = 4
PER_CLUSTER = 25
"""For the cluster as a whole: a review of rights, lists, watches, cleaning up."""

Requests = Counter[tuple[str, str]]


def requests(lab: LabCluster, user: Account, folder: Path, *options: str) -> Requests:
    """Return the requests of a healthy run by verb and resource."""
    mark = audit.mark(lab.workplace.folder)
    run = user.judge(folder, *options)
    assert run.exit == 0, run.output
    return Counter((each.verb, each.resource) for each in mark.requests())


def test_requests_per_node_and_per_cluster(
    lab_cluster: LabCluster,
    user: Account,
    tmp_path: Path,
    record_testsuite_property: Callable[[str, object], None],
) -> None:
    """A run of one node, and one of all; slow pods make both watch and look at events again."""
    first, *others = lab_cluster.nodes
    one = requests(lab_cluster, user, tmp_path / "one", f"--gpu-nodes={first}")
    every = requests(lab_cluster, user, tmp_path / "every")
    told = f"{one.total()} and {every.total()}: {one} {every}"
    record_testsuite_property("requests", told)
    assert one.total() <= PER_CLUSTER + PER_NODE, told
    assert every.total() <= PER_CLUSTER + PER_NODE * (1 + len(others)), told
    visits = every["create", "pods"] + every["get", "pods/exec"]
    assert visits == PER_NODE * (1 + len(others)), told
