"""Beside the words of a toolkit that fails stands what it was given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from pytest_gpu.stack.operands.chain import culprit_for
from pytest_gpu.stack.operands.given import given
from pytest_gpu.stack.operands.roles import DEVICE_PLUGIN, TOOLKIT
from tests.stack.operands import made_up_operands
from tests.stack.operands.made_up_operands import container, node_with, pod, workload

Object = dict[str, Any]

CRASHED = {**made_up_operands.CRASHED, "ready": False}
IMAGE = "nvcr.io/nvidia/k8s/container-toolkit:v1.17.8"
CONTAINERD = {
    "ROOT": "/usr/local/nvidia",
    "RUNTIME": "containerd",
    "RUNTIME_CONFIG": "/runtime/config-dir/config.toml",
    "CONTAINERD_CONFIG": "/runtime/config-dir/config.toml",
    "CONTAINERD_SOCKET": "/runtime/sock-dir/containerd.sock",
    "CONTAINERD_RUNTIME_CLASS": "nvidia",
    "CONTAINERD_SET_AS_DEFAULT": "false",
    "PROXY_PASSWORD": "hunter2",
}
CRIO = {
    "RUNTIME": "crio",
    "RUNTIME_CONFIG": "/runtime/config-dir/crio.conf",
    "CRIO_CONFIG": "/opt/own/crio.conf",
    "API_TOKEN": "hunter2",
}


def toolkit(env: Mapping[str, str], folders: Mapping[str, str], **more: Any) -> Object:
    """Return a toolkit's pod that crashes, with these folders of the host."""
    values = [{"name": name, "value": value} for name, value in env.items()]
    secret = {"name": "CONTAINERD_TOKEN", "valueFrom": {"secretKeyRef": {"name": "x", "key": "y"}}}
    mounts = [{"name": f"v{at}", "mountPath": inside} for at, inside in enumerate(folders)]
    made = container(IMAGE, name="ctr") | {"env": [*values, secret], "volumeMounts": mounts}
    found = pod(made, **{"statuses": {"ctr": CRASHED}, **more})
    found["spec"]["volumes"] = [
        {"name": f"v{at}", "hostPath": {"path": path}} for at, path in enumerate(folders.values())
    ]
    return found


FOLDERS = {"/runtime/config-dir/": "/etc/containerd", "/runtime/sock-dir/": "/run/k3s/containerd"}


def told(made: Object, *makers: Object, role: str = TOOLKIT) -> list[tuple[str, str]]:
    """Return what an operand that fails was given."""
    culprit = culprit_for(node_with(made, daemonsets=list(makers)), role)
    assert culprit
    return [(each.source, each.text) for each in given(culprit.fault)]


@pytest.mark.parametrize(
    ("made", "lines"),
    [
        (
            toolkit(CONTAINERD, FOLDERS),
            [
                "RUNTIME=containerd",
                "RUNTIME_CONFIG=/runtime/config-dir/config.toml"
                " (on the host: /etc/containerd/config.toml)",
                "CONTAINERD_SOCKET=/runtime/sock-dir/containerd.sock"
                " (on the host: /run/k3s/containerd/containerd.sock)",
                "CONTAINERD_RUNTIME_CLASS=nvidia",
                "CONTAINERD_SET_AS_DEFAULT=false",
            ],
        ),
        (
            toolkit(CRIO, {"/runtime/config-dir": "/etc/crio"}),
            [
                "RUNTIME=crio",
                "RUNTIME_CONFIG=/runtime/config-dir/crio.conf (on the host: /etc/crio/crio.conf)",
                "CRIO_CONFIG=/opt/own/crio.conf",
            ],
        ),
    ],
    ids=["containerd", "crio"],
)
def test_settings_and_the_folders_behind_the_mounts(made: Object, lines: list[str]) -> None:
    """One value once, known names only: no other value of its environment."""
    assert told(made) == [("env of pod gpu-stack/x-7k2vn", "\n".join(lines))]
    assert "hunter2" not in str(told(made))


def test_the_daemonset_has_it_where_the_pod_does_not() -> None:
    """A recording may hold less of the pod."""
    maker = workload(toolkit(CONTAINERD, FOLDERS))
    bare = toolkit({}, {})
    [(source, text)] = told(bare, maker)
    assert source == "env of daemonset gpu-stack/x"
    assert "(on the host: /etc/containerd/config.toml)" in text
    assert told(bare) == []


def test_another_container_or_operand_is_not_told_so() -> None:
    """Only the writer's own failure has to do with what it was given."""
    waits = {"state": {"waiting": {"reason": "PodInitializing"}}, "ready": False}
    init = [container("busybox", name="fetch")]
    made = toolkit(CONTAINERD, FOLDERS, inits=init, statuses={"fetch": CRASHED, "ctr": waits})
    assert told(made) == []
    plugin = pod(
        container(run=["nvidia-device-plugin"]) | {"env": [{"name": "RUNTIME", "value": "x"}]},
        statuses={"main": CRASHED},
    )
    assert told(plugin, role=DEVICE_PLUGIN) == []
