"""Where an operand is changed for good: at what made it, which would overwrite any other change."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pytest_gpu.evidence import KubeObject
from pytest_gpu.stack.kube.objects import name_of, namespace_of, spec_of
from pytest_gpu.stack.kube.operator import HelmRelease, helm_release
from pytest_gpu.stack.operands import trouble
from pytest_gpu.stack.operands.fault import Fault
from pytest_gpu.stack.operands.found import named
from pytest_gpu.stack.operands.named_in import missing_in
from pytest_gpu.stack.operands.operands import Operand
from pytest_gpu.stack.operands.roles import (
    DCGM,
    DEVICE_PLUGIN,
    DRIVER,
    GFD,
    MIG_MANAGER,
    MPS,
    TOOLKIT,
    VALIDATOR,
)
from pytest_gpu.stack.operands.waits import is_validation
from pytest_gpu.steps import Step, Steps, typed
from pytest_gpu.text.shell import command

_SECTIONS: Mapping[str, str] = {
    DRIVER: "driver",
    TOOLKIT: "toolkit",
    DEVICE_PLUGIN: "devicePlugin",
    MPS: "devicePlugin",
    GFD: "gfd",
    DCGM: "dcgmExporter",
    MIG_MANAGER: "migManager",
    VALIDATOR: "validator",
}
"""The part of a ClusterPolicy that an operand is made from."""

# gpu-operator, controllers/object_controls.go, handleDevicePluginConfig: the same file for both.
_CONFIGURED: Mapping[str, str] = {
    DEVICE_PLUGIN: "devicePlugin",
    GFD: "devicePlugin",
    MPS: "devicePlugin",
    MIG_MANAGER: "migManager",
    DCGM: "dcgmExporter",
}
"""The part of a ClusterPolicy whose ConfigMap an operand reads."""

# k8s-device-plugin, api/config/v1/config.go; an error in a file is not one in the environment.
_CONFIG_FILE = re.compile(r"config file\b", re.IGNORECASE)

_PRECOMPILED = "usePrecompiled"
"""Modules that are built before, for a kernel of the distribution, and signed with its key."""

_KEYS: Mapping[str, str] = {
    trouble.IMAGE: "version",
    trouble.IMAGE_ABSENT: "version",
    trouble.IMAGE_REFUSED: "imagePullSecrets",
    trouble.CONFIGURATION: "env",
    trouble.RESOURCES: "resources",
    trouble.KERNEL_PACKAGES: "repoConfig",
    trouble.PACKAGES: "repoConfig",
    trouble.SIGNATURE: _PRECOMPILED,
    trouble.COMPILER: _PRECOMPILED,
}
"""What is changed there, for the kinds of trouble that a change of the operand ends."""

_TOLERATIONS = "tolerations"
_STAGES = frozenset({"driver", "toolkit", "cuda", "plugin"})
_OF_DRIVER = frozenset({"repoConfig", _PRECOMPILED})
"""Keys of the driver in the operator's objects; a controller that others made has none of them."""


def change_steps(fault: Fault, kind: str) -> Steps:
    """Return the steps that change an operand where the change lasts; none if no change helps."""
    key = _TOLERATIONS if kind == trouble.TAINT else _KEYS.get(kind)
    if kind == trouble.CONFIGURATION and _CONFIG_FILE.search(fault.said):
        return tuple(_by_config_map(fault))
    if key is None:
        return tuple(_by_name(fault))
    owner = fault.operand.owner
    if key in _OF_DRIVER and not _settles(fault, key):
        return ()
    if owner is not None and owner.get("kind") == "ClusterPolicy":
        return tuple(_by_policy(owner, fault, key))
    if owner is not None:
        return tuple(_by_edit(owner, fault.operand, key))
    controller = fault.operand.controller
    return tuple(_by_controller(controller, fault.operand, key)) if controller else ()


def place_steps(fault: Fault, path: str) -> Steps:
    """Return the steps that change one setting of an operand where it is made.

    ``path`` is that of the ClusterPolicy, such as ``driver.manager.env``.
    """
    owner, controller = fault.operand.owner, fault.operand.controller
    if owner is not None and owner.get("kind") == "ClusterPolicy":
        return tuple(_at_policy(owner, path))
    if owner is not None:
        return tuple(_by_edit(owner, fault.operand, path.partition(".")[2]))
    key = path.rpartition(".")[2]
    return tuple(_by_controller(controller, fault.operand, key)) if controller else ()


def _at_policy(policy: KubeObject, path: str) -> Iterator[Step]:
    if release := helm_release(policy):
        yield from _by_values(release, f"It comes from {path}", path)
        return
    yield Step("words", f"It comes from {path} of the ClusterPolicy. Change it there:")
    yield typed("cluster", command("kubectl edit clusterpolicy {name}", name=name_of(policy)))


def _by_config_map(fault: Fault) -> Iterator[Step]:
    """Yield the ConfigMap from which the operator gives an operand the file that it refuses."""
    policy, section = fault.operand.owner, _CONFIGURED.get(fault.operand.role)
    if policy is None or policy.get("kind") != "ClusterPolicy" or section is None:
        return
    config = (spec_of(policy).get(section) or {}).get("config") or {}
    if name := config.get("name"):
        text = (
            f"The operator gives it the ConfigMap that {section}.config.name of the ClusterPolicy"
        )
        yield Step("words", f"{text} names. Correct the file there:")
        namespace = fault.operand.namespace
        line = command("kubectl edit configmap {name} -n {ns}", name=name, ns=namespace)
        yield typed("cluster", line)


def _by_name(fault: Fault) -> Iterator[Step]:
    """Yield where the operator is told the name of a ConfigMap that an operand lacks."""
    policy, missing = fault.operand.owner, missing_in(fault.said)
    if policy is None or policy.get("kind") != "ClusterPolicy" or missing is None:
        return
    for section in sorted({*_SECTIONS.values()}):
        config = (spec_of(policy).get(section) or {}).get("config") or {}
        if missing == ("configmap", config.get("name")):
            path = f"{section}.config.name"
            yield Step("words", f"The operator was told that name in {path} of the ClusterPolicy.")
            if release := helm_release(policy):
                yield typed("helm", release.upgrade(f"{path}=NAME"))
            else:
                line = command("kubectl edit clusterpolicy {name}", name=name_of(policy))
                yield typed("cluster", line)


def _settles(fault: Fault, key: str) -> bool:
    """Say whether the object from which the driver is made has a key, and not yet switched on."""
    owner = fault.operand.owner
    if owner is None or fault.operand.role != DRIVER:
        return False
    spec = spec_of(owner)
    section = spec.get("driver") or {} if owner.get("kind") == "ClusterPolicy" else spec
    return section.get(key) is not True


def _by_policy(policy: KubeObject, fault: Fault, key: str) -> Iterator[Step]:
    path = f"{_section(fault, key)}.{key}"
    if release := helm_release(policy):
        start = f"The operator makes {fault.operand.name} from {path}"
        yield from _by_values(release, start, path)
        return
    yield Step("words", f"The operator makes it from {path} of the ClusterPolicy. Change it there:")
    yield typed("cluster", command("kubectl edit clusterpolicy {name}", name=name_of(policy)))


def _section(fault: Fault, key: str) -> str:
    """Return the part of a ClusterPolicy from which the operator makes what fails."""
    if key == _TOLERATIONS:
        return "daemonsets"
    if fault.container is None or not is_validation(fault.container):
        return _SECTIONS.get(fault.operand.role, "operator")
    # The validator's image is all operands' init container, with settings for each stage.
    stage = fault.container.name.removesuffix("-validation")
    return f"validator.{stage}" if key == "env" and stage in _STAGES else "validator"


def _by_values(release: HelmRelease, start: str, path: str) -> Iterator[Step]:
    where = f"the values of the Helm release {release.name}"
    if path.endswith(".version"):
        yield Step("words", f"{start} in {where}. If the tag is wrong, set another one:")
        yield typed("helm", release.upgrade(f"{path}=VERSION"))
        return
    if path.endswith(f".{_PRECOMPILED}"):
        yield Step(
            "words", f"{start} in {where}. Precompiled modules are built and signed beforehand:"
        )
        yield typed("helm", release.upgrade(f"{path}=true"))
        return
    yield Step(
        "words",
        f"{start} in {where}. Put the whole list or map into a file, since Helm replaces lists:",
    )
    yield typed("helm", command("{line} -f values.yaml", line=release.upgrade()))


def _by_edit(owner: KubeObject, operand: Operand, key: str) -> Iterator[Step]:
    kind = str(owner.get("kind") or "").lower()
    yield Step("words", f"{operand.name} is made from {key} of {kind} {name_of(owner)}:")
    yield typed("cluster", command("kubectl edit {kind} {name}", kind=kind, name=name_of(owner)))


def _by_controller(controller: KubeObject, operand: Operand, key: str) -> Iterator[Step]:
    kind = str(controller.get("kind") or "DaemonSet").lower()
    what = "image" if key == "version" else key
    if release := helm_release(controller, chart=""):
        text = f"Helm's release {release.name} writes {named(controller)}: set its {what} there."
        yield Step("words", f"{text} Its values now:")
        yield typed(
            "helm",
            command("helm get values {name} -n {ns}", name=release.name, ns=release.namespace),
        )
        return
    yield Step("words", f"Change its {what} in {named(controller)}:")
    yield typed(
        "cluster",
        command(
            "kubectl edit {kind} {name} -n {namespace}",
            kind=kind,
            name=name_of(controller),
            namespace=namespace_of(controller),
        ),
    )
