"""What a start of the NVIDIA container toolkit writes to containerd's files, without starting it.

Source: nvidia-container-toolkit ``cmd/nvidia-ctk-installer`` and ``pkg/config/engine/containerd``
(``AddRuntime``, ``ConfigWithDropIn.Save``). Checked against what nvidia-ctk 1.17.8 and 1.20.0
wrote for many inputs.
"""

from __future__ import annotations

import copy
import json
import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_gpu.stack.containerd.config_file import RUNC_TYPE, Table, cri_plugin, subtable

DROP_IN_SINCE = (1, 18, 0)
"""From this release on the toolkit writes a drop-in and only imports it in the file itself."""

LOW_LEVEL = ("runc", "crun")
"""The handlers whose options the new handlers copy: the first one that is defined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a toolkit is set to do: files by their paths on the host, handlers with their binary.

    ``default`` is the handler to make containerd's default, ``None`` to leave that as it is.
    """

    config: str
    drop_in: str
    handlers: Mapping[str, str]
    default: str | None
    cdi: bool
    version: tuple[int, ...]


def next_files(
    read: Callable[[str], Table | None], order: Order, dump: Table | None = None
) -> Mapping[str, Table]:
    """Return the files that the toolkit's next start writes, as tables by path.

    Args:
        read: returns the content of a file now, ``None`` if there is none.
        order: the toolkit's settings.
        dump: what ``containerd config dump`` prints, if the toolkit starts from that;
            ``None`` if it starts from the file.
    """
    file = read(order.config) or {}
    source = file if dump is None else dump
    version = _version(source)
    if order.version < DROP_IN_SINCE:
        return {order.config: _with_handlers(source, order, version)}
    if version == 1:
        # A version 1 file has no imports: everything goes into the drop-in, which is never read.
        return {order.drop_in: _with_handlers(source, order, version)}
    section = {cri_plugin(version): subtable(subtable(source, "plugins"), cri_plugin(version))}
    drop_in = _with_handlers({"version": version, "plugins": section}, order, version)
    # The order matters: a drop-in with the file's own path is lost.
    return {order.drop_in: drop_in, order.config: _importing(file, order, version)}


def _version(table: Table) -> int:
    """Return the version to write: 2 for a new file, 1 for a file that sets none."""
    found = table.get("version", 1) if table else 2
    return found if isinstance(found, int) else 1


def _with_handlers(source: Table, order: Order, version: int) -> Table:
    table: dict[str, Any] = copy.deepcopy(dict(source))
    table["version"] = version
    section = _dig(table, "plugins", cri_plugin(version))
    containerd = _dig(section, "containerd")
    runtimes = _dig(containerd, "runtimes")
    for name, binary in order.handlers.items():
        _add(runtimes, name, binary, old=version == 1)
    if order.default is not None:
        containerd["default_runtime_name"] = order.default
    if order.cdi:
        (containerd if version == 1 else section)["enable_cdi"] = True
    return table


def _add(runtimes: dict[str, Any], name: str, binary: str, *, old: bool) -> None:
    model = next((runtimes[each] for each in LOW_LEVEL if each in runtimes), None)
    if model is not None:
        runtimes[name] = copy.deepcopy(model)
    handler = runtimes.setdefault(name, dict(_NEW))
    options = _dig(handler, "options")
    options["BinaryName"] = binary
    if old:
        options["Runtime"] = binary


_NEW: Mapping[str, Any] = {
    "runtime_type": RUNC_TYPE,
    "runtime_root": "",
    "runtime_engine": "",
    "privileged_without_host_devices": False,
}


def _dig(table: dict[str, Any], *keys: str) -> dict[str, Any]:
    """Return a table within a table, which is created if it is missing."""
    for key in keys:
        if not isinstance(table.get(key), dict):
            table[key] = {}
        table = table[key]
    return table


def _importing(file: Table, order: Order, version: int) -> Table:
    """Return the file with the drop-in's folder among its imports."""
    table = dict(file) or {"version": version}
    pattern = posixpath.join(posixpath.dirname(order.drop_in), "*.toml")
    told = table.get("imports")
    imports = [str(each) for each in told] if isinstance(told, list) else []
    return table if pattern in imports else {**table, "imports": [*imports, pattern]}


def dumps(table: Table) -> str:
    """Return a table as TOML with every value on one line, for programs to read."""
    return "".join(f"{_key(key)} = {_value(value)}\n" for key, value in table.items())


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_key(key)} = {_value(each)}" for key, each in value.items())
        return f"{{{inner}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str | bool | int):
        # A JSON string is also a TOML string.
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _key(key: str) -> str:
    return json.dumps(key, ensure_ascii=False)
