"""A cluster whose admission forbids privileged pods: the suite cannot visit, and says why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.lab.cluster import LabCluster, open_cluster
from tests.lab.conftest import leave_out
from tests.lab.control_plane.account import Account, applied
from tests.lab.nodes.node_files import NodeSpec
from tests.lab.parts import debian
from tests.lab.rounds.leftovers import in_cluster

POLICIES = "/apis/policy/v1beta1/podsecuritypolicies"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
GROUP = "rbac.authorization.k8s.io"
FLAG = "--enable-admission-plugins=NodeRestriction,PodSecurityPolicy"
NODE = NodeSpec(name="nps", number=1, generation="1.7")

ANY = {
    rule: {"rule": "RunAsAny"} for rule in ("runAsUser", "seLinux", "supplementalGroups", "fsGroup")
}
PRIVILEGED = {
    **ANY,
    "privileged": True,
    "allowPrivilegeEscalation": True,
    "allowedCapabilities": ["*"],
    "hostPID": True,
    "hostIPC": True,
    "hostNetwork": True,
    "volumes": ["*"],
}
RESTRICTED = {**ANY, "privileged": False, "volumes": ["configMap", "emptyDir", "secret"]}
PLUGIN_USER = {"kind": "ServiceAccount", "namespace": "kube-system", "name": "default"}
EVERYBODY = {"apiGroup": GROUP, "kind": "Group", "name": "system:authenticated"}

Objects = list[tuple[str, Mapping[str, Any]]]


def policy(name: str, spec: Mapping[str, Any], subject: Mapping[str, str]) -> Objects:
    """Return a PodSecurityPolicy and what lets ``subject`` use it."""
    head = {"metadata": {"name": name}}
    use = {
        "apiGroups": ["policy"],
        "resources": ["podsecuritypolicies"],
        "resourceNames": [name],
        "verbs": ["use"],
    }
    role = {"apiGroup": GROUP, "kind": "ClusterRole", "name": name}
    return [
        (POLICIES, {**head, "spec": spec}),
        (f"{RBAC}/clusterroles", {**head, "rules": [use]}),
        (f"{RBAC}/clusterrolebindings", {**head, "roleRef": role, "subjects": [subject]}),
    ]


@pytest.fixture(scope="module")
def guarded() -> Iterator[LabCluster]:
    """Give a healthy cluster where only the device plugin's pods may be privileged."""
    objects = [
        *policy("lab-privileged", PRIVILEGED, PLUGIN_USER),
        *policy("lab-restricted", RESTRICTED, EVERYBODY),
    ]
    try:
        cluster = open_cluster([NODE], [FLAG], objects)
    except debian.Missing as missing:
        leave_out(f"the lab's cluster: {missing}")
    yield cluster
    cluster.close()


@pytest.fixture
def guest(guarded: LabCluster, tmp_path: Path) -> Iterator[Account]:
    """Give the service account of the shipped manifest on it."""
    with applied(guarded.api, guarded.kubeconfig, tmp_path / "kubeconfig") as account:
        yield account


def test_refused_visit_blames_no_gpu(guarded: LabCluster, guest: Account, tmp_path: Path) -> None:
    """The node is unproven, and the output has the API server's own words."""
    run = guest.judge(tmp_path / "run")
    assert run.verdicts == {NODE.name: ("unproven", None, None)}, run.output
    assert run.nodes_by_cause == {}
    assert run.exit == 1
    words = " ".join(run.output.split())
    assert "PodSecurityPolicy: unable to admit pod" in words, run.output
    assert "Privileged containers are not allowed" in words
    assert "test_a_door_leads_into_the_node" in words
    assert in_cluster(guarded.api) == []
