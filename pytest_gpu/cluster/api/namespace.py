"""The namespace of a run: the fixed one of the shipped manifest, or one created for this run."""

from __future__ import annotations

import time
from typing import Any

from pytest_gpu.cluster.api.answers import ApiError
from pytest_gpu.cluster.api.client import KubeClient
from pytest_gpu.cluster.api.reviews import ask
from pytest_gpu.cluster.api.rights import Right

NAMESPACES = "/api/v1/namespaces"

POD_SECURITY = {
    f"pod-security.kubernetes.io/{mode}": "privileged" for mode in ("enforce", "audit", "warn")
}
"""Labels that allow privileged pods where pod security admission is on."""

ACCOUNT_TIME = 10.0
"""Seconds to wait for the service account ``default``: without it no pod can be created."""

_STEP = 0.2


def is_missing(client: KubeClient, name: str) -> bool:
    """Return whether a namespace is proven not to exist.

    Raises:
        ApiError: the API server cannot be reached, or does not know this user.
    """
    try:
        return client.find(f"{NAMESPACES}/{name}") is None
    except ApiError as error:
        if error.status == 403:
            return False
        raise


def may_make(client: KubeClient, name: str) -> bool:
    """Return whether this user may create and delete namespaces; ``name`` is one that is missing.

    Raises:
        ApiError: the API server cannot be reached.
    """
    verbs = ("create", "delete")
    wanted = [Right(verb=verb, resource="namespaces") for verb in verbs]
    return not ask(client, name, wanted).missing


def make(client: KubeClient, name: str, head: dict[str, Any]) -> None:
    """Create a namespace and wait until pods can be created in it.

    Args:
        client: the API server.
        name: its name.
        head: its metadata; labels for pod security are added.

    Raises:
        ApiError: the API server refused it.
    """
    labels = {**POD_SECURITY, **head["labels"]}
    metadata = {"name": name, "labels": labels, "annotations": head["annotations"]}
    client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    deadline = time.monotonic() + ACCOUNT_TIME
    while time.monotonic() < deadline:
        if client.find(f"{NAMESPACES}/{name}/serviceaccounts/default") is not None:
            return
        time.sleep(_STEP)


def remove(client: KubeClient, name: str, within: float) -> bool:
    """Delete a namespace; return whether it is gone within ``within`` seconds.

    Raises:
        ApiError: the API server refused it.
    """
    deadline = time.monotonic() + within
    client.delete(f"{NAMESPACES}/{name}")
    while not is_missing(client, name):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_STEP * 2)
    return True
