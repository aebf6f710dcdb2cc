"""Logs of NVIDIA's own pods on a node, in the kubelet's folder: needs no right to read logs.

Source: the kubelet's ``/var/log/pods/NAMESPACE_NAME_UID/CONTAINER/RESTARTS.log``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pytest_gpu.evidence import ClusterEvidence, KubeObject
from pytest_gpu.stack.kube.objects import metadata, namespace_of, optional, spec_of, status_of
from pytest_gpu.stack.kube.pods import is_nvidia

LOG_LIMIT = 1 << 16
"""Bytes of the end of one log."""

UNIT_LOG_LIMIT = 1 << 14
"""Bytes of the end of a daemon's own log file."""

MAX_LOGS = 40

_FOLDER = "/var/log/pods"


def log_paths(cluster: ClusterEvidence, node: str) -> tuple[str, ...]:
    """Return the logs of the pods that make GPUs work on a node: operator, plugin, toolkit."""
    found = [
        path
        for pod in optional(cluster, "pods")
        if spec_of(pod).get("nodeName") == node and is_nvidia(pod)
        for path in _of_pod(pod)
    ]
    return tuple(found[:MAX_LOGS])


def _of_pod(pod: KubeObject) -> Iterator[str]:
    about = metadata(pod)
    # A mirror pod's folder has the hash of its file instead.
    uid = (about.get("annotations") or {}).get("kubernetes.io/config.hash") or about.get("uid")
    folder = f"{_FOLDER}/{namespace_of(pod)}_{about.get('name')}_{uid}"
    statuses = status_of(pod).get("containerStatuses") or ()
    for status in statuses if uid else ():
        for number in _numbers(status):
            yield f"{folder}/{status.get('name')}/{number}.log"


def _numbers(status: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the log numbers of a running container and of the one before it."""
    restarts = int(status.get("restartCount") or 0)
    return (restarts - 1, restarts) if restarts else (0,)
