"""Faults as a modern Kubernetes shows them: seen on 1.36, containerd 2.x and toolkit 1.20."""

from __future__ import annotations

import shutil
from typing import Any

from tests.samples.sample_copy import SampleCopy
from tests.support import yaml_text
from tests.support.changes import command, entry, gpu_node, process_of

SOCKET = "/run/containerd/containerd.sock"
CONTAINERD_UNIT = """\
[Unit]
Description=containerd container runtime

[Service]
ExecStart=/usr/local/bin/containerd
Restart=always
"""
LOG_OF_A_FAILED_START = """\
Mar 04 09:50:01 gpu-1 containerd[51022]: containerd: failed to load TOML: /etc/containerd/config.toml
Mar 04 09:50:01 gpu-1 systemd[1]: containerd.service: Main process exited, code=exited, status=1
"""


def through_ssh(copy: SampleCopy) -> None:
    """Let the node have been read over ssh, and no pod have been tried on it."""
    (copy.node / "node.yaml").write_text("door: ssh\n")
    shutil.rmtree(copy.node / "outcomes")


def no_visit(copy: SampleCopy, reason: str) -> None:
    """Let nobody have been let into the node."""
    folder = copy.node
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "node.yaml").write_text(yaml_text.dump({"door": {"kind": "none", "reason": reason}}))


def condition(copy: SampleCopy, kind: str, status: str, reason: str, message: str) -> None:
    """Give the node a condition."""

    def change(node: dict[str, Any]) -> None:
        others = [each for each in node["status"]["conditions"] if each["type"] != kind]
        new = {"type": kind, "status": status, "reason": reason, "message": message}
        node["status"]["conditions"] = [*others, new]

    gpu_node(copy, change)


def end_process(copy: SampleCopy, program: str) -> None:
    """Let a process have ended."""
    pid = process_of(copy, program)
    shutil.rmtree(copy.node / f"files/proc/{pid}")

    def forget(listing: dict[str, Any]) -> None:
        places = [f"/proc/{pid}", f"/proc/{pid}/"]
        listing["complete"] = [p for p in listing["complete"] if not p.startswith(places[1])]
        for path in [p for p in listing["entries"] if p.startswith(places[1])]:
            del listing["entries"][path]

    copy.edit_yaml(copy.node / "listing.yaml", forget)


def reports_version(copy: SampleCopy, version: str) -> None:
    """Let the kubelet report a version of its runtime."""
    info = {"containerRuntimeVersion": version}
    gpu_node(copy, lambda node: node["status"]["nodeInfo"].update(info))


def containerd_stopped(copy: SampleCopy) -> None:
    """Let containerd be stopped; a modern kubelet then no longer knows its version."""
    through_ssh(copy)
    end_process(copy, "containerd")
    unix = copy.node / "files/proc/net/unix"
    copy.edit(unix, lambda text: "".join(t for t in text.splitlines(True) if SOCKET not in t))
    command(copy, "containerd --version")
    refused = "rpc error: code = Unavailable desc = connect: no such file or directory"
    command(copy, " info", exit=1, stdout="", stderr=refused)
    reports_version(copy, "containerd://Unknown")
    down = "[container runtime is down, PLEG is not healthy]"
    condition(copy, "Ready", "False", "KubeletNotReady", down)


def containerd_cannot_start(copy: SampleCopy) -> None:
    """Let containerd be down because of its configuration; its unit says which program it is."""
    containerd_stopped(copy)
    unit = copy.node / "files/usr/lib/systemd/system/containerd.service"
    unit.write_text(CONTAINERD_UNIT)
    path = copy.node / "commands.yaml"
    commands = yaml_text.load(path.read_text())
    told = "containerd github.com/containerd/containerd/v2 v2.1.9 88bf19b\n"
    argv = ["/usr/local/bin/containerd", "--version"]
    commands.append({"argv": argv, "exit": 0, "stdout": told})
    (journal,) = [each for each in commands if each["argv"][0] == "journalctl"]
    journal["stdout"] += LOG_OF_A_FAILED_START
    path.write_text(yaml_text.dump(commands))
    config = copy.node / "files/etc/containerd/config.toml"
    copy.edit(config, lambda text: text.replace("[plugins]", "[plugins", 1))


def _append(copy: SampleCopy, text: str) -> None:
    """Add lines to containerd's file after containerd has started."""
    copy.edit(copy.node / "files/etc/containerd/config.toml", lambda before: before + text)
    path = "/etc/containerd/config.toml"
    later = "2025-03-04T09:30:00Z"
    copy.edit_yaml(copy.node / "listing.yaml", lambda it: it["entries"][path].update(mtime=later))


def invalid_not_loaded(copy: SampleCopy) -> None:
    """Let somebody have broken containerd's file; what runs has not read it yet."""
    _append(copy, "[plugins\n")


def cri_off_not_loaded(copy: SampleCopy) -> None:
    """Let somebody have switched the CRI off; what runs has not read it yet."""
    config = copy.node / "files/etc/containerd/config.toml"
    copy.edit(config, lambda text: f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n{text}')


def default_gone_not_loaded(copy: SampleCopy) -> None:
    """Let the default runtime be one that is not defined; what runs has not read it yet."""
    config = copy.node / "files/etc/containerd/config.toml"
    old = 'default_runtime_name = "runc"'
    copy.edit(config, lambda text: text.replace(old, 'default_runtime_name = "crun"'))
