"""The shipped manifest is enough; each of its verbs is needed, and named if it is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.cluster import LabCluster
from tests.lab.control_plane import account, audit
from tests.lab.control_plane.account import Account, Verb
from tests.lab.rounds.judge import Judged
from tests.lab.rounds.leftovers import MARKED, in_cluster

NODE = "n17"
EARLY = {
    *("daemonsets", "deployments", "replicasets", "statefulsets", "jobs", "events"),
    *("clusterpolicies", "nvidiadrivers", "resourceslices", "resourceclaims"),
}
"""Resources that are read before anything is created: the first layer shows what they are for."""


def blamed(run: Judged) -> list[str]:
    """Return the causes that a run names, on whatever node."""
    return [cause["id"] for cause in run.document["causes"]]


def test_the_shipped_manifest_is_enough(
    user: Account, lab_cluster: LabCluster, tmp_path: Path
) -> None:
    """Every node conforms, and nothing that the API server saw was forbidden."""
    mark = audit.mark(lab_cluster.workplace.folder)
    run = user.judge(tmp_path)
    assert run.exit == 0, run.output
    assert {verdict for verdict, _, _ in run.verdicts.values()} == {"conforms"}
    assert "may not" not in run.output
    assert [each for each in mark.requests() if each.status == 403] == []
    assert in_cluster(lab_cluster.api) == []


def test_read_only_changes_nothing(user: Account, lab_cluster: LabCluster, tmp_path: Path) -> None:
    """Not even a review of rights, which is created by its form, reaches the API server."""
    mark = audit.mark(lab_cluster.workplace.folder)
    run = user.judge(tmp_path, "--gpu-read-only")
    seen = mark.requests()
    assert {each.resource for each in seen} >= {"nodes", "pods", "runtimeclasses"}
    assert [each for each in seen if each.is_writing] == []
    assert {verdict for verdict, _, _ in run.verdicts.values()} == {"unproven"}
    assert blamed(run) == []


@pytest.mark.parametrize("verb", account.verbs(), ids=lambda verb: str(verb).replace(" ", "-"))
def test_a_missing_verb_is_named(
    verb: Verb, user: Account, lab_cluster: LabCluster, tmp_path: Path
) -> None:
    """And nothing is blamed on a GPU. What this cluster does not have, nobody needs to list."""
    layers = "access" if verb.resource in EARLY else "runtimeclass-pod"
    with user.without(verb):
        run = user.judge(tmp_path, f"--gpu-nodes={NODE}", f"--gpu-layers={layers}")
    _remove(lab_cluster)
    assert (f"may not {verb} " in run.output) is is_served(lab_cluster, verb.group), run.output
    if str(verb) == "list nodes":
        assert run.exit == 4
        return
    assert blamed(run) == [], run.output
    assert {verdict for verdict, _, _ in run.verdicts.values()} <= {"conforms", "unproven"}


def is_served(lab: LabCluster, group: str) -> bool:
    """Say whether the API server has an API group; the core group has no name."""
    return not group or lab.api.find(f"/apis/{group}") is not None


def _remove(lab: LabCluster) -> None:
    """Remove what a run may leave that lacks the right to remove it."""
    lab.api.delete(f"/api/v1{account.WITHIN}/pods{MARKED}", seconds=0)
