"""An operand that fails with words that nobody knows: its layer fails, and quotes exactly these.

With the operand healthy the same words, in an old event or in the log of an earlier run, mean
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.gpu import check_driver
from pytest_gpu.stack.operands import check_operands
from pytest_gpu.stack.operands import roles as r
from pytest_gpu.stack.operands.fault import fault_of
from pytest_gpu.stack.operands.operands import operands_of
from pytest_gpu.stack.pods import check_count, check_plugin, check_plugin_pod
from pytest_gpu.stack.runtime import check_handler
from tests.stack.containerd.test_merge import CONFIG
from tests.stack.gpu.gpu_machine import cause, machine
from tests.stack.gpu.test_check_driver import unloaded
from tests.stack.operands.made_up_failures import Failure, failures
from tests.stack.operands.made_up_operands import (
    READY,
    Object,
    container,
    log_path,
    pod,
    warning,
)
from tests.stack.runtime.runtime_machine import Machine
from tests.stack.runtime.test_check_runtime import ONLY_RUNC
from tests.support.fake_evidence import FakeCluster, FakeNode, node_object

Files = Mapping[str, str]
Evidences = Callable[[Files], FakeNode]
Judged = Callable[[Node], Finding | None]

PROGRAMS: Mapping[str, tuple[str, list[str]]] = {
    r.OPERATOR: ("gpu-operator", ["gpu-operator"]),
    r.NFD: ("node-feature-discovery", ["nfd-worker"]),
    r.DRIVER: ("driver", ["nvidia-driver", "init"]),
    r.TOOLKIT: ("container-toolkit", ["nvidia-toolkit"]),
    r.DEVICE_PLUGIN: ("k8s-device-plugin", ["nvidia-device-plugin"]),
    r.MPS: ("k8s-device-plugin", ["mps-control-daemon"]),
    r.MIG_MANAGER: ("k8s-mig-manager", ["nvidia-mig-manager"]),
    r.DRA: ("k8s-dra-driver-gpu", ["gpu-kubelet-plugin"]),
    r.GFD: ("k8s-device-plugin", ["gpu-feature-discovery"]),
    r.DCGM: ("dcgm-exporter", ["dcgm-exporter"]),
    r.VALIDATOR: ("gpu-operator-validator", ["nvidia-validator"]),
}


def without_driver(files: Files) -> FakeNode:
    """Return a node whose module is not loaded."""
    return _fake(unloaded(files=dict(files)))


def without_handler(files: Files) -> FakeNode:
    """Return a node whose containerd has no NVIDIA handler."""
    made = Machine(files={CONFIG: ONLY_RUNC, **files}, live=("runc",), binaries=())
    return _fake(made.node())


def with_gpus(files: Files) -> FakeNode:
    """Return a node with a driver that works."""
    return _fake(machine(files=dict(files)))


def _fake(node: Node) -> FakeNode:
    found = node.evidence
    assert isinstance(found, FakeNode)
    return found


def first_of_others(node: Node) -> Finding | None:
    """Return the first operand beside the chain that fails."""
    return next(iter(check_operands.others_fail(node)), None)


@dataclass(frozen=True)
class Layer:
    """Where an operand is missed: the evidence of the node, who judges it, and the cause."""

    evidence: Evidences
    judge: Judged
    cause: str


LAYERS: Mapping[str, Layer] = {
    r.DRIVER: Layer(without_driver, check_driver.module_not_loaded, "driver/operand-fails"),
    r.TOOLKIT: Layer(without_handler, check_handler.no_gpu_handler, "runtime/operand-fails"),
    r.DEVICE_PLUGIN: Layer(with_gpus, check_plugin_pod.not_running, "device-plugin/not-running"),
    **dict.fromkeys(
        (r.MPS, r.MIG_MANAGER),
        Layer(with_gpus, check_count.not_registered, "device-plugin/operand-fails"),
    ),
    r.DRA: Layer(with_gpus, check_plugin.not_deployed, "device-plugin/operand-fails"),
    **dict.fromkeys(
        (r.OPERATOR, r.NFD),
        Layer(with_gpus, check_plugin.not_deployed, "operator/operand-fails"),
    ),
    **dict.fromkeys(
        (r.GFD, r.DCGM, r.VALIDATOR),
        Layer(with_gpus, first_of_others, "device-plugin/operand-fails"),
    ),
}
"""By role. Nobody misses the last three on a node that works: they are latent."""


def made(role: str, status: Object) -> Object:
    """Return a role's pod, whose container has this status."""
    image, run = PROGRAMS[role]
    main = container(f"registry.example/gpu/{image}:v1", run=run)
    return pod(main, owner=("DaemonSet", "x"), statuses={"main": status})


def node_of(
    role: str, pods: Sequence[Object], files: Files, *events: Object, **more: Sequence[Object]
) -> Node:
    """Return the node on which the operand is missed, with its pods and further objects."""
    evidence = LAYERS[role].evidence(files)
    objects = {
        "nodes": [node_object(capacity={}, labels={"nvidia.com/gpu.present": "true"})],
        "pods": list(pods),
        "events": list(events),
        "daemonsets": [],
        "resourceslices": [],
        "runtimeclasses": [],
        "clusterpolicies": [],
        **more,
    }
    return Node("gpu-1", FakeCluster(nodes={"gpu-1": evidence}, objects=objects))


@pytest.mark.parametrize("role", r.ROLES)
@settings(max_examples=12, deadline=None)
@given(failure=failures())
def test_the_layer_fails_and_quotes_exactly_the_line(role: str, failure: Failure) -> None:
    """Source, line number and words are the operand's own, whatever its state and format."""
    own = made(role, failure.status)
    node = node_of(role, [own], {log_path(own, restarts=failure.restarts): failure.log})
    found = LAYERS[role].judge(node)
    assert cause(found) == LAYERS[role].cause
    assert found is not None
    where = "log of pod gpu-stack/x-7k2vn, container main"
    assert Evidence(source=where, line=failure.line, text=failure.text) in found.evidence


@pytest.mark.parametrize("role", r.ROLES)
@settings(max_examples=6, deadline=None)
@given(failure=failures())
def test_the_same_words_of_one_that_works_now_mean_nothing(role: str, failure: Failure) -> None:
    """In the log of an earlier run, in its last state, in an old event."""
    own = made(role, {**READY, "restartCount": 1, "lastState": {"terminated": {"exitCode": 1}}})
    old = warning(own, "BackOff", failure.text, minutes=45)
    node = node_of(role, [own], {log_path(own): failure.log, log_path(own, restarts=1): ""}, old)
    [operand] = operands_of(node)
    assert operand.role == role
    assert fault_of(node, operand) is None
    assert list(latents(node)) == []
    assert failure.words not in str(LAYERS[role].judge(node))


def latents(node: Node) -> Iterator[Finding]:
    """Yield what is noted of a node that works."""
    yield from check_operands.driver_fails(node)
    yield from check_operands.toolkit_fails(node)
    yield from check_operands.others_fail(node)
