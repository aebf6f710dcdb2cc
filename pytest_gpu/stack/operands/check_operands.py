"""Which operand is to blame for what a layer lacks, and which fail although the node works."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.checks import check
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.kube.operator import policy_section
from pytest_gpu.stack.kube.pod_state import ended
from pytest_gpu.stack.operands.chain import (
    Culprit,
    culprit_for,
    failing,
    here,
    waiting_evidence,
    waiting_for,
    without_pod,
)
from pytest_gpu.stack.operands.fault import Fault
from pytest_gpu.stack.operands.no_driver_pod import why_not_selected
from pytest_gpu.stack.operands.operands import Operand, operands_of
from pytest_gpu.stack.operands.roles import (
    DCGM,
    DEVICE_PLUGIN,
    DRA,
    DRIVER,
    GFD,
    MIG_MANAGER,
    MPS,
    NFD,
    OPERATOR,
    TOOLKIT,
    VALIDATOR,
    offers_no_gpus,
)
from pytest_gpu.stack.operands.telling import advice_of, told, told_by_own_words
from pytest_gpu.stack.operands.unreconciled import unreconciled
from pytest_gpu.stack.operands.upgrade import paused, upgrade_evidence, upgrade_of, upgrades
from pytest_gpu.steps import Steps

Causes = Mapping[str, str]

# Each layer has its own causes and those of the layers below.
_DRIVER: Causes = {
    OPERATOR: "operator/operand-fails",
    NFD: "operator/operand-fails",
    DRIVER: "driver/operand-fails",
}
_RUNTIME: Causes = {**_DRIVER, TOOLKIT: "runtime/operand-fails"}
_BESIDE = (MIG_MANAGER, MPS, DRA)
_WATCHING = (GFD, DCGM, VALIDATOR)
_PLUGIN: Causes = {
    **_RUNTIME,
    **dict.fromkeys((*_BESIDE, *_WATCHING), "device-plugin/operand-fails"),
}


def driver_culprit(node: Node, *symptom: Evidence) -> Finding | None:
    """Return the operand because of which a node has no driver, ``None`` if none is to blame.

    Where the driver is not the operator's, the operator has nothing to do with it.
    """
    if not here(node, DRIVER) and policy_section(node.cluster, "driver").get("enabled") is not True:
        return None
    return _told(node, culprit_for(node, DRIVER), _DRIVER, symptom)


def driver_absent(node: Node, *symptom: Evidence) -> Finding | None:
    """Return why a node without driver has no pod of the operator's driver.

    ``None`` if it has one, if the driver is not the operator's, or if the pods were not read.
    """
    if culprit := without_pod(node, DRIVER):
        return _told(node, culprit, _DRIVER, symptom)
    owned = policy_section(node.cluster, "driver").get("enabled") is True
    if not owned or here(node, DRIVER) or known(lambda: operands_of(node)) is None:
        return None
    why = why_not_selected(node)
    waiting = waiting_evidence(waiting_for(node, DRIVER))
    evidence = (*why.evidence, *waiting, *symptom)
    return Finding.of("driver/no-driver-pod", *evidence, advice=why.advice)


def toolkit_culprit(node: Node, *symptom: Evidence) -> Finding | None:
    """Return the operand because of which the runtime was not set up, ``None`` if all work.

    Or that the operator could not make the toolkit, or that the driver's upgrade keeps it away.
    """
    if culprit := culprit_for(node, TOOLKIT):
        return _told(node, culprit, _RUNTIME, symptom)
    return unreconciled(node, TOOLKIT, *symptom) or paused_culprit(node, TOOLKIT, *symptom)


def plugin_culprit(node: Node, *symptom: Evidence) -> Finding | None:
    """Return the operand because of which no plugin works, unless that is the plugin itself.

    Or that the operator could not make the plugin.
    """
    culprit = culprit_for(node, DEVICE_PLUGIN)
    if culprit is None:
        return unreconciled(node, DEVICE_PLUGIN, *symptom)
    if culprit.role == DEVICE_PLUGIN:
        return None
    return _told(node, culprit, _PLUGIN, symptom)


def paused_culprit(node: Node, role: str, *symptom: Evidence) -> Finding | None:
    """Return the driver's upgrade, which keeps the pods of a role from a node, else ``None``.

    If it is stuck because the new driver's pod fails, that pod.
    """
    labels = paused(node, role)
    if not labels or not upgrades(node):
        return None
    evidence = (*labels, *symptom)
    driver = next(failing(node, DRIVER), None)
    return _told(node, driver, _DRIVER, (*upgrade_evidence(node), *evidence)) or upgrade_of(
        node, *evidence
    )


def toolkit_absent(node: Node) -> Iterator[Evidence]:
    """Say that a node has no pod of the toolkit, so that nothing tells why others wait for it."""
    if known(lambda: operands_of(node)) is not None and not here(node, TOOLKIT):
        yield Evidence(source=f"pods of node {node.name}", text="none is the container toolkit's")


def plugin_by_own_words(node: Node) -> Finding | None:
    """Return why the device plugin fails by itself, if a row of the messages knows its words."""
    culprit = culprit_for(node, DEVICE_PLUGIN)
    if culprit is None or culprit.role != DEVICE_PLUGIN or not culprit.fault.fails:
        return None
    return told_by_own_words(node, culprit)


def plugin_advice(node: Node) -> Steps:
    """Return what a plugin that fails by itself says should be done; no steps if it does not."""
    culprit = culprit_for(node, DEVICE_PLUGIN)
    return advice_of(node, culprit.fault) if culprit and culprit.role == DEVICE_PLUGIN else ()


def ended_plugin(node: Node) -> Fault | None:
    """Return the device plugin's pod that has ended as a whole, if there is no other one."""
    faults = (each.fault for each in failing(node, DEVICE_PLUGIN))
    return next((f for f in faults if f.operand.pod is not None and ended(f.operand.pod)), None)


def offering_culprit(node: Node, *symptom: Evidence) -> Finding | None:
    """Return what fails beside a plugin that runs and offers nothing, ``None`` if nothing does."""
    return _told(node, next(failing(node, *_BESIDE), None), _PLUGIN, symptom)


def sharing_culprit(node: Node, *symptom: Evidence) -> Finding | None:
    """Return the MPS control daemon that fails, without which the plugin withdraws all GPUs.

    Source: cmd/nvidia-device-plugin and internal/plugin/mps.go of k8s-device-plugin. If the daemon
    does not answer, the plugin stops serving and tries again; the kubelet then allocates none.
    """
    return _told(node, next(failing(node, MPS), None), _PLUGIN, symptom)


def dra_culprit(node: Node, *symptom: Evidence) -> Finding | None:
    """Return why a node's DRA driver does not come up, ``None`` if it does or there is none."""
    if all(map(_offers_no_gpus, here(node, DRA))):
        return None
    culprit = culprit_for(node, DRA)
    if culprit and culprit.role == DRA and _offers_no_gpus(culprit.fault.operand):
        return None
    return _told(node, culprit, _PLUGIN, symptom)


def _offers_no_gpus(driver: Operand) -> bool:
    return offers_no_gpus(driver.pod or driver.controller or {})


@check("operands/driver-fails", visit=False)
def driver_fails(node: Node) -> Iterator[Finding]:
    """Find a driver container that fails on a node whose driver is loaded."""
    return _each(node, _DRIVER, DRIVER)


@check("operands/toolkit-fails", visit=False)
def toolkit_fails(node: Node) -> Iterator[Finding]:
    """Find a container toolkit that fails on a node whose runtime is set up."""
    return _each(node, _RUNTIME, TOOLKIT)


@check("operands/others-fail", visit=False)
def others_fail(node: Node) -> Iterator[Finding]:
    """Find the other operands that fail although the node offers its GPUs."""
    return _each(node, _PLUGIN, NFD, OPERATOR, *_BESIDE, *_WATCHING)


def _each(node: Node, causes: Causes, *roles: str) -> Iterator[Finding]:
    for culprit in failing(node, *roles):
        yield told(node, culprit, causes[culprit.role])


def _told(
    node: Node, culprit: Culprit | None, causes: Causes, symptom: tuple[Evidence, ...]
) -> Finding | None:
    return told(node, culprit, causes[culprit.role], *symptom) if culprit else None
