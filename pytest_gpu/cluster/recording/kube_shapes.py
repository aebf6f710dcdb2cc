"""The shape of the parts of Kubernetes objects that we read: what is a mapping, what a list.

The API server never answers with another shape; a person who writes or edits a recording may.
Every part may be missing or empty (``null``), as the API itself leaves out what is empty.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pytest_gpu.cluster.recording import kube_names, shapes
from pytest_gpu.errors import RecordingError


def _texts(value: Any, where: str) -> None:
    for key, text in shapes.mapping(value, where).items():
        shapes.text(text, f"{where}.{key}")


def _amounts(value: Any, where: str) -> None:
    """Check resources: those with a slash in their name are counted in whole numbers (GPUs)."""
    for key, amount in shapes.mapping(value, where).items():
        kube_names.key(key, where)
        if "/" in key and not re.fullmatch(r"[0-9]{1,15}[kMG]?", str(amount)):
            raise RecordingError(f"{where}.{key}: is {amount!r}, must be a whole number")


def _handler(value: Any, where: str) -> None:
    """Check the handler of a RuntimeClass, which every one has."""
    kube_names.short_name(value, where)


_REQUIRED = frozenset({shapes.text, _handler})

_ENV: Any = {"env": [{"name": shapes.text}]}
_CONTAINER: Any = {
    **_ENV,
    "command": shapes.items,
    "args": shapes.items,
    "name": kube_names.short_name,
    "volumeMounts": [{"name": shapes.text, "mountPath": shapes.text}],
    "resources": {"limits": _amounts, "requests": _amounts},
}
_TERMS: Any = {"nodeSelectorTerms": [{"matchFields": [{}]}]}
_POD_SPEC: Any = {
    "containers": [_CONTAINER],
    "initContainers": [_CONTAINER],
    "ephemeralContainers": [_ENV],
    "volumes": [{"name": shapes.text, "hostPath": {}, "configMap": {}}],
    "tolerations": [{}],
    "nodeSelector": kube_names.labels,
    "nodeName": kube_names.object_name,
    "runtimeClassName": kube_names.object_name,
    "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": _TERMS}},
    "resourceClaims": [{}],
}
_DEVICES: Any = {"requests": [{"exactly": {}, "firstAvailable": [{}]}]}
_ENDED: Any = {"exitCode": shapes.integer}
_PHASES: Any = {"waiting": {}, "running": {}, "terminated": _ENDED}
_CONTAINER_STATUS: Any = {
    "state": _PHASES,
    "lastState": {"terminated": _ENDED},
    "restartCount": shapes.integer,
}
_WORKLOAD: Any = {
    "spec": {
        "replicas": shapes.integer,
        "parallelism": shapes.integer,
        "completions": shapes.integer,
        "selector": {"matchLabels": kube_names.labels},
        "template": {"metadata": {"labels": kube_names.labels}, "spec": _POD_SPEC},
    },
    "status": {
        "conditions": [{}],
        "replicas": shapes.integer,
        "active": shapes.integer,
        "succeeded": shapes.integer,
        "desiredNumberScheduled": shapes.integer,
        "currentNumberScheduled": shapes.integer,
    },
}
_METADATA: Any = {
    "metadata": {
        "name": kube_names.object_name,
        "namespace": kube_names.short_name,
        "labels": kube_names.labels,
        "annotations": _texts,
        "ownerReferences": [{}],
    }
}

_OF_EVENT: Any = {**_METADATA["metadata"], "name": shapes.text}
"""The API takes nearly any name of an event, and so do we: no command has one."""

SHAPES: Mapping[str, Any] = {
    "nodes": {
        "spec": {"taints": [{}]},
        "status": {
            "capacity": _amounts,
            "allocatable": _amounts,
            "addresses": [{}],
            "conditions": [{}],
            "nodeInfo": {},
        },
    },
    "pods": {
        "spec": _POD_SPEC,
        "status": {
            "conditions": [{}],
            "containerStatuses": [_CONTAINER_STATUS],
            "initContainerStatuses": [_CONTAINER_STATUS],
            "resourceClaimStatuses": [{}],
        },
    },
    "daemonsets": _WORKLOAD,
    "deployments": _WORKLOAD,
    "replicasets": _WORKLOAD,
    "statefulsets": _WORKLOAD,
    "jobs": _WORKLOAD,
    "clusterpolicies": {
        "spec": {"toolkit": _ENV, "devicePlugin": {"config": {}}, "cdi": {}, "mig": {}},
        "status": {"conditions": [{}]},
    },
    "nvidiadrivers": {"status": {"conditions": [{}]}},
    "resourceclaims": {
        "spec": {"devices": _DEVICES},
        "status": {"conditions": [{}], "allocation": {}},
    },
    "configmaps": {"data": {}},
    "runtimeclasses": {"handler": _handler},
    "events": {
        "metadata": _OF_EVENT,
        "involvedObject": {},
        "regarding": {},
        "count": shapes.integer,
        "series": {"count": shapes.integer},
    },
    "resourceslices": {
        "spec": {"devices": [{"attributes": {}, "basic": {"attributes": {}}}]},
    },
}
"""By resource: ``{}`` is a mapping, ``[x]`` a list of ``x``, a function is called to check.

What is not named is not checked. Text must be present; everything else may be missing.
"""


def check(resource: str, thing: Mapping[str, Any], where: str) -> None:
    """Check one object.

    Raises:
        RecordingError: a part has a shape that the API never gives it; a one-line message.
    """
    _check(thing, {**_METADATA, **SHAPES.get(resource, {})}, where)


def _check(value: Any, shape: Any, where: str) -> None:
    if callable(shape):
        if value is not None or shape in _REQUIRED:
            shape(value, where)
        return
    if value is None:
        return
    if isinstance(shape, list):
        for at, item in enumerate(shapes.items(value, where)):
            _check(shapes.mapping(item, f"{where}[{at}]"), shape[0], f"{where}[{at}]")
        return
    found = shapes.mapping(value, where)
    for key, part in shape.items():
        _check(found.get(key), part, f"{where}.{key}")
