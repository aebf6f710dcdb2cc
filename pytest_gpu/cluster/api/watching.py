"""Pods of a collection as they change: a list, then a watch, until a deadline."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_gpu.cluster.api.answers import ApiError, part
from pytest_gpu.cluster.api.checked import checked, checked_items
from pytest_gpu.cluster.api.client import KubeClient
from pytest_gpu.evidence import KubeObject
from pytest_gpu.stack.kube.objects import name_of

WATCH_TIME = 5
"""Seconds of one watch; after each, the caller can decide whether to wait any longer."""


def states(
    client: KubeClient, path: str, selector: str, deadline: float
) -> Iterator[Mapping[str, KubeObject]]:
    """Yield the pods of a collection by name: now, after each change, and every few seconds.

    Ends at ``deadline`` (of time.monotonic). Without the right to watch, it lists every second.

    Raises:
        ApiError: the API server refused to list, or cannot be reached.
    """
    while True:
        listed = client.get(path, labelSelector=selector)
        known = {name_of(each): each for each in checked_items("pods", listed)}
        yield known
        left = deadline - time.monotonic()
        if left <= 0:
            return
        seconds = max(1, min(WATCH_TIME, int(left)))
        version = str(part(listed, "metadata").get("resourceVersion") or "")
        for event in _events(client, path, selector, version, seconds):
            known.pop(name_of(event["object"]), None)
            if event["type"] != "DELETED":
                known[name_of(event["object"])] = checked("pods", event["object"])
            yield known
            if time.monotonic() >= deadline:
                return


def _events(
    client: KubeClient, path: str, selector: str, version: str, seconds: int
) -> Iterator[Mapping[str, Any]]:
    asked: dict[str, str | int | bool] = {"labelSelector": selector, "resourceVersion": version}
    try:
        for event in client.watch(path, seconds, **asked):
            if event["type"] == "ERROR":  # the version is too old: list again
                return
            yield event
    except ApiError as error:
        # A broken connection is no reason to give up before the deadline; without the right to
        # watch, list again.
        if error.status not in (0, 403, 410):
            raise
        time.sleep(1.0)
