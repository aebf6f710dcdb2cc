"""What users provide: too few rights, and files for crictl that do not fit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_gpu.stack.sandbox.sandboxes import shipped_files
from tests.lab.cluster import LabCluster
from tests.lab.rounds.judge import judge

RBAC = "/apis/rbac.authorization.k8s.io/v1"
NAME = "matrix-visitor"
CORE = ("nodes", "pods", "pods/log", "configmaps", "namespaces", "events", "serviceaccounts")
RULES = [
    {"apiGroups": [""], "resources": CORE, "verbs": ["*"]},
    {"apiGroups": ["apps"], "resources": ["daemonsets", "deployments"], "verbs": ["*"]},
    {"apiGroups": ["node.k8s.io"], "resources": ["runtimeclasses"], "verbs": ["*"]},
]
"""Everything that the suite needs but pods/exec."""


@pytest.fixture
def visitor(lab_cluster: LabCluster, tmp_path: Path) -> Iterator[Path]:
    """Give the kubeconfig of a user who may do everything but exec."""
    control, api = lab_cluster.control, lab_cluster.api
    control.pki.issue(NAME, f"/CN={NAME}")
    server = json.loads(control.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
    file = tmp_path / "kubeconfig"
    file.write_text(control.pki.kubeconfig(NAME, server))
    group = "rbac.authorization.k8s.io"
    api.create(f"{RBAC}/clusterroles", {"metadata": {"name": NAME}, "rules": RULES})
    role = {"apiGroup": group, "kind": "ClusterRole", "name": NAME}
    user = {"apiGroup": group, "kind": "User", "name": NAME}
    body = {"metadata": {"name": NAME}, "roleRef": role, "subjects": [user]}
    api.create(f"{RBAC}/clusterrolebindings", body)
    yield file
    for kind in ("clusterrolebindings", "clusterroles"):
        api.delete(f"{RBAC}/{kind}/{NAME}")


def test_missing_right_is_named(lab_cluster: LabCluster, visitor: Path, tmp_path: Path) -> None:
    """Without pods/exec no node can be looked into: that is told by name, and no GPU is blamed."""
    judged = judge(lab_cluster, tmp_path / "run", kubeconfig=visitor)
    assert set(judged.verdicts.values()) == {("unproven", None, None)}, judged.output
    assert set(judged.verdicts) == set(lab_cluster.nodes)
    assert judged.exit == 1
    assert "get pods/exec" in judged.output


def test_wrong_cgroup_parent_of_an_admins_file(lab_cluster: LabCluster, tmp_path: Path) -> None:
    """On a node with systemd's cgroups an admin's file with a cgroupfs parent is to blame."""
    file = tmp_path / "pod-config.json"
    pod = json.loads(shipped_files().pod_text)
    pod["linux"]["cgroup_parent"] = "/kubepods/besteffort"
    file.write_text(json.dumps(pod))
    options = ("--gpu-nodes=nsd", "--gpu-layers=sandbox", "-o", f"gpu_sandbox_pod_config={file}")
    judged = judge(lab_cluster, tmp_path / "run", *options)
    said = ("fails", "sandbox", "sandbox/cgroup-parent-is-no-slice")
    assert judged.verdicts == {"nsd": said}, judged.output
    assert judged.exit == 1
    assert str(file) in "".join(judged.output.split())
