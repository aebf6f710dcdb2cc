"""Values of variables and annotations that a list of pods shows: only a few are kept.

Whoever may list pods everywhere sees every variable and annotation of every tenant, and many hold
passwords. The suite needs only those of the software that serves GPUs, and how others ask for
GPUs. All other values are dropped as soon as a page of the list is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pytest_gpu.evidence import REDACTED, KubeObject
from pytest_gpu.stack.kube.objects import annotations_of, metadata, spec_of
from pytest_gpu.stack.operands.roles import role_of

CONTAINERS = ("initContainers", "containers", "ephemeralContainers")

KEPT = frozenset({"NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES", "CUDA_VISIBLE_DEVICES"})
"""Variables whose values stay in every container: how it asks for GPUs."""

_KEPT_NOTES = re.compile(
    r"(?:[\w.-]{0,200}\.)?(?:nvidia\.com|cdi\.k8s\.io|helm\.sh|kubernetes\.io)/.*", re.DOTALL
)
"""Annotations whose values stay: of Kubernetes, Helm, NVIDIA and CDI."""

_DEVICES = re.compile(r"[\w.-]{1,200}/[\w.-]{1,200}=[\w.:-]{1,200}(?:,[\w./=:-]{1,600}){0,100}")
"""Names of CDI devices; a runtime may read them from annotations with a prefix of its own."""


def without_values(thing: KubeObject) -> KubeObject:
    """Return a pod, or what makes pods, without the values of foreign variables and annotations.

    Names stay. Of the software that serves GPUs everything stays.
    """
    return thing if role_of(thing) else _without_values(thing)


def _without_values(thing: KubeObject) -> KubeObject:
    spec, found = spec_of(thing), _without_notes(thing)
    if template := spec.get("template"):
        return {**found, "spec": {**spec, "template": _without_values(template)}}
    kept = {key: [_container(each) for each in spec[key]] for key in CONTAINERS if spec.get(key)}
    return {**found, "spec": {**spec, **kept}} if kept else found


def _without_notes(thing: KubeObject) -> KubeObject:
    notes = annotations_of(thing)
    if not notes:
        return thing
    kept = {key: value if _is_kept(key, value) else REDACTED for key, value in notes.items()}
    return {**thing, "metadata": {**metadata(thing), "annotations": kept}}


def _is_kept(key: str, value: str) -> bool:
    return bool(_KEPT_NOTES.match(key) or _DEVICES.fullmatch(value))


def _container(container: Mapping[str, Any]) -> Mapping[str, Any]:
    if not container.get("env"):
        return container
    return {**container, "env": [_variable(each) for each in container["env"]]}


def _variable(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    if not entry.get("value") or entry["name"] in KEPT:
        return entry
    return {**entry, "value": REDACTED}
