"""A path of a container is shown as the host's, or not at all."""

from __future__ import annotations

import pytest

from pytest_gpu.stack.operands.chain import culprit_for
from pytest_gpu.stack.operands.host_path import mounts_of, on_host
from pytest_gpu.stack.operands.roles import TOOLKIT
from pytest_gpu.stack.operands.telling import advice_of
from tests.stack.operands.made_up_operands import Object, log_path, node_with, workload
from tests.stack.operands.test_chain import DOWN, operand

MOUNTS: Object = {
    "mounts": [
        {"name": "config", "mountPath": "/runtime/config-dir/"},
        {"name": "root", "mountPath": "/host"},
        {"name": "own", "mountPath": "/own"},
        {"name": "config", "mountPath": "/part", "subPath": "conf.d"},
    ],
    "volumes": [
        {"name": "config", "hostPath": {"path": "/var/lib/k8s/etc/containerd"}},
        {"name": "root", "hostPath": {"path": "/"}},
        {"name": "own", "configMap": {"name": "x"}},
    ],
}
SPEC: Object = {
    "containers": [{"name": "main", "volumeMounts": MOUNTS["mounts"]}],
    "volumes": MOUNTS["volumes"],
}


@pytest.mark.parametrize(
    ("path", "host"),
    [
        ("/runtime/config-dir/config.toml", "/var/lib/k8s/etc/containerd/config.toml"),
        ("/runtime/config-dir", "/var/lib/k8s/etc/containerd"),
        ("/runtime/config-dir.d/a.toml", None),
        ("/host/etc/x", "/etc/x"),
        ("/host", "/"),
        ("/part/a", "/var/lib/k8s/etc/containerd/conf.d/a"),
        ("/own/config.yaml", None),
        ("/usr/bin/nvidia-ctk", None),
        ("/dev/nvidiactl", "/dev/nvidiactl"),
        ("/development", None),
    ],
)
def test_what_a_path_of_a_container_is_on_the_host(path: str, host: str | None) -> None:
    """A folder of the host, below its mount; a ConfigMap and the image are none."""
    assert on_host(path, mounts_of(SPEC, "main")) == host
    assert mounts_of(SPEC, "other") == {}


def fix(path: str, *, of_pod: bool) -> str:
    """Return the advice for a toolkit that may not open a path; who tells its mounts varies."""
    made = operand(TOOLKIT, main=DOWN)
    daemonset = workload(made, name=TOOLKIT)
    spec = made["spec"] if of_pod else daemonset["spec"]["template"]["spec"]
    spec["volumes"] = MOUNTS["volumes"]
    spec["containers"] = [{**spec["containers"][0], "volumeMounts": MOUNTS["mounts"]}]
    log = f'level=error msg="unable to load config: open {path}: permission denied"\n'
    node = node_with(made, files={log_path(made, restarts=4): log}, daemonsets=[daemonset])
    culprit = culprit_for(node, TOOLKIT)
    assert culprit is not None
    return "\n".join(step.shown for step in advice_of(node, culprit.fault))


@pytest.mark.parametrize("of_pod", [True, False])
def test_the_advice_names_the_path_on_the_host(*, of_pod: bool) -> None:
    """By the pod's mounts, else by its controller's; a path of the image is not on the node."""
    said = fix("/runtime/config-dir/config.toml", of_pod=of_pod)
    assert "$ ls -ld /var/lib/k8s/etc/containerd/config.toml" in said
    assert "runtime/config-dir" not in said
    assert "ls -ld" not in fix("/etc/own.yaml", of_pod=of_pod)
