"""Proposed changes to TOML files, as patches that keep comments and order."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pytest_gpu.stack.containerd.config_file import RUNC_TYPE, ConfigFile, cri_plugin
from pytest_gpu.stack.repair.patch import patch, unix
from pytest_gpu.steps import Step, Steps

Keys = tuple[str, ...]


def with_handler(
    file: ConfigFile, handler: str, *, binary: str | None, systemd_cgroup: bool
) -> Steps:
    """Return the patch that adds a handler to a file, in words where the file cannot be patched.

    Args:
        file: the file as it is; an empty text makes a new file.
        handler: the handler's name.
        binary: its ``BinaryName``; ``None`` for runc itself.
        systemd_cgroup: its ``SystemdCgroup``.
    """
    keys = ("plugins", cri_plugin(file.version), "containerd", "runtimes", handler)
    changes: dict[Keys, Any] = {keys: handler_table(binary, systemd_cgroup=systemd_cgroup)}
    if not file.text.strip():
        changes = {("version",): file.version, **changes}
    return changed(file.path, file.text or None, changes)


def handler_table(binary: str | None, *, systemd_cgroup: bool) -> Mapping[str, Any]:
    """Return what a handler's table holds; ``binary`` is ``None`` for runc itself."""
    options = {"BinaryName": binary} if binary else {}
    return {"runtime_type": RUNC_TYPE, "options": {**options, "SystemdCgroup": systemd_cgroup}}


def changed(path: str, text: str | None, changes: Mapping[Keys, Any]) -> Steps:
    """Return the patch that changes a TOML file, in words where its layout allows none.

    Args:
        path: where it is.
        text: what it says; ``None`` makes it anew.
        changes: wanted values by their keys; ``None`` removes, a mapping is merged in.
    """
    after = edited(text or "", changes)
    if after is None:
        return (Step("words", f"Edit {path} by hand so that it contains:\n{told(changes)}"),)
    return patch(path, text, after)


def edited(text: str, changes: Mapping[Keys, Any]) -> str | None:
    """Return the text changed, ``None`` where that cannot be done faithfully."""
    return _edited(unix(text), tuple((keys, json.dumps(each)) for keys, each in changes.items()))


@lru_cache(maxsize=128)
def _edited(text: str, changes: tuple[tuple[Keys, str], ...]) -> str | None:
    """Change a text once for all nodes of a fleet, whose files are alike."""
    from pytest_gpu.stack.repair import toml_edit  # noqa: PLC0415 - tomlkit is slow, findings are rare

    return toml_edit.edited(text, {keys: json.loads(value) for keys, value in changes})


def told(changes: Mapping[Keys, Any]) -> str:
    """Return changes as a piece of TOML; what is to be removed as a comment."""
    removed = [f"# without {'.'.join(keys)}" for keys, value in changes.items() if value is None]
    kept = {keys: value for keys, value in changes.items() if value is not None}
    return "\n".join([*removed, (edited("", kept) or "").strip()]).strip()


def new_file(path: str, text: str) -> Steps:
    """Return the patch that creates a file."""
    return patch(path, None, text)
