"""The NVIDIA container toolkit: where it was told to write, and what it installed on the node.

Sources: nvidia-container-toolkit's ``nvidia-ctk-installer`` (environment CONTAINERD_CONFIG,
CONTAINERD_SOCKET, RUNTIME_DROP_IN_CONFIG) and the GPU operator's toolkit DaemonSet.
"""

from __future__ import annotations

import posixpath
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_gpu.evidence import ClusterEvidence, KubeObject, NodeEvidence
from pytest_gpu.kube.objects import containers_of, env_of, optional, spec_of, template_of
from pytest_gpu.node.listeners import DEFAULT_CONFIG, DEFAULT_SOCKET

INSTALL_DIR = "/usr/local/nvidia/toolkit"
DEFAULT_DROP_IN = "/etc/containerd/conf.d/99-nvidia.toml"
OWN_CONFIG = "nvidia-container-runtime/config.toml"
"""The runtime's own configuration, below /etc or what XDG_CONFIG_HOME says."""
CONFIGS = (f"{INSTALL_DIR}/.config/{OWN_CONFIG}", f"/etc/{OWN_CONFIG}")
"""Where it is mostly: that of the toolkit's container, and that of a package."""
_SYSTEM = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin", "")


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


def _containers(daemonset: KubeObject) -> Sequence[Mapping[str, Any]]:
    return containers_of(template_of(daemonset))


def _policy_env(cluster: ClusterEvidence) -> Mapping[str, str]:
    for policy in optional(cluster, "clusterpolicies"):
        return env_of(spec_of(policy).get("toolkit") or {})
    return {}


def _daemonset_env(daemonset: KubeObject | None) -> Mapping[str, str]:
    """Return the DaemonSet's environment with paths as the host sees them.

    The operator mounts the host's folder at /runtime/…; the host's path is what counts.
    """
    if daemonset is None:
        return {}
    volumes = template_of(daemonset).get("volumes") or ()
    paths = {v["name"]: v["hostPath"]["path"] for v in volumes if v.get("hostPath")}
    found: dict[str, str] = {}
    for container in _containers(daemonset):
        mounts = {
            mount["mountPath"]: paths[mount["name"]]
            for mount in container.get("volumeMounts") or ()
            if mount["name"] in paths
        }
        found |= {name: _on_host(value, mounts) for name, value in env_of(container).items()}
    return found


def _on_host(value: str, mounts: Mapping[str, str]) -> str:
    for inside in sorted(mounts, key=len, reverse=True):
        if value == inside or value.startswith(inside.rstrip("/") + "/"):
            rest = value[len(inside.rstrip("/")) :].lstrip("/")
            return posixpath.join(mounts[inside], rest) if rest else mounts[inside]
    return value


def own_config(evidence: NodeEvidence, binary: str) -> ToolkitConfig | None:
    """Return the own configuration of an NVIDIA runtime, ``None`` where it runs on its defaults.

    The toolkit's container wraps the programs it installs, so that they look beside themselves;
    those of a package look in /etc.

    Raises:
        NotInEvidence: nobody looked for it.
    """
    folder = posixpath.dirname(binary)
    path = f"/etc/{OWN_CONFIG}" if folder in _SYSTEM else f"{folder}/.config/{OWN_CONFIG}"
    content = evidence.read(path)
    if content is None:
        return None
    try:
        return ToolkitConfig(path=path, table=tomllib.loads(content.decode()))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return ToolkitConfig(path=path, table={}, error=str(error))
