"""Values for the placeholders in fixes of the GPU operator's toolkit: env list, helm command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.containerd.config_file import ConfigFile
from pytest_gpu.stack.distributions.detect import distribution_of
from pytest_gpu.stack.injection.cgroup_wanted import systemd_for_new
from pytest_gpu.stack.injection.reached import by_default
from pytest_gpu.stack.kube import runtimeclass
from pytest_gpu.stack.kube.daemonset_change import edit_daemonset
from pytest_gpu.stack.kube.manifest import env_values
from pytest_gpu.stack.kube.objects import name_of
from pytest_gpu.stack.kube.operator import cluster_policy, operator_release
from pytest_gpu.stack.kubelet.containerd import containerd_of
from pytest_gpu.stack.repair.config_places import holding, is_rendered
from pytest_gpu.stack.repair.toml_diff import with_handler
from pytest_gpu.stack.toolkit.instructions import toolkit_of
from pytest_gpu.stack.toolkit.source import CHOICE_SINCE, on_path
from pytest_gpu.stack.toolkit.start import Start, order_of, start
from pytest_gpu.steps import Step, Steps, Value, typed
from pytest_gpu.text.shell import command

FILES = ("CONTAINERD_CONFIG", "RUNTIME_DROP_IN_CONFIG")
ALIASES = {
    "RUNTIME_CONFIG": "CONTAINERD_CONFIG",
    "RUNTIME_SOCKET": "CONTAINERD_SOCKET",
    "NVIDIA_RUNTIME_NAME": "CONTAINERD_RUNTIME_CLASS",
    "NVIDIA_RUNTIME_SET_AS_DEFAULT": "CONTAINERD_SET_AS_DEFAULT",
}
"""Names that the installer prefers: left in place, they would override the new settings."""


def toolkit_values(node: Node) -> Mapping[str, Value]:
    """Return config, socket, the whole ``env`` list as YAML, and the step that applies it.

    Also ``runc``: the patch to apply before these settings, none if nothing is missing.
    """
    containerd = containerd_of(node)
    return {
        "config": containerd.config_path,
        "socket": containerd.socket,
        "values": values_file(node),
        "runc": define_runc(node),
        "apply": apply(node),
    }


def wanted_env(node: Node) -> Mapping[str, str]:
    """Return the toolkit's environment for the containerd that this kubelet uses.

    Some distributions add the handlers to their rendered file themselves, so the toolkit needs only
    the socket and must leave the file alone (docs.rke2.io, "Deploy NVIDIA operator").
    """
    containerd = containerd_of(node)
    if distribution_of(node).finds_runtimes:
        return {"CONTAINERD_SOCKET": containerd.socket}
    wanted = {
        "CONTAINERD_CONFIG": _edited(node),
        "CONTAINERD_SOCKET": containerd.socket,
        "CONTAINERD_RUNTIME_CLASS": other_name(node) or toolkit_of(node).handler,
    }
    if "RUNTIME" in toolkit_of(node).asked:
        wanted["RUNTIME"] = "containerd"
    if _by_default(node):
        wanted["CONTAINERD_SET_AS_DEFAULT"] = "true"
    if (drop_in := _drop_in(node)) is not None:
        wanted["RUNTIME_DROP_IN_CONFIG"] = drop_in
    if (source := config_source(node)) is not None:
        wanted["RUNTIME_CONFIG_SOURCE"] = source
    return wanted


def in_force(node: Node) -> bool:
    """Say whether the toolkit has been given all that this node's containerd needs of it.

    What the DaemonSet has counts; without one, what the ClusterPolicy asks for.
    """
    given = toolkit_of(node).rendered or toolkit_of(node).asked
    told = {**given, **{ALIASES[name]: given[name] for name in given if name in ALIASES}}
    return bool(given) and wanted_env(node).items() <= told.items()


def _edited(node: Node) -> str:
    """Return the file the toolkit should edit: the template, if that is TOML."""
    template = distribution_of(node).source or ""
    return template if template.endswith(".toml") else containerd_of(node).config_path


def config_source(node: Node) -> str | None:
    """Return what the toolkit should start from, ``None`` if its own choice is right.

    By itself it asks the containerd on the host's PATH, which may be a different one.
    """
    path = containerd_of(node).config_path
    if (toolkit_of(node).version or (0,)) < CHOICE_SINCE:
        return None
    if _edited(node) != path:
        return f"file={path}"
    found = known(lambda: on_path(node))
    return "file" if found is not None and found.process != containerd_of(node).process else None


def _drop_in(node: Node) -> str | None:
    """Return a drop-in path that the effective imports match, for toolkits that write one."""
    folders = [
        i.rpartition("/")[0] for i in containerd_of(node).config.imports if i.endswith("*.toml")
    ]
    if not folders or not toolkit_of(node).writes_drop_in:
        return None
    return f"{folders[0]}/99-nvidia.toml"


def other_name(node: Node) -> str | None:
    """Return the handler that RuntimeClasses lead to, if none leads to the toolkit's own."""
    led = set((known(lambda: runtimeclass.handlers(node.cluster)) or {}).values())
    if not led or toolkit_of(node).handler in led:
        return None
    return next((name for name in containerd_of(node).gpu_handlers if name in led), None)


def _by_default(node: Node) -> bool:
    """Say whether GPU pods rely on a default that the toolkit is configured not to set."""
    relied = containerd_of(node).injects("") and not toolkit_of(node).sets_default
    return relied and bool(known(lambda: by_default(node)))


def entries(node: Node) -> Mapping[str, str]:
    """Return the whole environment, with all earlier settings, since Helm replaces lists.

    The path of a file that the toolkit must leave alone is dropped.
    """
    wanted, asked = wanted_env(node), toolkit_of(node).asked
    left = {name for name in asked if ALIASES.get(name, name) in {*FILES, *wanted}}
    return {**{name: asked[name] for name in asked if name not in left}, **wanted}


def values_file(node: Node) -> str:
    """Return toolkit-values.yaml, which holds the whole ``env`` list."""
    return env_values("toolkit", entries(node))


def starts_from(node: Node) -> ConfigFile | None:
    """Return containerd's own file, ``None`` if a definition of runc in it would not last."""
    config, path = containerd_of(node).config, containerd_of(node).config_path
    root = next((file for file in config.files if file.path == path), None)
    return root if root and root.version > 1 and not is_rendered(node, root.path) else None


def define_runc(node: Node) -> Steps:
    """Return the patch that keeps the CRI when the toolkit starts with the proposed values.

    A drop-in of the toolkit has runc only if the file that the toolkit starts from has it.
    """
    root = starts_from(node)
    if root is None or root in holding(node, "runc") or not containerd_of(node).serves_cri:
        return ()
    begun = known(lambda: _begun(node))
    if begun is None or begun.keeps_cri:
        return ()
    return with_handler(root, "runc", binary=None, systemd_cgroup=systemd_for_new(node))


def _begun(node: Node) -> Start | None:
    """Return the result of the toolkit's start with the proposed values."""
    asked = entries(node)
    stay = {k: v for k, v in toolkit_of(node).rendered.items() if ALIASES.get(k, k) not in FILES}
    told = {name: value for name, value in stay.items() if ALIASES.get(name) not in asked}
    proposed = replace(toolkit_of(node), asked=asked, rendered={**told, **asked})
    order = order_of(node, proposed)
    return start(node, proposed, order) if order else None


def apply(node: Node) -> Steps:
    """Return the step that applies toolkit-values.yaml: to the operator, else to the toolkit."""
    if release := operator_release(node.cluster):
        upgrade = command("{upgrade} -f toolkit-values.yaml", upgrade=release.upgrade())
        return (typed("helm", upgrade),)
    if policy := cluster_policy(node.cluster):
        edit = command(
            "kubectl edit clusterpolicy {name}   # put the env list under spec.toolkit",
            name=name_of(policy),
        )
        return (typed("cluster", edit),)
    if daemonset := toolkit_of(node).daemonset:
        edit = edit_daemonset(daemonset)
        told = command("{edit}   # put the env list into its container", edit=edit)
        return (typed("cluster", told),)
    return (Step("words", "If a GPU operator is to manage the toolkit, install it so."),)
