"""Clusters whose state cannot be told: what would decide is missing, unreadable or taken."""

from __future__ import annotations

from typing import Any

from tests.samples.sample_copy import SampleCopy
from tests.support.changes import GPU, command, entry, gpu_node, process_of, set_cmdline


def busy(copy: SampleCopy) -> None:
    """Let all GPUs be in use."""

    def refused(outcome: dict[str, Any]) -> None:
        why = f"Node didn't have enough resource: {GPU}, requested: 1, used: 2, capacity: 2"
        outcome["pod"]["status"] = {
            "phase": "Failed",
            "reason": f"OutOf{GPU}",
            "message": why,
        }
        outcome["containers"] = {}

    copy.edit_yaml(copy.node / "outcomes/pod.yaml", refused)


def dmesg_forbidden(copy: SampleCopy) -> None:
    """Let the kernel not show its log."""
    text = "dmesg: read kernel buffer failed: Operation not permitted\n"
    command(copy, "dmesg", exit=1, stdout="", stderr=text)


def dmesg_cleared(copy: SampleCopy) -> None:
    """Let somebody have cleared the kernel's log."""
    command(copy, "dmesg", stdout="")


def crictl_not_asked(copy: SampleCopy) -> None:
    """Let nobody have asked the running containerd, and its files be of unknown age."""
    command(copy, " info")
    _of_unknown_age(copy)


def _of_unknown_age(copy: SampleCopy) -> None:
    """Take away what else shows that containerd has read its files as they are."""
    path = "/etc/containerd/config.toml"
    copy.edit_yaml(copy.node / "listing.yaml", lambda it: it["entries"][path].pop("mtime"))


def crictl_not_found(copy: SampleCopy) -> None:
    """Let the shell not find crictl: that says nothing of the CRI."""
    command(copy, " info", exit=127, stdout="", stderr="bash: crictl: command not found\n")
    _of_unknown_age(copy)


def crictl_cut_off(copy: SampleCopy) -> None:
    """Let the answer be cut off."""
    command(copy, " info", stdout='{"config": {"containerd": {"runtimes": {"run')
    _of_unknown_age(copy)


def cri_o(copy: SampleCopy) -> None:
    """Let the kubelet use CRI-O."""
    set_cmdline(
        copy,
        "kubelet",
        "/usr/bin/kubelet",
        "--config=/var/lib/kubelet/config.yaml",
        "--container-runtime-endpoint=unix:///var/run/crio/crio.sock",
    )
    said = {"containerRuntimeVersion": "cri-o://1.31.2"}
    gpu_node(copy, lambda node: node["status"]["nodeInfo"].update(said))
    endpoint = {"endpoint": "unix:///var/run/crio/crio.sock"}
    path = copy.node / "outcomes/sandbox.yaml"
    copy.edit_yaml(path, lambda outcome: outcome["crictl"].update(endpoint))


def kubelet_config_unread(copy: SampleCopy) -> None:
    """Let nobody have read the file that says the cgroup driver."""
    (copy.node / "files/var/lib/kubelet/config.yaml").unlink()
    entry(copy, "/var/lib/kubelet/config.yaml", kind="file")


def link_unknown(copy: SampleCopy) -> None:
    """Let nobody have looked whether /var/run is a link."""
    entry(copy, "/var/run")


def specs_unlisted(copy: SampleCopy) -> None:
    """Let nobody have listed the directory of CDI specs."""
    copy.edit_yaml(copy.node / "listing.yaml", lambda it: it["complete"].remove("/run/cdi"))
    for spec in (copy.node / "files/run/cdi").iterdir():
        spec.unlink()


def policies_unread(copy: SampleCopy) -> None:
    """Let nobody have been allowed to read the ClusterPolicy, which says how GPUs are shared."""
    (copy.folder / "kubernetes/clusterpolicies.yaml").unlink()


def daemonsets_unread(copy: SampleCopy) -> None:
    """Let nobody have read the DaemonSets, which say that the plugin names CDI devices."""
    (copy.folder / "kubernetes/daemonsets.yaml").unlink()


def kubelet_unseen(copy: SampleCopy) -> None:
    """Let the kubelet be a process that nobody recognises; the node is Ready all the same."""
    set_cmdline(copy, "kubelet", "/usr/bin/vendor-agent")
    exe = f"/proc/{process_of(copy, 'vendor-agent')}/exe"
    entry(copy, exe, kind="symlink", target="/usr/bin/vendor-agent")
