"""Placeholder values for fixes of the GPU operator's toolkit: env list and helm command."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_gpu.diagnose.toolkit_source import CHOICE_SINCE, on_path
from pytest_gpu.kube.operator import operator_release
from pytest_gpu.node.gpu_node import GpuNode
from pytest_gpu.node.hints import known

SELF_CONFIGURING = ("rke2", "k3s")
FILES = ("CONTAINERD_CONFIG", "RUNTIME_DROP_IN_CONFIG")


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
        "CONTAINERD_CONFIG": _edited(node),
        "CONTAINERD_SOCKET": containerd.socket,
        "CONTAINERD_RUNTIME_CLASS": "nvidia",
    }
    if (drop_in := _drop_in(node)) is not None:
        wanted["RUNTIME_DROP_IN_CONFIG"] = drop_in
    if (source := _start(node)) is not None:
        wanted["RUNTIME_CONFIG_SOURCE"] = source
    return wanted


def _edited(node: GpuNode) -> str:
    """Return the file the toolkit is to edit: MicroK8s renders containerd's from one in TOML."""
    template = node.distribution.source or ""
    return template if template.endswith(".toml") else node.containerd.config_path


def _start(node: GpuNode) -> str | None:
    """Return what the toolkit is to start from, ``None`` where its own choice is right.

    It would ask the containerd on the host's PATH, which may be another one.
    """
    path = node.containerd.config_path
    if (node.toolkit.version or (0,)) < CHOICE_SINCE:
        return None
    if _edited(node) != path:
        return f"file={path}"
    found = known(lambda: on_path(node))
    return "file" if found is not None and found.process != node.containerd.process else None


def _drop_in(node: GpuNode) -> str | None:
    """Return a drop-in path that the effective imports match, for toolkits that write one."""
    folders = [i.rpartition("/")[0] for i in node.containerd.config.imports if i.endswith("*.toml")]
    if not folders or not node.toolkit.writes_drop_in:
        return None
    return f"{folders[0]}/99-nvidia.toml"


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
