"""The NVIDIA container toolkit of a cluster: what its pods are set to do on each node.

Sources: nvidia-container-toolkit's ``nvidia-ctk-installer`` (its flags and their environment) and
the GPU operator's toolkit DaemonSet (``transformForRuntime``), which gives the container the
host's folders under other paths.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_gpu.evidence import ClusterEvidence, KubeObject
from pytest_gpu.gpu_node import Node, fact
from pytest_gpu.stack.containerd.release import parse_version
from pytest_gpu.stack.kube.objects import containers_of, env_of, optional, spec_of, template_of
from pytest_gpu.stack.kube.placement import fitting
from pytest_gpu.stack.kubelet.listeners import DEFAULT_CONFIG, DEFAULT_SOCKET
from pytest_gpu.stack.operands.host_path import mounts_of, on_host
from pytest_gpu.stack.toolkit.output import DROP_IN_SINCE, Order
from pytest_gpu.stack.toolkit.own_config import OWN_CONFIG
from pytest_gpu.stack.toolkit.release import Version

INSTALL_DIR = "/usr/local/nvidia/toolkit"
DEFAULT_DROP_IN = "/etc/containerd/conf.d/99-nvidia.toml"
CONFIGS = (f"{INSTALL_DIR}/.config/{OWN_CONFIG}", f"/etc/{OWN_CONFIG}")
"""Usual paths of the runtime's own configuration: by the toolkit's container, by a package."""

_IMAGE = "container-toolkit"
_TRUE = {"1", "t", "true"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolkit:
    """The toolkit of this cluster; the properties are the settings that its pods act on.

    ``asked`` is the env list of the ClusterPolicy, ``rendered`` that of the DaemonSet, with the
    container's paths as the host sees them; ``image`` is ``""`` and ``daemonset`` is ``None``
    if no operator runs the toolkit.
    """

    asked: Mapping[str, str]
    rendered: Mapping[str, str]
    image: str
    daemonset: KubeObject | None

    @property
    def env(self) -> Mapping[str, str]:
        """The environment of its container: the DaemonSet's, else what was asked for."""
        return {**self.asked, **self.rendered}

    def first(self, *names: str, default: str = "") -> str:
        """Return the first variable that is set; the installer knows most under several names."""
        return next((self.env[name] for name in names if self.env.get(name)), default)

    @property
    def runtime(self) -> str:
        """The container runtime it configures: containerd, docker, or crio."""
        return self.first("RUNTIME", default="containerd")

    @property
    def config_path(self) -> str:
        """The containerd configuration file the toolkit edits."""
        return self.first("RUNTIME_CONFIG", "CONTAINERD_CONFIG", default=DEFAULT_CONFIG)

    @property
    def socket(self) -> str:
        """The containerd socket the toolkit signals for a restart."""
        return self.first("RUNTIME_SOCKET", "CONTAINERD_SOCKET", default=DEFAULT_SOCKET)

    @property
    def drop_in(self) -> str:
        """The drop-in file that toolkits write from 1.18 on."""
        return self.first("RUNTIME_DROP_IN_CONFIG", default=DEFAULT_DROP_IN)

    @property
    def version(self) -> Version | None:
        """The release in the image's tag, ``None`` if it names none."""
        return parse_version(self.image.rpartition(":")[2])

    @property
    def writes_drop_in(self) -> bool:
        """Whether it writes a drop-in rather than the file itself."""
        return "RUNTIME_DROP_IN_CONFIG" in self.env or (self.version or (0,)) >= DROP_IN_SINCE

    @property
    def handler(self) -> str:
        """The name of the handler that it adds, to which RuntimeClasses must lead."""
        return self.first("NVIDIA_RUNTIME_NAME", "CONTAINERD_RUNTIME_CLASS", default="nvidia")

    @property
    def sets_default(self) -> bool:
        """Whether it makes that handler containerd's default."""
        names = ("NVIDIA_RUNTIME_SET_AS_DEFAULT", "CONTAINERD_SET_AS_DEFAULT")
        return self._is_true(*names, default="true")

    @property
    def signals(self) -> bool:
        """Whether it restarts containerd by a signal to the process that listens on its socket."""
        return self.first("RUNTIME_RESTART_MODE", default="signal") == "signal"

    def _is_true(self, *names: str, default: str = "") -> bool:
        return self.first(*names, default=default).lower() in _TRUE

    def order(self, installed: Version | None = None) -> Order | None:
        """Return what its next start does, ``None`` if that is not known.

        ``installed`` is the release found on the node, for an image whose tag names none.
        """
        version = self.version or installed
        if version is None or self.runtime != "containerd":
            return None
        root = self.first("TOOLKIT_INSTALL_DIR", "ROOT", default=posixpath.dirname(INSTALL_DIR))
        binary = f"{root}/toolkit/nvidia-container-runtime"
        name = "nvidia" if self.handler in {"nvidia-cdi", "nvidia-legacy"} else self.handler
        modes = {f"nvidia-{mode}": f"{binary}.{mode}" for mode in ("cdi", "legacy")}
        return Order(
            config=self.config_path,
            drop_in=self.drop_in,
            handlers={name: binary, **modes},
            default=self.handler if self.sets_default else None,
            cdi=self._is_true("RUNTIME_ENABLE_CDI", "CDI_ENABLED", "ENABLE_CDI"),
            version=version,
        )


def read(cluster: ClusterEvidence, node: str) -> Toolkit:
    """Return what the cluster's objects say about the toolkit that is meant for a node."""
    daemonset = _daemonset(fitting(cluster, node))
    return Toolkit(
        asked=_policy_env(cluster),
        rendered=_daemonset_env(daemonset),
        image=next((str(c.get("image")) for c in _containers(daemonset) if _is_toolkit(c)), ""),
        daemonset=daemonset,
    )


def _daemonset(daemonsets: Sequence[KubeObject]) -> KubeObject | None:
    """Return the DaemonSet whose image is NVIDIA's container toolkit."""
    for daemonset in daemonsets:
        if any(_is_toolkit(container) for container in _containers(daemonset)):
            return daemonset
    return None


def _is_toolkit(container: Mapping[str, Any]) -> bool:
    return _IMAGE in str(container.get("image", ""))


def _containers(daemonset: KubeObject | None) -> Sequence[Mapping[str, Any]]:
    return containers_of(template_of(daemonset)) if daemonset else ()


def _policy_env(cluster: ClusterEvidence) -> Mapping[str, str]:
    for policy in optional(cluster, "clusterpolicies"):
        return env_of(spec_of(policy).get("toolkit") or {})
    return {}


def _daemonset_env(daemonset: KubeObject | None) -> Mapping[str, str]:
    """Return the environment of the toolkit's container with paths as the host sees them.

    The operator mounts the host's folder at /runtime/…; the host's path is what counts.
    """
    if daemonset is None:
        return {}
    found: dict[str, str] = {}
    for container in _containers(daemonset):
        mounts = mounts_of(template_of(daemonset), str(container.get("name")))
        found |= {
            name: on_host(value, mounts) or value for name, value in env_of(container).items()
        }
    return found


@fact
def toolkit_of(node: Node) -> Toolkit:
    """Return the settings of the NVIDIA container toolkit for this node."""
    return read(node.cluster, node.name)
