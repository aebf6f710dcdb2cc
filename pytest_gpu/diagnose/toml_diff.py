"""Proposed changes to containerd's files, as unified diffs that keep comments and order."""

from __future__ import annotations

import difflib

import tomlkit
from tomlkit.items import Table

from pytest_gpu.node.config_file import CRI_V1, CRI_V2, CRI_V3, ConfigFile

RUNC_TYPE = "io.containerd.runc.v2"


def cri_plugin(version: int) -> str:
    """Return the name of the CRI section in a file of this version."""
    return {1: CRI_V1, 2: CRI_V2}.get(version, CRI_V3)


def with_handler(
    file: ConfigFile, handler: str, *, binary: str | None, systemd_cgroup: bool
) -> str:
    """Return the diff that adds a handler to a file.

    Args:
        file: the file as it is; an empty text makes a new file.
        handler: the handler's name.
        binary: its ``BinaryName``; ``None`` for runc itself.
        systemd_cgroup: its ``SystemdCgroup``.
    """
    document = tomlkit.parse(file.text)
    if not file.text.strip():
        document["version"] = file.version
    runtimes: Table | tomlkit.TOMLDocument = document
    for key in ("plugins", cri_plugin(file.version), "containerd", "runtimes"):
        if key not in runtimes:
            runtimes[key] = tomlkit.table(is_super_table=True)
        runtimes = runtimes[key]
    runtimes[handler] = _handler(binary, systemd_cgroup=systemd_cgroup)
    # tomlkit indents the new header like its neighbours, but not the lines below it.
    runtimes[handler].trivia.indent = ""
    return diff(file.path, file.text, tomlkit.dumps(document))


def _handler(binary: str | None, *, systemd_cgroup: bool) -> Table:
    options = tomlkit.table()
    if binary:
        options["BinaryName"] = binary
    options["SystemdCgroup"] = systemd_cgroup
    handler = tomlkit.table()
    handler["runtime_type"] = RUNC_TYPE
    handler["options"] = options
    return handler


def new_file(path: str, text: str) -> str:
    """Return the diff that creates a file."""
    return diff(path, "", text)


def diff(path: str, before: str, after: str) -> str:
    """Return a unified diff that ``patch -p0`` takes; ``before`` empty means a new file."""
    lines = difflib.unified_diff(
        before.splitlines(),
        after.splitlines(),
        fromfile=path if before else "/dev/null",
        tofile=path,
        lineterm="",
    )
    return "\n".join(lines)
