"""What advertises the GPUs of a node: NVIDIA's device plugin, a cloud's own plugin, or DRA.

A plugin is recognised by its mount of the kubelet's folder for device plugins and by the program
that it runs, never by the name of a DaemonSet or Helm release.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_gpu.causes import Evidence
from pytest_gpu.evidence import ClusterEvidence, KubeObject
from pytest_gpu.gpu_node import cluster_fact
from pytest_gpu.stack.kube.nodes import DRA_DRIVER, RESOURCE_PREFIX, quantity
from pytest_gpu.stack.kube.objects import (
    containers_of,
    env_of,
    name_of,
    optional,
    path_of,
    spec_of,
    status_of,
    template_of,
)
from pytest_gpu.stack.kube.operator import policy_section
from pytest_gpu.stack.kube.placement import fitting
from pytest_gpu.stack.kube.pod_state import is_running
from pytest_gpu.stack.kube.pods import pods_on

_PROGRAM = "nvidia-device-plugin"
# These also mount the kubelet's folder, but do not advertise GPUs for containers.
_NOT_GPUS = re.compile(r"kubevirt|sriov|rdma")
_OTHER_COUNTING = re.compile(r"hami|vgpu|4pd|volcano")
_SWITCHES = frozenset({"--pass-device-specs"})
_GPU_RESOURCE = re.compile(r"nvidia\.com/(gpu(\.shared)?|mig-[\w.]+)")


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting: its variable, its flag, and the value of the plugin's chart, ``""`` if none."""

    variable: str
    flag: str
    chart: str = ""


LIST_STRATEGY = Setting("DEVICE_LIST_STRATEGY", "--device-list-strategy", "deviceListStrategy")
ID_STRATEGY = Setting("DEVICE_ID_STRATEGY", "--device-id-strategy", "deviceIDStrategy")
ANNOTATION_PREFIX = Setting("CDI_ANNOTATION_PREFIX", "--cdi-annotation-prefix")


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePlugin:
    """The device plugin for a node: its pods there and the DaemonSets that create them.

    ``kind`` is nvidia, google, other (it counts by its own rules), or none.
    """

    kind: str
    pods: tuple[KubeObject, ...]
    daemonsets: tuple[KubeObject, ...]

    @property
    def pod(self) -> KubeObject | None:
        """The plugin's pod on the node, a running one first."""
        return min(self.pods, key=lambda pod: not is_running(pod), default=None)

    @property
    def running(self) -> bool:
        """Whether a plugin pod runs on the node now."""
        return any(is_running(pod) for pod in self.pods)

    @property
    def spec(self) -> Mapping[str, Any]:
        """The pod's spec, else the pod spec of its DaemonSet, else an empty one."""
        if self.pod is not None:
            return spec_of(self.pod)
        return template_of(self.daemonsets[0]) if self.daemonsets else {}

    @property
    def name(self) -> str:
        """Its name in evidence: the pod, else the DaemonSet."""
        if self.pod is not None:
            return f"pod {path_of(self.pod)}"
        return f"daemonset {path_of(self.daemonsets[0])}" if self.daemonsets else "no plugin"

    @property
    def env(self) -> Mapping[str, str]:
        """The environment of the plugin's container, from the pod or its DaemonSet."""
        specs = [self.spec, *(template_of(each) for each in self.daemonsets)]
        found = (env_of(container) for spec in specs for container in _plugin_containers(spec))
        return next((env for env in found if env), {})


def setting(plugin: DevicePlugin, variable: str, flag: str) -> str:
    """Return a setting of the plugin, ``""`` if neither its flag nor its variable is set.

    The flag overrides the variable. If a flag is repeated, the last value counts, unless the
    values form a list. A switch without a value is ``true``. Sources: the plugin's
    cmd/nvidia-device-plugin/main.go, urfave/cli's rules of precedence, Go's package flag.
    """
    found: list[str] = []
    for container in _plugin_containers(plugin.spec):
        words = [*(container.get("command") or ()), *(container.get("args") or ())]
        found += _values_of(flag, list(map(str, words)))
    if not found:
        return plugin.env.get(variable, "")
    return ",".join(found) if flag == LIST_STRATEGY.flag else found[-1]


def _values_of(flag: str, words: Sequence[str]) -> Iterator[str]:
    """Yield each value of a flag, which may be written with one dash or two."""
    for at, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name not in {flag, flag[1:]}:
            continue
        if equals:
            yield value
        elif flag in _SWITCHES:
            yield "true"
        else:
            yield from words[at + 1 : at + 2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """How a plugin passes devices to containers, in its own order, and where that is configured.

    ``told`` is false if it is not configured, so that the plugin's default applies.
    """

    means: tuple[str, ...]
    said: Evidence
    told: bool

    @property
    def by_cdi(self) -> bool:
        """Whether the plugin names CDI devices to the kubelet or in annotations."""
        return not {"cdi-cri", "cdi-annotations"}.isdisjoint(self.means)


def strategy(cluster: ClusterEvidence, plugin: DevicePlugin) -> Strategy:
    """Return the plugin's own strategy, else the ClusterPolicy's, else the default."""
    told = setting(plugin, LIST_STRATEGY.variable, LIST_STRATEGY.flag)
    source = plugin.name
    if not told and policy_section(cluster, "cdi").get("enabled"):
        told, source = "cdi-annotations,cdi-cri", "clusterpolicy: cdi.enabled: true"
    unset = "DEVICE_LIST_STRATEGY is not set (default: envvar)"
    said = f"DEVICE_LIST_STRATEGY={told}" if told else unset
    return Strategy(
        means=tuple(word.strip() for word in (told or "envvar").split(",")),
        said=Evidence(source=source, text=said),
        told=bool(told),
    )


@cluster_fact
def find(cluster: ClusterEvidence, node: str) -> DevicePlugin:
    """Return the device plugin of a node.

    A DaemonSet for other nodes counts only if nothing offers this node's GPUs: its selector may be
    wrong.

    Raises:
        NotInEvidence: the pods were not read.
    """
    pods = tuple(pod for pod in pods_on(cluster, node) if is_plugin(spec_of(pod)))
    daemonsets = _plugins(fitting(cluster, node))
    if not daemonsets and (pods or not _offers(cluster, node)):
        daemonsets = _plugins(optional(cluster, "daemonsets"))
    specs = [spec_of(pod) for pod in pods] or [template_of(each) for each in daemonsets]
    return DevicePlugin(kind=_kind(specs[0]) if specs else "none", pods=pods, daemonsets=daemonsets)


def _plugins(daemonsets: Iterable[KubeObject]) -> tuple[KubeObject, ...]:
    return tuple(each for each in daemonsets if is_plugin(template_of(each)))


def _offers(cluster: ClusterEvidence, name: str) -> bool:
    """Say whether a node's GPUs are advertised by any plugin."""
    named = (each for each in optional(cluster, "nodes") if name_of(each) == name)
    return any(any(advertised(each, "allocatable").values()) for each in named)


def is_plugin(pod_spec: Mapping[str, Any]) -> bool:
    """Say whether a pod is a device plugin for NVIDIA GPUs."""
    return next(_plugin_containers(pod_spec), None) is not None


def _plugin_containers(pod_spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    folders = _plugin_folders(pod_spec)
    for container in containers_of(pod_spec):
        image = str(container.get("image", ""))
        words = [*(container.get("command") or ()), *(container.get("args") or ())]
        runs = any(str(word).rpartition("/")[2] == _PROGRAM for word in words)
        mounts = folders & {m.get("name") for m in container.get("volumeMounts") or ()}
        named = "k8s-device-plugin" in image and _PROGRAM in str(container.get("name"))
        if _NOT_GPUS.search(image):
            continue
        if runs or named or (mounts and "nvidia" in image):
            yield container


def _plugin_folders(pod_spec: Mapping[str, Any]) -> frozenset[str]:
    volumes = pod_spec.get("volumes") or ()
    paths = {v["name"]: str((v.get("hostPath") or {}).get("path", "")) for v in volumes}
    return frozenset(n for n, path in paths.items() if path.rstrip("/").endswith("/device-plugins"))


def _kind(pod_spec: Mapping[str, Any]) -> str:
    images = " ".join(str(c.get("image", "")) for c in containers_of(pod_spec))
    if "nvidia-gpu-device-plugin" in images:
        return "google"
    return "other" if _OTHER_COUNTING.search(images) else "nvidia"


def advertised(node: KubeObject, table: str = "capacity") -> Mapping[str, int]:
    """Return the GPU resources of a node's ``capacity`` or ``allocatable``.

    A resource that was never registered has no key; one without its plugin has 0. Labels of the
    same name are not resources.
    """
    amounts = status_of(node).get(table) or {}
    return {
        key: quantity(amount)
        for key, amount in amounts.items()
        if key.startswith(RESOURCE_PREFIX) and _GPU_RESOURCE.fullmatch(key)
    }


@cluster_fact
def dra_gpus(cluster: ClusterEvidence, node: str) -> int | None:
    """Return how many GPUs NVIDIA's DRA driver published for a node, ``None`` without slices."""
    slices = [spec_of(each) for each in optional(cluster, "resourceslices")]
    ours = [s for s in slices if s.get("driver") == DRA_DRIVER and s.get("nodeName") == node]
    if not ours:
        return None
    devices = [device for each in ours for device in each.get("devices") or ()]
    return sum(_is_whole_gpu(device) for device in devices)


def _is_whole_gpu(device: Mapping[str, Any]) -> bool:
    # resource.k8s.io/v1 has the attributes in the device itself, v1beta1 below "basic".
    holder = device.get("basic") or device
    kind = (holder.get("attributes") or {}).get("type") or {}
    return bool(kind.get("string", "gpu") == "gpu")
