"""The finding of an operand whose own words a row of the messages knows."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.gpu_node import Node
from pytest_gpu.message_file import Where
from pytest_gpu.messages import Understood, understood
from pytest_gpu.stack.kube.objects import spec_of
from pytest_gpu.stack.kube.operator import change_values
from pytest_gpu.stack.kube.runtimeclass import class_of
from pytest_gpu.stack.operands.change import place_steps
from pytest_gpu.stack.operands.fault import NOT_STARTED, Fault
from pytest_gpu.stack.operands.logs import is_logged
from pytest_gpu.stack.operands.operands import Operand
from pytest_gpu.stack.operands.roles import DRIVER, NFD, OPERATOR, TOOLKIT
from pytest_gpu.steps import Steps, Value

_VALUES: Mapping[str, tuple[str, str | bool]] = {
    "driver/compiler-too-old": ("driver.usePrecompiled", True),
    "driver/vgpu-driver-does-not-fit": ("driver.version", "VERSION"),
    "runtime/toolkit-folder-read-only": ("toolkit.installDir", "FOLDER"),
    "runtime/toolkit-config-folder-read-only": ("toolkit.enabled", False),
    "runtime/nri-not-offered": ("cdi.nriPluginEnabled", False),
    "device-plugin/mig-not-uniform": ("mig.strategy", "mixed"),
    "device-plugin/mps-with-mixed-mig": ("mig.strategy", "single"),
    "device-plugin/dcgm-engine-not-reached": ("dcgm.enabled", True),
}
"""The value of the ClusterPolicy that ends a trouble; words in capitals are the reader's."""

_PLACES: Mapping[str, str] = {
    "driver/drain-refused": "driver.manager.env",
    "driver/device-links-not-made": "validator.driver.env",
    "device-plugin/dra-driver-root": "nvidiaDriverRoot",
    "device-plugin/dcgm-metrics-refused": "dcgmExporter.config",
    "device-plugin/dcgm-profiling-fails": "dcgmExporter.config",
}
"""The list or map in which a trouble is ended."""


_WITHOUT_DRIVER = "device-plugin/operand-without-driver"
_ON_THE_HOST = frozenset({DRIVER, TOOLKIT, OPERATOR, NFD})
"""Roles whose containers are not given the driver by the NVIDIA runtime."""


def by_own_words(
    node: Node, fault: Fault, evidence: tuple[Evidence, ...], values: Mapping[str, str]
) -> Finding | None:
    """Return the finding of an operand by the first of its words that a row knows.

    ``evidence`` comes after that; ``values`` are those of the operand.
    """
    for said in fault.words:
        if meaning := _meaning(node, fault, said):
            first = (said, *(each for each in evidence if each is not said))
            own: dict[str, Value] = {
                **values,
                "handler": _handler(fault.operand),
                "scope": f"{values['object']} cannot start",
                "settings": _settings(node, fault, meaning.cause),
            }
            return Finding.of(meaning.cause, *first, *meaning.evidence, **{**own, **meaning.values})
    return None


def _meaning(node: Node, fault: Fault, said: Evidence) -> Understood | None:
    """Return what a message means, ``None`` if no row knows it.

    With the words in which a node refuses to start a container it would refuse any other pod's.
    """
    refused = fault.reason in NOT_STARTED and not is_logged(said)
    places = (Where.OPERAND, Where.POD, Where.ANY_POD) if refused else (Where.OPERAND,)
    found = (understood(node, said.text, where) for where in places)
    return next((each for each in found if each and _fits(fault, each.cause)), None)


def _fits(fault: Fault, cause: str) -> bool:
    return cause != _WITHOUT_DRIVER or fault.operand.role not in _ON_THE_HOST


def _handler(operand: Operand) -> str:
    """Return the RuntimeClass of a pod; a pod that names none has the default handler."""
    return class_of(spec_of(operand.pod or {})) or "default"


def _settings(node: Node, fault: Fault, cause: str) -> Steps:
    """Return the steps that change what a cause asks for, where the operand is made."""
    if place := _PLACES.get(cause):
        return place_steps(fault, place)
    if cause not in _VALUES:
        return ()
    path, value = _VALUES[cause]
    owner = fault.operand.owner
    if owner is not None and owner.get("kind") == "ClusterPolicy":
        return change_values(node.cluster, path, value)
    return place_steps(fault, path)
