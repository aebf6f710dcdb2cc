"""Pod Security admission at each level: where it refuses the suite's pods, the run says why."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab.cluster import LabCluster
from tests.lab.control_plane.account import COLLECTIONS, NAMESPACE, Account
from tests.lab.rounds.leftovers import in_cluster

NODE = "n17"
LABEL = "pod-security.kubernetes.io/enforce"
REFUSING = ("baseline", "restricted")


@contextmanager
def enforced(lab: LabCluster, level: str) -> Iterator[None]:
    """Let the API server enforce a level in the suite's namespace."""
    path = f"{COLLECTIONS['Namespace']}/{NAMESPACE}"
    before = lab.api.get(path)["metadata"]["labels"].get(LABEL)
    lab.api.patch(path, {"metadata": {"labels": {LABEL: level}}})
    try:
        yield
    finally:
        lab.api.patch(path, {"metadata": {"labels": {LABEL: before}}})


@pytest.mark.parametrize("level", REFUSING)
def test_refused_visit_blames_no_gpu(
    level: str, lab_cluster: LabCluster, user: Account, tmp_path: Path
) -> None:
    """The node is unproven, and the output has the API server's own words."""
    with enforced(lab_cluster, level):
        run = user.judge(tmp_path, f"--gpu-nodes={NODE}")
    assert run.verdicts == {NODE: ("unproven", None, None)}, run.output
    assert run.nodes_by_cause == {}
    assert run.exit == 1
    words = " ".join(run.output.split())
    assert f'violates PodSecurity "{level}:latest"' in words, run.output
    assert "securityContext.privileged=true" in words
    assert "test_a_door_leads_into_the_node" in words
    assert in_cluster(lab_cluster.api) == []


def test_privileged_admits_the_suite(
    lab_cluster: LabCluster, user: Account, tmp_path: Path
) -> None:
    """The level that the shipped manifest asks for is enough."""
    with enforced(lab_cluster, "privileged"):
        run = user.judge(tmp_path, f"--gpu-nodes={NODE}")
    assert run.verdicts == {NODE: ("conforms", None, None)}, run.output
    assert run.exit == 0
