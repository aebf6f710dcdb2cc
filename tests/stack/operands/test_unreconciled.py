"""The operator runs and made nothing: its own words, in a condition of what it was told."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.operands.roles import TOOLKIT
from pytest_gpu.stack.operands.unreconciled import unreconciled
from pytest_gpu.stack.operands.upgrade import LABEL, PAUSED
from pytest_gpu.stack.pods import check_plugin
from pytest_gpu.stack.runtime import check_handler
from tests.stack.gpu.gpu_machine import cause, said
from tests.stack.kube.kube_machine import told
from tests.stack.operands.made_up_operands import Object, container, pod, workload
from tests.stack.operands.test_unknown_failures import with_gpus, without_handler
from tests.support.fake_evidence import FakeCluster, node_object

IMAGE = "nvcr.io/nvidia/gpu-operator:v25.3.4"
WAITS = "ClusterPolicy is not ready, states not ready: [state-driver state-container-toolkit]"
TOOLKIT_FAILS = "Failed to reconcile state-container-toolkit: admission webhook denied: frob"
PLUGIN_FAILS = "Failed to reconcile state-device-plugin: config map plugin-cfg: quux"


def policy(message: str = "", reason: str = "ReconcileFailed", **spec: Any) -> Object:
    """Return a ClusterPolicy whose reconciliation ended with a message, or well."""
    if message:
        ready = {"type": "Ready", "status": "False", "reason": "Error", "message": ""}
        error = {"type": "Error", "status": "True", "reason": reason, "message": message}
    else:
        ready = {"type": "Ready", "status": "True", "reason": "Reconciled", "message": "all done"}
        error = {"type": "Error", "status": "False", "reason": "Ready", "message": "old: frob"}
    status = {"state": "notReady", "conditions": [ready, error]}
    return {"kind": "ClusterPolicy", "metadata": {"name": "gpu"}, "spec": spec, "status": status}


def operator() -> Object:
    """Return the operator's pod, which runs on another node."""
    made = pod(container(IMAGE), name="gpu-operator-0", owner=("ReplicaSet", "gpu-operator-5f"))
    made["spec"]["nodeName"] = "control-1"
    return made


def node(evidence: Any, *policies: Object, **objects: list[Object]) -> Node:
    """Return a GPU node of a cluster with this ClusterPolicy and, unless said, the operator."""
    found = {
        "nodes": [node_object(capacity={}, labels={"nvidia.com/gpu.present": "true"})],
        "pods": [operator()],
        "clusterpolicies": list(policies),
        **{kind: [] for kind in ("daemonsets", "events", "resourceslices", "runtimeclasses")},
        **objects,
    }
    return Node("gpu-1", FakeCluster(nodes={"gpu-1": evidence({})}, objects=found))


@pytest.mark.parametrize(
    "message",
    [
        TOOLKIT_FAILS,
        "Failed to reconcile state-driver: no kernel version found",
        "error validating clusterpolicy: driver.frob is not a value",
    ],
)
def test_a_toolkit_that_the_operator_could_not_make(message: str) -> None:
    """At this step, at one before it, or at the beginning: no values are advised."""
    found = check_handler.no_gpu_handler(node(without_handler, policy(message)))
    assert cause(found) == "operator/not-reconciled"
    assert f"condition Error of clusterpolicy gpu: ReconcileFailed: {message}" in said(found)
    text = told(found)
    assert "kubectl logs gpu-operator-0 -n gpu-stack" in text
    assert "CONTAINERD_" not in text


@pytest.mark.parametrize("message", [TOOLKIT_FAILS, PLUGIN_FAILS])
def test_a_plugin_that_the_operator_could_not_make(message: str) -> None:
    """What stands before it counts, too; nobody is told to install the operator."""
    found = check_plugin.not_deployed(node(with_gpus, policy(message)))
    assert cause(found) == "operator/not-reconciled"
    assert message in said(found)
    assert "helm" not in told(found)


DAEMONSET = workload(pod(container("nvcr.io/nvidia/k8s/container-toolkit:v1.17.4")))
DAEMONSET["spec"]["template"]["spec"]["nodeSelector"] = {"pool": "b"}


@pytest.mark.parametrize(
    ("made", "objects"),
    [
        (policy(), {}),
        (policy(WAITS, "OperandNotReady"), {}),
        (policy(PLUGIN_FAILS), {}),
        (policy("Failed to reconcile state-dcgm: frob"), {}),
        (policy(TOOLKIT_FAILS, toolkit={"enabled": False}), {}),
        (policy(TOOLKIT_FAILS), {"daemonsets": [DAEMONSET]}),
        (policy(TOOLKIT_FAILS), {"pods": []}),
    ],
    ids=["none", "waits", "the plugin", "a later one", "switched off", "it is made", "no operator"],
)
def test_what_does_not_keep_the_operator_from_making_the_toolkit(
    made: Object, objects: dict[str, list[Object]]
) -> None:
    """The runtime is told by itself, without the operator's words."""
    there = node(without_handler, made, **objects)
    assert unreconciled(there, TOOLKIT) is None
    found = check_handler.no_gpu_handler(there)
    assert cause(found) == "runtime/handler-not-configured"
    assert "condition" not in said(found)


@pytest.mark.parametrize(
    ("state", "found"),
    [
        ("upgrade-failed", "driver/upgrade-failed"),
        ("pod-restart-required", "driver/upgrade-unfinished"),
        ("upgrade-done", "runtime/handler-not-configured"),
    ],
)
def test_a_toolkit_that_the_drivers_upgrade_keeps_away(state: str, found: str) -> None:
    """It is made, and paused on this node: by an upgrade that is not done."""
    key = "nvidia.com/gpu.deploy.container-toolkit"
    made = workload(pod(container("nvcr.io/nvidia/k8s/container-toolkit:v1.17.4")))
    made["spec"]["template"]["spec"]["nodeSelector"] = {key: "true"}
    upgraded = node_object(capacity={}, labels={key: PAUSED, LABEL: state})
    there = node(without_handler, policy(), nodes=[upgraded], daemonsets=[made])
    assert cause(check_handler.no_gpu_handler(there)) == found
