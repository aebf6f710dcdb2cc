"""Which workloads make GPUs work, and what each of them does: its role.

A role is found by the program that runs, by the image, and by the labels that NVIDIA's operator,
charts and the clouds give; never by the name of an object or a release. A user's pod has no role,
whatever its image is called.

Sources: assets/ and manifests/ of NVIDIA's gpu-operator, the charts of k8s-device-plugin,
k8s-dra-driver-gpu and node-feature-discovery, Google's container-engine-accelerators.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_gpu.evidence import KubeObject
from pytest_gpu.stack.kube.device_plugin import is_plugin
from pytest_gpu.stack.kube.objects import (
    containers_of,
    labels_of,
    metadata,
    spec_of,
    template_of,
)
from pytest_gpu.stack.kube.pods import gpu_requests

NFD = "nfd"
OPERATOR = "operator"
DRIVER = "driver"
TOOLKIT = "toolkit"
DEVICE_PLUGIN = "device-plugin"
MPS = "mps"
DRA = "dra"
GFD = "gfd"
MIG_MANAGER = "mig-manager"
DCGM = "dcgm"
VALIDATOR = "validator"

ROLES = (
    NFD,
    OPERATOR,
    DRIVER,
    TOOLKIT,
    MIG_MANAGER,
    DEVICE_PLUGIN,
    MPS,
    DRA,
    GFD,
    DCGM,
    VALIDATOR,
)
"""All roles; none waits for one that stands after it."""

_MAKERS = frozenset({"DaemonSet", "ReplicaSet", "ClusterPolicy", "NVIDIADriver", "ComputeDomain"})
"""Kinds whose pods are believed by their labels alone, as are pods that nothing made."""

_PROGRAMS: Mapping[str, str] = {
    "gpu-operator": OPERATOR,
    "nvidia-driver": DRIVER,
    "ocp_dtk_entrypoint": DRIVER,
    "cos-gpu-installer": DRIVER,
    "nvidia-toolkit": TOOLKIT,
    "nvidia-ctk-installer": TOOLKIT,
    "nvidia-device-plugin": DEVICE_PLUGIN,
    "nvidia-gpu-device-plugin": DEVICE_PLUGIN,
    "mps-control-daemon": MPS,
    "gpu-feature-discovery": GFD,
    "gpu-kubelet-plugin": DRA,
    "compute-domain-kubelet-plugin": DRA,
    "compute-domain-controller": DRA,
    "compute-domain-daemon": DRA,
    "nvidia-mig-manager": MIG_MANAGER,
    "nv-hostengine": DCGM,
    "dcgm-exporter": DCGM,
    "nvidia-validator": VALIDATOR,
    "nfd-master": NFD,
    "nfd-worker": NFD,
    "nfd-gc": NFD,
    "nfd-topology-updater": NFD,
}
_GPU_KUBELET_PLUGIN = "gpu-kubelet-plugin"
_COMPUTE_DOMAINS = frozenset(name for name in _PROGRAMS if name.startswith("compute-domain-"))
# A shell's script starts programs at the start of a line, after a separator, or with exec.
_STARTED = re.compile(
    r"(?:^|[;&|]|\bexec )[ \t]{0,8}(?:/[\w./-]{0,200}/)?(?P<name>[\w-]{1,64})", re.MULTILINE
)


def _any_of(patterns: Mapping[str, str], before: str = "") -> re.Pattern[str]:
    """Return a pattern that matches any of these, with a group for each role."""
    named = (f"(?P<{role.replace('-', '_')}>{text})" for role, text in patterns.items())
    return re.compile(f"{before}(?:{'|'.join(named)})")


_LABELS = _any_of(
    {
        OPERATOR: r"gpu-operator",
        DRIVER: (
            r"nvidia-driver(?:-(?:daemonset|installer)(?:-.+)?)?|nvidia-gpu-driver(?:-.+)?"
            r"|nvidia-vgpu-(?:manager-daemonset|host-manager)"
        ),
        TOOLKIT: r"nvidia-container-toolkit(?:-daemonset)?",
        MPS: r"nvidia-device-plugin-mps-control-daemon",
        VALIDATOR: r"nvidia-(?:operator|cuda|device-plugin|sandbox)-validator",
        DEVICE_PLUGIN: r"nvidia-device-plugin-(?:daemonset|ds)|nvidia-gpu-device-plugin(?:-.+)?",
        DRA: r"nvidia-(?:imex-)?dra-driver(?:-.+)?|dra-driver-nvidia-gpu(?:-.+)?",
        GFD: r"gpu-feature-discovery",
        MIG_MANAGER: r"nvidia-mig-manager",
        DCGM: r"(?:nvidia-)?dcgm(?:-exporter)?",
        NFD: r"node-feature-discovery(?:-\w+)?|nfd-(?:worker|master|gc)",
    }
)
_LABEL_KEYS = ("app", "app.kubernetes.io/component", "k8s-app", "name", "app.kubernetes.io/name")

_IMAGES = _any_of(
    {
        VALIDATOR: r"gpu-operator-validator",
        OPERATOR: r"gpu-operator",
        TOOLKIT: r"container-toolkit",
        DRA: r"k8s-dra-driver(?:-gpu)?|dra-driver-nvidia-gpu",
        GFD: r"gpu-feature-discovery",
        MIG_MANAGER: r"k8s-mig-manager",
        DCGM: r"dcgm(?:-exporter)?",
        NFD: r"node-feature-discovery(?:-minimal)?",
        DEVICE_PLUGIN: r"nvidia-gpu-device-plugin",
        DRIVER: (
            r"(?:cos|gke|ubuntu)-nvidia-(?:driver-)?installer|nvidia-(?:gpu-)?driver-installer"
            r"|cos-gpu-installer|vgpu-(?:guest-driver|manager)|nvidia-driver"
        ),
    },
    before="(?:(?:mirrored-)?nvidia-)?",
)
_DRIVER_IMAGE = re.compile(r"(?:^|/)nvidia/driver$")
_TWO_PROGRAMS = re.compile(r"(?:^|[-/])k8s-device-plugin$")
"""The image that has the device plugin, GPU feature discovery and the MPS daemon."""


def role_of(thing: KubeObject) -> str | None:
    """Return the role of a pod, or of what makes pods; ``None`` for every other workload."""
    spec = _spec(thing)
    made_by = _made_by(thing)
    containers = containers_of(spec)
    shown = containers if "DaemonSet" in made_by else containers[:1]
    if _is_users(containers):
        return None
    if role := _first(map(_by_program, shown)):
        return role
    if is_plugin({**spec, "containers": shown}):
        return DEVICE_PLUGIN
    by_label = _by_label(_labels(thing)) if made_by <= _MAKERS else None
    return by_label or _first(map(_by_image, shown)) or _by_init(spec)


def offers_no_gpus(thing: KubeObject) -> bool:
    """Say whether a DRA driver's pod, or what makes it, only serves compute domains."""
    started = {name for each in containers_of(_spec(thing)) for name in _started(_words(each))}
    return bool(started & _COMPUTE_DOMAINS) and _GPU_KUBELET_PLUGIN not in started


def _is_users(containers: Sequence[Mapping[str, Any]]) -> bool:
    """Say whether a container without a sign of NVIDIA's software asks for a GPU."""
    return any(
        gpu_requests({"containers": [each]}) and not (_by_program(each) or _by_image(each))
        for each in containers
    )


def _made_by(thing: KubeObject) -> frozenset[str]:
    """Return the kinds that made a pod; what makes pods is its own maker."""
    if "template" in spec_of(thing):
        kind = str(thing.get("kind") or "DaemonSet")
        return frozenset({"ReplicaSet" if kind == "Deployment" else kind})
    owners = metadata(thing).get("ownerReferences") or ()
    return frozenset(str(owner.get("kind")) for owner in owners)


def _labels(thing: KubeObject) -> Mapping[str, str]:
    template = spec_of(thing).get("template") or {}
    return {**labels_of(thing), **labels_of(template)}


def _by_label(labels: Mapping[str, str]) -> str | None:
    found = (_LABELS.fullmatch(str(labels.get(key, ""))) for key in _LABEL_KEYS)
    return _first(map(_role, found))


def _role(match: re.Match[str] | None) -> str | None:
    """Return the role whose group has matched."""
    return match.lastgroup.replace("_", "-") if match and match.lastgroup else None


def _by_program(container: Mapping[str, Any]) -> str | None:
    named = (_PROGRAMS.get(name) for name in _started(_words(container)))
    return next((role for role in named if role), None) or _by_name(container)


def _spec(thing: KubeObject) -> Mapping[str, Any]:
    return template_of(thing) or spec_of(thing)


def _words(container: Mapping[str, Any]) -> list[str]:
    return list(map(str, (*(container.get("command") or ()), *(container.get("args") or ()))))


def _started(words: Sequence[str]) -> Iterator[str]:
    """Yield the names of the programs that a container's command starts."""
    if not words:
        return
    yield words[0].rpartition("/")[2]
    for word in words[1:] if _is_shell(words) else ():
        yield from (match["name"] for match in _STARTED.finditer(word))


def _is_shell(words: Sequence[str]) -> bool:
    return words[0].rpartition("/")[2] in {"sh", "bash"}


def _by_name(container: Mapping[str, Any]) -> str | None:
    """Return the role of a container of the image with several programs, by its name."""
    if not _TWO_PROGRAMS.search(repository(container)):
        return None
    name = str(container.get("name"))
    named = (("gpu-feature-discovery", GFD), ("mps-control-daemon", MPS))
    return next((role for word, role in named if word in name), None)


def _by_image(container: Mapping[str, Any]) -> str | None:
    path = repository(container)
    if _DRIVER_IMAGE.search(path):
        return DRIVER
    return _role(_IMAGES.fullmatch(path.rpartition("/")[2]))


def repository(container: Mapping[str, Any]) -> str:
    """Return the image of a container without its tag and digest."""
    path = str(container.get("image") or "").partition("@")[0]
    folder, slash, last = path.rpartition("/")
    return f"{folder}{slash}{last.partition(':')[0]}"


def _by_init(spec: Mapping[str, Any]) -> str | None:
    """Return the role of a pod whose work is done at its start: the clouds' driver installers."""
    inits = spec.get("initContainers") or ()
    roles = {_by_program(each) or _by_image(each) for each in inits}
    return DRIVER if DRIVER in roles else None


def _first(roles: Iterator[str | None]) -> str | None:
    return next((role for role in roles if role), None)
