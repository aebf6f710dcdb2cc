"""Units of a node on which a real systemd is PID 1."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

UNITS = "etc/systemd/system"

# A target of our own, so that nothing of what the machine starts is started here.
_TARGET = """\
[Unit]
Description=Kubernetes node
DefaultDependencies=no
AllowIsolate=yes
Wants=systemd-journald.socket systemd-journald.service dbus.socket {services}
"""
_SERVICE = """\
[Unit]
Description={name}
DefaultDependencies=no
After=systemd-journald.socket {after}

[Service]
Type={kind}
ExecStart={command}
Delegate=yes
KillMode=process
Restart=always
RestartSec=2
"""
# Without CAP_SYS_RESOURCE neither an OOM score below zero nor a higher limit can be had.
_MODEST = "[Service]\nOOMScoreAdjust=0\nLimitNOFILE=\nLimitNOFILE=1024\n"
_EARLY = "[Unit]\nDefaultDependencies=no\n"


def write_units(upper: Path, daemons: Mapping[str, Sequence[str]]) -> None:
    """Write the units below ``upper``; ``daemons`` are name and command in order of start."""
    services = " ".join(f"{name}.service" for name in daemons)
    texts = {
        "node.target": _TARGET.format(services=services),
        "systemd-journald.service.d/lab.conf": _MODEST,
        "dbus.service.d/lab.conf": _EARLY + "[Service]\nOOMScoreAdjust=0\n",
        "dbus.socket.d/lab.conf": _EARLY,
    }
    after = ""
    for name, command in daemons.items():
        texts[f"{name}.service"] = _SERVICE.format(
            name=name,
            after=after,
            kind="notify" if name == "containerd" else "simple",
            command=shlex.join(command).replace("$", "$$"),
        )
        after = f"{name}.service"
    for name, text in texts.items():
        file = upper / UNITS / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
