"""Placeholder values for fixes of the GPU operator's toolkit: env list and helm command."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_gpu.kube.objects import containers_of, template_of
from pytest_gpu.kube.operator import operator_release
from pytest_gpu.node.containerd import parse_version
from pytest_gpu.node.gpu_node import GpuNode

SELF_CONFIGURING = ("rke2", "k3s")
FILES = ("CONTAINERD_CONFIG", "RUNTIME_DROP_IN_CONFIG")
DROP_IN_SINCE = (1, 18, 0)
"""From this release on the toolkit writes a drop-in instead of the file itself (measured)."""


def toolkit_values(node: GpuNode) -> Mapping[str, str]:
    """Return config, socket, the whole ``env`` list as YAML, and the command that applies it."""
    containerd = node.containerd
    return {
        "config": containerd.config_path,
        "socket": containerd.socket,
        "values": _values(node),
        "apply": _apply(node),
    }


def wanted_env(node: GpuNode) -> Mapping[str, str]:
    """Return the toolkit's environment for the containerd that this kubelet uses.

    RKE2 and k3s add the handlers to their rendered file themselves: there the toolkit needs the
    socket and must leave the file alone (docs.rke2.io, "Deploy NVIDIA operator").
    """
    containerd = node.containerd
    if node.distribution.name in SELF_CONFIGURING:
        return {"CONTAINERD_SOCKET": containerd.socket}
    wanted = {
        "CONTAINERD_CONFIG": containerd.config_path,
        "CONTAINERD_SOCKET": containerd.socket,
        "CONTAINERD_RUNTIME_CLASS": "nvidia",
    }
    if (drop_in := _drop_in(node)) is not None:
        wanted["RUNTIME_DROP_IN_CONFIG"] = drop_in
    return wanted


def _drop_in(node: GpuNode) -> str | None:
    """Return a drop-in path that the effective imports match, for toolkits that write one."""
    image = _toolkit_image(node)
    version = parse_version(image.rpartition(":")[2]) or (0, 0, 0)
    told = "RUNTIME_DROP_IN_CONFIG" in node.toolkit.env
    folders = [i.rpartition("/")[0] for i in node.containerd.config.imports if i.endswith("*.toml")]
    if not folders or not (told or version >= DROP_IN_SINCE):
        return None
    return f"{folders[0]}/99-nvidia.toml"


def _toolkit_image(node: GpuNode) -> str:
    daemonset = node.toolkit.daemonset
    if daemonset is None:
        return ""
    images = (str(c.get("image", "")) for c in containers_of(template_of(daemonset)))
    return next((image for image in images if "container-toolkit" in image), "")


def _values(node: GpuNode) -> str:
    """Return one env list: Helm replaces lists, so what was set before must stand in it too."""
    wanted = wanted_env(node)
    # A path for a file that the toolkit shall leave alone must not stay behind.
    kept = {k: v for k, v in node.toolkit.asked.items() if k not in FILES or k in wanted}
    entries = {**kept, **wanted}
    lines = ["toolkit:", "  env:"]
    for name, value in entries.items():
        lines += [f"  - name: {name}", f'    value: "{value}"']
    return "\n".join(lines)


def _apply(node: GpuNode) -> str:
    release = operator_release(node.cluster)
    if release is None:
        return "kubectl edit clusterpolicy   # put the env list under spec.toolkit"
    return f"{release.upgrade()} -f toolkit-values.yaml"
