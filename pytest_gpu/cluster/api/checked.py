"""Objects as the API server gave them, checked for the shape that Kubernetes documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_gpu.cluster.api.answers import items_of, part, strange
from pytest_gpu.cluster.recording import kube_shapes
from pytest_gpu.errors import RecordingError
from pytest_gpu.evidence import KubeObject


def checked_items(resource: str, listed: Mapping[str, Any]) -> list[KubeObject]:
    """Return the objects of a list; each has a name.

    Raises:
        ApiError: it is not a list of objects, or one has a part of the wrong shape.
    """
    return [checked(resource, each) for each in items_of(listed)]


def checked(resource: str, thing: Mapping[str, Any]) -> KubeObject:
    """Return an object whose parts have the right shape.

    Raises:
        ApiError: one has not.
    """
    if not isinstance(part(thing, "metadata").get("name"), str):
        raise strange(f"one of the {resource} has no name")
    try:
        kube_shapes.check(resource, thing, f"the API server's list of {resource}")
    except RecordingError as error:
        raise strange(str(error)) from None
    return thing
