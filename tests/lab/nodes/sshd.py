"""A real sshd in each node, and the client's side: configuration, key, forwarded ports to port 22.

The address of a node lies in a network namespace. ``connect`` opens a port of the machine's
loopback into it and writes a client configuration in which the node's name leads there;
``SshClient.path`` holds an ``ssh`` that is the system's OpenSSH client with this configuration.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.control_plane.control_plane import open_door
from tests.lab.parts.debian import Missing

if TYPE_CHECKING:
    from tests.lab.nodes.node import Node
    from tests.lab.workplace import Workplace

USER = "admin"
COMMAND = ["/usr/sbin/sshd", "-D", "-e"]
_CONFIG = """\
Port 22
HostKey /etc/ssh/ssh_host_ed25519_key
AuthorizedKeysFile /etc/ssh/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
"""
_HOST = """\
Host {name}
  HostName 127.0.0.1
  Port {port}
  HostKeyAlias {name}
"""
_EVERY = """\
Host *
  User {user}
  IdentityFile {folder}/key
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
  StrictHostKeyChecking accept-new
  ControlMaster no
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SshClient:
    """How to reach nodes: a configuration for ``ssh -F``, and a folder with an ``ssh`` for PATH."""

    config: Path
    path: Path


def client_folder(workplace: Workplace) -> Path:
    """Return the folder with the client's key, made once.

    Raises:
        Missing: there is no OpenSSH client.
    """
    folder = workplace.folder / "ssh"
    if not folder.exists():
        if not shutil.which("ssh-keygen"):
            raise Missing("needs OpenSSH's client (package openssh-client)")
        folder.mkdir(mode=0o700)
        _make_key(folder / "key")
    return folder


def write_server(upper: Path, client: Path) -> None:
    """Write the server's files below a node's layer, and a user who may do anything by sudo."""
    (upper / "etc/ssh").mkdir(parents=True, exist_ok=True)
    _make_key(upper / "etc/ssh/ssh_host_ed25519_key")
    (upper / "etc/ssh/sshd_config").write_text(_CONFIG)
    shutil.copy(client / "key.pub", upper / "etc/ssh/authorized_keys")
    (upper / "etc/ssh/authorized_keys").chmod(0o644)
    _add_user(upper, "sshd", "65001", "/run/sshd", "/usr/sbin/nologin")
    _add_user(upper, USER, "65002", f"/home/{USER}", "/bin/bash")
    (upper / "home" / USER).mkdir(parents=True, exist_ok=True)
    sudoers = upper / "etc/sudoers.d/lab"
    sudoers.parent.mkdir(exist_ok=True)
    sudoers.write_text(f"{USER} ALL=(ALL) NOPASSWD: ALL\n")
    sudoers.chmod(0o440)


def connect(workplace: Workplace, nodes: Mapping[str, Node]) -> SshClient:
    """Open a door to the sshd of every node."""
    folder = client_folder(workplace)
    hosts = []
    for name, node in nodes.items():
        port, _ = open_door(workplace, f"ssh-{name}", node.init, "127.0.0.1", 22)
        hosts.append(_HOST.format(name=name, port=port))
    config = folder / "config"
    config.write_text("".join([*hosts, _EVERY.format(user=USER, folder=folder)]))
    program = folder / "bin/ssh"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {config} "$@"\n')
    program.chmod(0o755)
    return SshClient(config=config, path=program.parent)


def _make_key(file: Path) -> None:
    argv = ["/usr/bin/ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file)]
    subprocess.run(argv, check=True, timeout=60)


def _add_user(upper: Path, name: str, number: str, home: str, shell: str) -> None:
    """Add a user without a password to the node's copies of the machine's files."""
    lines = {
        "passwd": f"{name}:x:{number}:{number}::{home}:{shell}\n",
        "group": f"{name}:x:{number}:\n",
        "shadow": f"{name}:*:19000:0:99999:7:::\n",
    }
    for file, line in lines.items():
        own = upper / "etc" / file
        if not own.exists():
            shutil.copy(Path("/etc") / file, own)
        kept = [x for x in own.read_text().splitlines(True) if not x.startswith(f"{name}:")]
        own.write_text("".join([*kept, line]))
