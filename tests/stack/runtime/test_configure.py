"""Who gives a containerd its handler: a toolkit in the cluster, or one of the host."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_gpu.stack.runtime import check_handler
from pytest_gpu.stack.runtime.configure import configure
from tests.stack.containerd.test_merge import CONFIG
from tests.stack.containerd.test_templates import RUNC_3, rke2
from tests.stack.runtime.runtime_machine import SOCKET, Machine
from tests.stack.runtime.test_check_runtime import (
    ONLY_RUNC,
    cause,
    text_of,
    toolkit_daemonset,
)
from tests.stack.runtime.test_overwritten import toolkit_pod

Object = dict[str, Any]
INSIDE = {
    "RUNTIME": "containerd",
    "CONTAINERD_CONFIG": "/runtime/config-dir/config.toml",
    "CONTAINERD_SOCKET": "/runtime/sock-dir/containerd.sock",
    "CONTAINERD_RUNTIME_CLASS": "nvidia",
}
"""As the operator renders it: the host's folders under other paths."""

ASKED = {
    "CONTAINERD_CONFIG": "/etc/containerd/config.toml",
    "CONTAINERD_SOCKET": "/run/containerd/containerd.sock",
    "CONTAINERD_RUNTIME_CLASS": "nvidia",
    "RUNTIME": "containerd",
}
"""As it is asked for: with the host's paths."""

POLICY: Object = {"metadata": {"name": "cluster-policy"}, "spec": {}}


def mounted(**changes: str) -> dict[str, list[Object]]:
    """Return the toolkit's DaemonSet as the operator makes it for the folders of containerd."""
    objects = toolkit_daemonset(**{**INSIDE, **changes})
    spec = objects["daemonsets"][0]["spec"]["template"]["spec"]
    folders = {"config-dir": "/etc/containerd", "sock-dir": "/run/containerd"}
    spec["volumes"] = [{"name": n, "hostPath": {"path": p}} for n, p in folders.items()]
    spec["containers"][0]["volumeMounts"] = [
        {"name": name, "mountPath": f"/runtime/{name}"} for name in folders
    ]
    return objects


def machine(objects: dict[str, list[Object]], *, installed: bool = False) -> Machine:
    """Return a node whose containerd has no handler."""
    made = Machine(files={CONFIG: ONLY_RUNC}, live=("runc",), objects=objects)
    if not installed:
        made.binaries = ()
    return made


def offered(made: Machine) -> dict[str, str]:
    """Return the text of what is offered, by who does it."""
    found = configure(made.node())
    return {name: str(steps) for name, steps in found.items() if steps}


@pytest.mark.parametrize(("installed", "words"), [(False, "Install the"), (True, "Let the")])
def test_without_an_operator_nothing_of_one_is_offered(*, installed: bool, words: str) -> None:
    """Neither values nor helm; a toolkit that is installed need not be installed."""
    found = offered(machine({}, installed=installed))
    assert list(found) == ["install"]
    assert f"{words} NVIDIA container toolkit" in found["install"]
    told = check_handler.no_gpu_handler(machine({}).node())
    assert cause(told) == "runtime/handler-not-configured"
    assert "operator" not in text_of(told)


def test_an_operator_is_asked_first() -> None:
    """It has made no toolkit yet; one whose toolkit is switched off leaves that to the host."""
    found = offered(machine({"clusterpolicies": [POLICY]}))
    assert list(found) == ["settings", "install"]
    assert "kubectl edit clusterpolicy" in found["settings"]
    assert "Or install" in found["install"]
    off = {**POLICY, "spec": {"toolkit": {"enabled": False}}}
    assert list(offered(machine({"clusterpolicies": [off]}))) == ["install"]


def test_what_the_policy_asks_for_is_not_advised() -> None:
    """The operator has made no DaemonSet of it: that is to be looked at."""
    env = [{"name": name, "value": value} for name, value in ASKED.items()]
    policy = {**POLICY, "spec": {"toolkit": {"env": env}}}
    found = offered(machine({"clusterpolicies": [policy]}))
    assert list(found) == ["again", "install"]
    assert "kubectl describe clusterpolicy cluster-policy" in found["again"]
    other = {**POLICY, "spec": {"toolkit": {"env": env[1:]}}}
    assert list(offered(machine({"clusterpolicies": [other]}))) == ["settings", "install"]


def test_what_the_daemonset_has_is_not_advised() -> None:
    """Its paths are those of its container; the pod writes when it starts."""
    right = mounted()
    found = offered(machine(right))
    assert list(found) == ["again"]
    assert "kubectl describe daemonset nvidia-container-toolkit-daemonset" in found["again"]
    right["pods"] = [toolkit_pod("1970-01-12T13:46:40Z")]
    found = offered(machine(right))
    assert list(found) == ["again"]
    assert "kubectl delete pod toolkit-x -n gpu-operator" in found["again"]
    preferred = mounted(RUNTIME_CONFIG="/runtime/config-dir/config.toml", CONTAINERD_CONFIG="/x")
    assert list(offered(machine(preferred))) == ["again"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"CONTAINERD_SOCKET": "/runtime/sock-dir/other.sock"},
        {"CONTAINERD_CONFIG": "/runtime/config-dir/other.toml"},
        {"RUNTIME_CONFIG": "/runtime/config-dir/other.toml"},
    ],
)
def test_what_it_has_wrong_is(wrong: dict[str, str]) -> None:
    """Near miss: one value leads elsewhere. Nobody is told to install what is there."""
    found = offered(machine(mounted(**wrong)))
    assert list(found) == ["settings"]
    assert "/run/containerd/containerd.sock" in found["settings"]


def test_a_distribution_that_finds_the_runtime_itself() -> None:
    """RKE2 needs the runtime and a restart; the toolkit in the cluster only its socket."""
    node = rke2(RUNC_3)
    node.live, node.binaries = ("runc",), ()
    told = text_of(check_handler.no_gpu_handler(node.node()))
    assert "Install the NVIDIA container toolkit on the host." in told
    assert "nvidia-ctk" not in told
    node.objects = toolkit_daemonset()
    assert list(offered(node)) == ["settings"]
    node.objects = toolkit_daemonset(CONTAINERD_SOCKET=SOCKET)
    assert list(offered(node)) == ["again"]
