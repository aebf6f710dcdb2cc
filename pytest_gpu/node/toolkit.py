"""The NVIDIA container toolkit: where it was told to write, and what it installed on the node.

Sources: nvidia-container-toolkit's ``nvidia-ctk-installer`` (environment CONTAINERD_CONFIG,
CONTAINERD_SOCKET, RUNTIME_DROP_IN_CONFIG) and the GPU operator's toolkit DaemonSet.
"""

from __future__ import annotations

import posixpath
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_gpu.evidence import ClusterEvidence, KubeObject, NodeEvidence
from pytest_gpu.kube.objects import optional
from pytest_gpu.node.containerd import DEFAULT_CONFIG, DEFAULT_SOCKET

INSTALL_DIR = "/usr/local/nvidia/toolkit"
DEFAULT_DROP_IN = "/etc/containerd/conf.d/99-nvidia.toml"
CONFIGS = (
    f"{INSTALL_DIR}/.config/nvidia-container-runtime/config.toml",
    "/etc/nvidia-container-runtime/config.toml",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolkitConfig:
    """The runtime's own ``config.toml``; ``error`` says why it is no TOML."""

    path: str
    table: Mapping[str, Any]
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolkit:
    """The toolkit of this cluster and node.

    ``asked`` is the env list of the ClusterPolicy, ``env`` that over the DaemonSet's, with
    container paths translated to the host's; empty means the defaults. ``daemonset`` is ``None``
    where no operator runs the toolkit.
    """

    asked: Mapping[str, str]
    env: Mapping[str, str]
    daemonset: KubeObject | None

    @property
    def config_path(self) -> str:
        """The containerd configuration file the toolkit edits."""
        return self.env.get("CONTAINERD_CONFIG", DEFAULT_CONFIG)

    @property
    def socket(self) -> str:
        """The containerd socket the toolkit signals for a restart."""
        return self.env.get("CONTAINERD_SOCKET", DEFAULT_SOCKET)

    @property
    def drop_in(self) -> str:
        """The drop-in file that toolkits from 1.18 on write."""
        return self.env.get("RUNTIME_DROP_IN_CONFIG", DEFAULT_DROP_IN)


def read(cluster: ClusterEvidence) -> Toolkit:
    """Return what the cluster's objects say of the toolkit."""
    daemonset = find_daemonset(cluster)
    asked = _policy_env(cluster)
    return Toolkit(asked=asked, env={**_daemonset_env(daemonset), **asked}, daemonset=daemonset)


def find_daemonset(cluster: ClusterEvidence) -> KubeObject | None:
    """Return the DaemonSet whose image is NVIDIA's container toolkit."""
    for daemonset in optional(cluster, "daemonsets"):
        if any("container-toolkit" in str(c.get("image", "")) for c in _containers(daemonset)):
            return daemonset
    return None


def _containers(daemonset: KubeObject) -> list[Mapping[str, Any]]:
    return list(daemonset["spec"]["template"]["spec"].get("containers", ()))


def _policy_env(cluster: ClusterEvidence) -> Mapping[str, str]:
    for policy in optional(cluster, "clusterpolicies"):
        toolkit = policy.get("spec", {}).get("toolkit") or {}
        return {entry["name"]: str(entry.get("value", "")) for entry in toolkit.get("env") or ()}
    return {}


def _daemonset_env(daemonset: KubeObject | None) -> Mapping[str, str]:
    """Return the DaemonSet's environment with paths as the host sees them.

    The operator mounts the host's folder at /runtime/…; the host's path is what counts.
    """
    if daemonset is None:
        return {}
    spec = daemonset["spec"]["template"]["spec"]
    volumes = {v["name"]: v["hostPath"]["path"] for v in spec.get("volumes", ()) if "hostPath" in v}
    found = {}
    for container in _containers(daemonset):
        mounts = {
            mount["mountPath"]: volumes[mount["name"]]
            for mount in container.get("volumeMounts", ())
            if mount["name"] in volumes
        }
        for entry in container.get("env", ()):
            found[entry["name"]] = _on_host(str(entry.get("value", "")), mounts)
    return found


def _on_host(value: str, mounts: Mapping[str, str]) -> str:
    for inside in sorted(mounts, key=len, reverse=True):
        if value == inside or value.startswith(inside.rstrip("/") + "/"):
            rest = value[len(inside.rstrip("/")) :].lstrip("/")
            return posixpath.join(mounts[inside], rest) if rest else mounts[inside]
    return value


def own_config(evidence: NodeEvidence) -> ToolkitConfig | None:
    """Return the runtime's own configuration, ``None`` where it runs on its defaults.

    Raises:
        NotInEvidence: nobody looked for it.
    """
    for path in CONFIGS:
        content = evidence.read(path)
        if content is None:
            continue
        try:
            return ToolkitConfig(path=path, table=tomllib.loads(content.decode()))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            return ToolkitConfig(path=path, table={}, error=str(error))
    return None
