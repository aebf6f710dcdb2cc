"""How a device plugin must count GPUs: time-slicing, MPS, MIG (k8s-device-plugin, config v1)."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_gpu.causes import Evidence, evidence_at
from pytest_gpu.evidence import ClusterEvidence, KubeObject
from pytest_gpu.parsing import yaml_document
from pytest_gpu.stack.kube.device_plugin import DevicePlugin, setting
from pytest_gpu.stack.kube.objects import (
    all_containers_of,
    env_of,
    labels_of,
    name_of,
    namespace_of,
    path_of,
)
from pytest_gpu.stack.kube.operator import policy_section

CONFIG_LABEL = "nvidia.com/device-plugin.config"
_AVAILABLE = "/available-configs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicas:
    """How one resource is shared: with how many replicas, and under which name.

    The fields ``rename`` and ``devices`` of configuration v1 are not read: the plugin warns about
    them and ignores them.
    """

    count: int
    advertised: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """The part of the plugin's configuration that decides what a node advertises.

    ``replicas`` is by resource name. ``mig`` is none, single or mixed. ``missing`` says which
    requested configuration does not exist.
    """

    replicas: Mapping[str, Replicas] = field(default_factory=dict)
    mig: str = "none"
    evidence: tuple[Evidence, ...] = ()
    missing: str = ""

    def apply(self, counts: Mapping[str, int]) -> Mapping[str, int]:
        """Return what the node must advertise, given the unshared counts by resource."""
        found: dict[str, int] = {}
        for resource, count in counts.items():
            shared = self.replicas.get(resource)
            name = shared.advertised if shared else resource
            amount = count * shared.count if shared else count
            found[name] = found.get(name, 0) + amount
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Choice:
    """The ConfigMap and key of the configuration; empty names mean that none is requested."""

    config_map: str = ""
    namespace: str = ""
    key: str = ""
    because: str = ""


def read(cluster: ClusterEvidence, node: KubeObject, plugin: DevicePlugin) -> Sharing:
    """Return how the plugin must count the GPUs of a node.

    Raises:
        NotInEvidence: a ConfigMap is needed, and ConfigMaps were not read.
    """
    if plugin.kind == "google":
        return _google(node)
    told = setting(plugin, "MIG_STRATEGY", "--mig-strategy")
    strategy = told or policy_section(cluster, "mig").get("strategy")
    choice = _choose(cluster, node, plugin)
    if not choice.config_map:
        return Sharing(mig=str(strategy or "none"))
    text = _text(cluster, choice)
    if text is None:
        wanted = f"key {choice.key!r} of ConfigMap {choice.namespace}/{choice.config_map}"
        return Sharing(missing=f"{wanted} ({choice.because})")
    return _parse(text, choice, str(strategy or "none"))


def _choose(cluster: ClusterEvidence, node: KubeObject, plugin: DevicePlugin) -> _Choice:
    """Return the same choice as the plugin's config manager: the node's label, else the default."""
    config_map, key = _mounted(plugin)
    policy = policy_section(cluster, "devicePlugin").get("config") or {}
    config_map = config_map or str(policy.get("name") or "")
    if not config_map:
        return _Choice()
    manager = _manager_env(plugin)
    label = labels_of(node).get(CONFIG_LABEL, "") if not key else ""
    default = manager.get("DEFAULT_CONFIG") or str(policy.get("default") or "")
    key = key or label or default or _fallback(cluster, plugin, config_map, manager)
    if not key:
        return _Choice()
    because = f"node label {CONFIG_LABEL}" if label else "the plugin's default"
    where = _namespace(plugin)
    return _Choice(config_map=config_map, namespace=where, key=key, because=because)


def _mounted(plugin: DevicePlugin) -> tuple[str, str]:
    """Return the ConfigMap mounted for configurations, and the key if it is fixed."""
    volumes = plugin.spec.get("volumes") or ()
    maps = {v["name"]: v["configMap"]["name"] for v in volumes if "configMap" in v}
    file = setting(plugin, "CONFIG_FILE", "--config-file")
    for container in all_containers_of(plugin.spec):
        for mount in container.get("volumeMounts") or ():
            if mount.get("name") not in maps:
                continue
            path = str(mount.get("mountPath", "")).rstrip("/")
            if path == _AVAILABLE:
                return maps[mount["name"]], ""
            if file and posixpath.dirname(file) == path:
                return maps[mount["name"]], posixpath.basename(file)
    return "", ""


def _manager_env(plugin: DevicePlugin) -> Mapping[str, str]:
    for container in all_containers_of(plugin.spec):
        if str(container.get("name", "")).startswith("config-manager"):
            return env_of(container)
    return {}


def _fallback(
    cluster: ClusterEvidence, plugin: DevicePlugin, config_map: str, manager: Mapping[str, str]
) -> str:
    """Return the key that the strategies ``named`` and ``single`` fall back to."""
    strategies = manager.get("FALLBACK_STRATEGIES", "").split(",")
    found = _config_map(cluster, _namespace(plugin), config_map)
    keys = list((found or {}).get("data") or ())
    if "named" in strategies and "default" in keys:
        return "default"
    return str(keys[0]) if "single" in strategies and len(keys) == 1 else ""


def _namespace(plugin: DevicePlugin) -> str:
    owner = next(iter((*plugin.pods, *plugin.daemonsets)), {})
    return namespace_of(owner)


def _config_map(cluster: ClusterEvidence, namespace: str, name: str) -> KubeObject | None:
    for each in cluster.objects("configmaps"):
        if name_of(each) == name and namespace_of(each) == namespace:
            return each
    return None


def _text(cluster: ClusterEvidence, choice: _Choice) -> str | None:
    found = _config_map(cluster, choice.namespace, choice.config_map)
    data = (found or {}).get("data") or {}
    return str(data[choice.key]) if choice.key in data else None


def _parse(text: str, choice: _Choice, mig: str) -> Sharing:
    source = f"configmap {choice.namespace}/{choice.config_map}, {choice.key}"
    try:
        config = yaml_document(text.encode()) or {}
        flags = config.get("flags") or {}
        replicas = dict(_all_replicas(config.get("sharing") or {}))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return Sharing(missing=f"a valid configuration in {source}: {error!r}")
    lines = (evidence_at(source, text, "replicas:"),) if replicas else ()
    return Sharing(replicas=replicas, mig=str(flags.get("migStrategy") or mig), evidence=lines)


def _all_replicas(sharing: Mapping[str, Any]) -> Iterator[tuple[str, Replicas]]:
    for strategy in ("timeSlicing", "mps"):
        section = sharing.get(strategy) or {}
        for resource in section.get("resources") or ():
            name = str(resource["name"])
            if "/" not in name:
                name = f"nvidia.com/{name}"
            yield name, _replicas(name, resource, rename=bool(section.get("renameByDefault")))


def _replicas(name: str, resource: Mapping[str, Any], *, rename: bool) -> Replicas:
    count = int(resource.get("replicas", 1))
    return Replicas(count=count, advertised=f"{name}.shared" if rename and count > 1 else name)


def _google(node: KubeObject) -> Sharing:
    """Return Google's own settings, from the node's labels."""
    labels = labels_of(node)
    clients = labels.get("cloud.google.com/gke-max-shared-clients-per-gpu", "")
    partition = labels.get("cloud.google.com/gke-gpu-partition-size")
    if not clients.isdigit():
        return Sharing(mig="single" if partition else "none")
    shared = Replicas(count=int(clients), advertised="nvidia.com/gpu")
    text = f"label cloud.google.com/gke-max-shared-clients-per-gpu={clients}"
    return Sharing(
        replicas={"nvidia.com/gpu": shared},
        mig="single" if partition else "none",
        evidence=(Evidence(source=f"node {path_of(node).partition('/')[2]}", text=text),),
    )
