"""The NVIDIA GPU operator: its ClusterPolicy, and how to change its values.

Values are read from the ClusterPolicy and from DaemonSets. Helm's own Secrets are never read:
release and namespace are in the annotations that Helm sets, the chart is in the labels.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_gpu.evidence import ClusterEvidence, KubeObject
from pytest_gpu.gpu_node import cluster_fact
from pytest_gpu.stack.kube.objects import annotations_of, labels_of, name_of, optional, spec_of
from pytest_gpu.steps import Steps, typed
from pytest_gpu.text.shell import Command, command

_CHART = re.compile(r"(?P<name>.+?)-(?P<version>v?\d++\.[\s\S]*)")
OPERATOR_CHART = "gpu-operator"
PLUGIN_CHART = "nvidia-device-plugin"


@dataclass(frozen=True, slots=True, kw_only=True)
class HelmRelease:
    """The Helm release that owns an object; ``version`` is the chart's, ``""`` if unknown."""

    name: str
    namespace: str
    chart: str
    version: str

    def upgrade(self, *settings: str) -> Command:
        """Return the command that changes values of this release and keeps all others.

        ``settings`` are ``key=value`` pairs as ``helm --set`` takes them.
        """
        line = command(
            "helm upgrade {name} {repository}/{chart} -n {namespace}",
            name=self.name,
            repository="nvdp" if self.chart == PLUGIN_CHART else "nvidia",
            chart=self.chart,
            namespace=self.namespace,
        )
        if self.version:
            line = command("{line} --version {version}", line=line, version=self.version)
        line = command("{line} --reuse-values", line=line)
        for setting in settings:
            line = command("{line} --set {setting}", line=line, setting=setting)
        return line


def helm_release(thing: KubeObject, *, chart: str = OPERATOR_CHART) -> HelmRelease | None:
    """Return the release that owns an object, ``None`` if Helm does not own it.

    ``chart`` is assumed if the object has no ``helm.sh/chart`` label.
    """
    notes = annotations_of(thing)
    release = notes.get("meta.helm.sh/release-name")
    if not release:
        return None
    label = _CHART.fullmatch(labels_of(thing).get("helm.sh/chart", ""))
    return HelmRelease(
        name=release,
        namespace=notes.get("meta.helm.sh/release-namespace", "default"),
        chart=label["name"] if label else chart,
        version=label["version"] if label else "",
    )


def cluster_policy(cluster: ClusterEvidence) -> KubeObject | None:
    """Return the GPU operator's ClusterPolicy as a hint, ``None`` also if it was not collected."""
    return next(iter(optional(cluster, "clusterpolicies")), None)


@cluster_fact
def policy_section(cluster: ClusterEvidence, name: str) -> Mapping[str, Any]:
    """Return a section of the ClusterPolicy's spec such as ``devicePlugin``, else an empty one."""
    policy = cluster_policy(cluster)
    found: Mapping[str, Any] = (spec_of(policy).get(name) or {}) if policy else {}
    return found


def operator_release(cluster: ClusterEvidence) -> HelmRelease | None:
    """Return the Helm release of the GPU operator, found through any of its objects."""
    for thing in _operator_objects(cluster):
        if release := helm_release(thing):
            return release
    return None


def _operator_objects(cluster: ClusterEvidence) -> Iterator[KubeObject]:
    if policy := cluster_policy(cluster):
        yield policy
    for resource in ("deployments", "daemonsets"):
        for thing in optional(cluster, resource):
            if labels_of(thing).get("helm.sh/chart", "").startswith(f"{OPERATOR_CHART}-"):
                yield thing


def change_values(cluster: ClusterEvidence, path: str, value: str | bool) -> Steps:
    """Return the step that sets one value of the GPU operator, such as operator.runtimeClass.

    The step upgrades the Helm release if there is one, else it patches the ClusterPolicy. There
    is none if the cluster has no operator, or if the value is in force.
    """
    policy = cluster_policy(cluster)
    if policy is not None and _said(policy, path) == value:
        return ()
    if release := operator_release(cluster):
        said = value if isinstance(value, str) else str(value).lower()
        return (typed("helm", release.upgrade(f"{path}={said}")),)
    if policy is None:
        return ()
    return (typed("cluster", patch_policy(name_of(policy), _nested(path, value))),)


def patch_policy(name: str, change: str) -> Command:
    """Return the command that merges a change, as JSON, into a ClusterPolicy."""
    return command(
        "kubectl patch clusterpolicy {name} --type merge -p {change}", name=name, change=change
    )


def _said(policy: KubeObject, path: str) -> object:
    """Return a value of the ClusterPolicy, ``None`` if it does not say it."""
    found: object = spec_of(policy)
    for key in path.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _nested(path: str, value: str | bool) -> str:
    tree: Any = value
    for key in reversed(["spec", *path.split(".")]):
        tree = {key: tree}
    return json.dumps(tree)
