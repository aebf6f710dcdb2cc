"""The first operand that fails by itself is the culprit; the others wait for it."""

from __future__ import annotations

from graphlib import TopologicalSorter
from typing import Any

import pytest

from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.operands.chain import culprit_for, failing
from pytest_gpu.stack.operands.operands import operands_of
from pytest_gpu.stack.operands.roles import (
    DEVICE_PLUGIN,
    DRIVER,
    NFD,
    OPERATOR,
    ROLES,
    TOOLKIT,
)
from pytest_gpu.stack.operands.waits import WAITS_FOR
from tests.stack.operands.made_up_operands import (
    CRASHED,
    Object,
    container,
    node_with,
    pod,
    warning,
    workload,
)

IMAGES = {
    DRIVER: "nvcr.io/nvidia/driver:570.124.06-ubuntu22.04",
    TOOLKIT: "nvcr.io/nvidia/k8s/container-toolkit:v1.17.4",
    DEVICE_PLUGIN: "nvcr.io/nvidia/k8s-device-plugin:v0.17.0",
    NFD: "registry.k8s.io/nfd/node-feature-discovery:v0.17.3",
    OPERATOR: "nvcr.io/nvidia/gpu-operator:v25.3.4",
}
DOWN: Object = {**CRASHED, "ready": False}
NO_IMAGE: Object = {
    "state": {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}},
    "ready": False,
}
WAITS: Object = {"state": {"waiting": {"reason": "PodInitializing"}}, "ready": False}
VALIDATING: Object = {"state": {"running": {}}, "ready": False}


def operand(role: str, *, inits: Any = (), **statuses: Object) -> Object:
    """Return a pod of a role; its container is called main."""
    program = {DEVICE_PLUGIN: ["nvidia-device-plugin"]}.get(role, ())
    main = container(IMAGES[role], run=program)
    told = {name.replace("_", "-"): each for name, each in statuses.items()}
    owner = ("DaemonSet", role)
    return pod(main, name=f"{role}-x1", owner=owner, inits=inits, statuses=told)


def waiting(role: str, init: str, state: Object = VALIDATING) -> Object:
    """Return an operand that waits in an init container."""
    first = container("nvcr.io/nvidia/cloud-native/gpu-operator-validator:v24.9.2", name=init)
    return operand(role, inits=[first], main=WAITS, **{init.replace("-", "_"): state})


def blamed(node: Node, role: str) -> tuple[str, list[str]] | None:
    """Return the culprit's name, and the roles that wait for it."""
    found = culprit_for(node, role)
    if found is None:
        return None
    return found.fault.operand.name, [each.role for each in found.waiting]


@pytest.mark.parametrize("down", [DOWN, NO_IMAGE], ids=["crashes", "no image"])
def test_the_driver_is_the_culprit_of_all_that_wait(down: Object) -> None:
    """Whoever is asked for: toolkit and plugin only wait, also if their validation crashes."""
    node = node_with(
        operand(DRIVER, main=down),
        waiting(TOOLKIT, "driver-validation"),
        waiting(DEVICE_PLUGIN, "toolkit-validation", DOWN),
    )
    wanted = ("pod gpu-stack/driver-x1", [TOOLKIT, DEVICE_PLUGIN])
    assert [blamed(node, role) for role in (DRIVER, TOOLKIT, DEVICE_PLUGIN)] == [wanted] * 3


def test_one_that_fails_by_itself_is_no_victim() -> None:
    """A toolkit whose image is missing does not wait for the driver that fails, too."""
    node = node_with(operand(DRIVER, main=DOWN), operand(TOOLKIT, main=NO_IMAGE))
    assert blamed(node, TOOLKIT) == ("pod gpu-stack/toolkit-x1", [])
    assert blamed(node, DRIVER) == ("pod gpu-stack/driver-x1", [])


def test_what_works_ends_the_chain() -> None:
    """A plugin that waits although the toolkit is ready does not wait for the driver."""
    node = node_with(
        operand(DRIVER, main=DOWN),
        operand(TOOLKIT),
        waiting(DEVICE_PLUGIN, "toolkit-validation"),
    )
    assert blamed(node, DEVICE_PLUGIN) is None


def test_all_healthy() -> None:
    """Nobody is blamed, whatever happened before: restarts, the last end, old warnings."""
    ran: Object = {"restartCount": 7, "lastState": CRASHED["lastState"]}
    made = [operand(role, main=ran) for role in (DRIVER, TOOLKIT, DEVICE_PLUGIN)]
    old = [warning(each, "BackOff", "Back-off restarting", minutes=90) for each in made]
    node = node_with(*made, events=old)
    assert all(each.ready for each in operands_of(node))
    assert [blamed(node, role) for role in (DRIVER, TOOLKIT, DEVICE_PLUGIN)] == [None] * 3
    assert not list(failing(node, *ROLES))


def test_a_driver_that_is_not_done_is_no_failure_but_is_told_where_it_is_missed() -> None:
    """It compiles for minutes; as the reason of a missing driver it is named."""
    node = node_with(operand(DRIVER, main=VALIDATING))
    found = culprit_for(node, DRIVER)
    assert found is not None
    assert not found.fault.fails
    assert found.evidence[0].text == "is Running, but not ready"
    assert not list(failing(node, DRIVER))


@pytest.mark.parametrize("maker", [OPERATOR, NFD])
def test_where_nobody_made_an_operand_its_maker_is_to_blame(maker: str) -> None:
    """A Deployment that serves all nodes; once the operand is there, it is not its fault."""
    made = pod(
        container(IMAGES[maker]),
        name=f"{maker}-0",
        owner=("ReplicaSet", f"{maker}-5f"),
        statuses={"main": DOWN},
    )
    made["spec"]["nodeName"] = "control-1"
    above = workload(made, "Deployment", maker)
    node = node_with(made, deployments=[above])
    assert blamed(node, DEVICE_PLUGIN) == (f"pod gpu-stack/{maker}-0", [])
    later = node_with(made, waiting(DEVICE_PLUGIN, "toolkit-validation"), deployments=[above])
    assert blamed(later, DEVICE_PLUGIN) is None


@pytest.mark.parametrize("reason", ["FailedMount", "FailedCreatePodSandBox"])
def test_a_pod_that_cannot_begin_fails_by_itself(reason: str) -> None:
    """Its containers are only being created; a recent warning says why, an old one does not."""
    creating: Object = {"state": {"waiting": {"reason": "ContainerCreating"}}, "ready": False}
    made = operand(TOOLKIT, main=creating)
    said = warning(made, reason, "the volume is not there")
    node = node_with(made, events=[said])
    found = culprit_for(node, TOOLKIT)
    assert found is not None
    assert found.fault.reason == reason
    assert [each.text for each in found.evidence] == [
        "is ContainerCreating",
        f"{reason}: the volume is not there",
    ]
    old = node_with(made, events=[warning(made, reason, "not there", minutes=90)])
    assert not list(failing(old, TOOLKIT))


@pytest.mark.parametrize("status", [{"desiredNumberScheduled": 2, "currentNumberScheduled": 1}, {}])
def test_a_daemonset_that_makes_no_pod(status: Object) -> None:
    """By its counts or by a recent refusal; one that selects other nodes is none of this node."""
    made = operand(TOOLKIT)
    daemonset = workload(made, name="toolkit", status=status)
    refused = warning(daemonset, "FailedCreate", "exceeded quota: gpu", minutes=1)
    node = node_with(daemonsets=[daemonset], events=[refused])
    assert blamed(node, TOOLKIT) == ("daemonset gpu-stack/toolkit", [])
    elsewhere = workload(made, name="toolkit", status=status)
    elsewhere["spec"]["template"]["spec"]["nodeSelector"] = {"pool": "b"}
    assert blamed(node_with(daemonsets=[elsewhere], events=[refused]), TOOLKIT) is None


def test_an_old_refusal_of_a_daemonset_that_lacks_nothing_convicts_nobody() -> None:
    """The pod may just be missing from the evidence."""
    daemonset = workload(operand(TOOLKIT), name="toolkit", status={"desiredNumberScheduled": 0})
    refused = warning(daemonset, "FailedCreate", "exceeded quota: gpu", minutes=90)
    assert culprit_for(node_with(daemonsets=[daemonset], events=[refused]), TOOLKIT) is None


def test_a_pod_that_the_scheduler_or_the_kubelet_refuses() -> None:
    """The condition or the status says why."""
    unplaced = operand(DRIVER, main={"state": {}, "ready": False})
    message = "0/1 nodes are available: 1 Insufficient memory."
    unplaced["status"] |= {
        "phase": "Pending",
        "conditions": [
            {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": message,
            }
        ],
    }
    refused = operand(DRIVER, main={"state": {}, "ready": False})
    refused["status"] |= {"phase": "Failed", "reason": "OutOfpods", "message": "too many pods"}
    for made, said in ((unplaced, f"Unschedulable: {message}"), (refused, "OutOfpods: too many")):
        found = culprit_for(node_with(made), DRIVER)
        assert found is not None
        assert found.fault.said.startswith(said)


def test_the_chain_has_no_circle_and_every_role() -> None:
    """Walked upwards from any role, it ends."""
    assert set(WAITS_FOR) == set(ROLES)
    order = TopologicalSorter(WAITS_FOR).static_order()
    assert next(iter(order)) in {DRIVER, NFD, OPERATOR}
