"""Values of environment variables that a list of pods shows: only a few are kept.

Whoever may list pods everywhere sees every variable of every tenant, and many hold passwords. The
suite needs only the variables of the software that serves GPUs. The values of all others are
dropped as soon as a page of the list is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pytest_gpu.evidence import REDACTED, KubeObject
from pytest_gpu.stack.kube.device_plugin import is_plugin
from pytest_gpu.stack.kube.objects import spec_of

CONTAINERS = ("initContainers", "containers", "ephemeralContainers")

KEPT = frozenset({"NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES", "CUDA_VISIBLE_DEVICES"})
"""Variables whose values stay in every container: how it asks for GPUs."""

_STACK = re.compile(
    r"container-toolkit|device-plugin|gpu-operator|gpu-feature-discovery|dcgm|mig-manager"
    r"|driver-manager|dra-driver|nvidia/driver"
)
"""Images of the software that serves GPUs, in NVIDIA's registry or a mirror of it."""


def without_values(thing: KubeObject) -> KubeObject:
    """Return a pod, or what pods are made from, without the values of foreign variables.

    Names stay.
    """
    spec = spec_of(thing)
    if template := spec.get("template"):
        return {**thing, "spec": {**spec, "template": without_values(template)}}
    if is_plugin(spec):
        return thing
    kept = {key: [_container(each) for each in spec[key]] for key in CONTAINERS if spec.get(key)}
    return {**thing, "spec": {**spec, **kept}} if kept else thing


def _container(container: Mapping[str, Any]) -> Mapping[str, Any]:
    if not container.get("env") or _STACK.search(str(container.get("image"))):
        return container
    return {**container, "env": [_variable(each) for each in container["env"]]}


def _variable(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    if not entry.get("value") or entry["name"] in KEPT:
        return entry
    return {**entry, "value": REDACTED}
