"""Where a path of a container lies on the host, by the folders of the host that are mounted."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any

from pytest_gpu.stack.kube.objects import all_containers_of

_SHARED = ("/dev", "/proc", "/sys")
"""Folders of the kernel: a privileged container sees the host's."""


def mounts_of(pod_spec: Mapping[str, Any], container: str) -> Mapping[str, str]:
    """Return the folders of the host that a container sees, by where it sees them."""
    volumes = pod_spec.get("volumes") or ()
    paths = {v["name"]: v["hostPath"]["path"] for v in volumes if v.get("hostPath")}
    found = (each for each in all_containers_of(pod_spec) if each.get("name") == container)
    mounts = [mount for each in found for mount in each.get("volumeMounts") or ()]
    return {
        mount["mountPath"]: posixpath.join(paths[mount["name"]], mount.get("subPath") or "")
        for mount in mounts
        if mount["name"] in paths
    }


def on_host(path: str, mounts: Mapping[str, str]) -> str | None:
    """Return what a container's path is on the host, ``None`` if it is in the container alone."""
    for inside in sorted(mounts, key=len, reverse=True):
        folder = inside.rstrip("/")
        if path == folder or path.startswith(f"{folder}/"):
            found = posixpath.join(mounts[inside], path[len(folder) :].lstrip("/"))
            return found.rstrip("/") or "/"
    return path if path.startswith(tuple(f"{each}/" for each in _SHARED)) else None
