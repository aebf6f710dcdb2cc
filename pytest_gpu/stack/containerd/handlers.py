"""The entries of containerd's table of runtimes, with runc's options under their own names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pytest_gpu.causes import Evidence
from pytest_gpu.stack.containerd.values import Decoder, TomlValue
from pytest_gpu.stack.cri.handler import Handler
from pytest_gpu.text.naming import listed

_SHOWN = 20

RUNC_OPTIONS = (
    *("BinaryName", "SystemdCgroup", "Root", "ShimCgroup", "NoPivotRoot", "NoNewKeyring"),
    *("IoGid", "IoUid", "CriuPath", "CriuImagePath", "CriuWorkPath"),
)
"""The names of runc's options in its options type (containerd's runcoptions)."""

BUILT_IN_RUNC = Handler(
    name="runc",
    runtime_type="io.containerd.runc.v2",
    binary=None,
    systemd_cgroup=False,
    source=Evidence(source="containerd", text="built-in default: runc"),
)


def handler_of(name: str, entry: TomlValue, *, modern: bool) -> Handler:
    """Return one entry of the runtimes table as a handler."""

    def get(key: str, default: Any) -> Any:
        told = entry.value.get(key)
        return default if told is None else told.value

    default_type = BUILT_IN_RUNC.runtime_type if modern and name == "runc" else ""
    options = _options(entry.get("options"), modern=modern)
    binary = options.get("BinaryName")
    return Handler(
        name=name,
        runtime_type=get("runtime_type", default=default_type),
        binary=binary if isinstance(binary, str) and binary else None,
        systemd_cgroup=options.get("SystemdCgroup") is True,
        source=entry.evidence,
        options=options,
        runtime_path=get("runtime_path", default=""),
        pod_annotations=tuple(get("pod_annotations", default=())),
        container_annotations=tuple(get("container_annotations", default=())),
        privileged_without_host_devices=get("privileged_without_host_devices", default=False),
        base_runtime_spec=get("base_runtime_spec", default=""),
        cni_conf_dir=get("cni_conf_dir", default=""),
        snapshotter=get("snapshotter", default=""),
    )


def _options(table: TomlValue | None, *, modern: bool) -> Mapping[str, Any]:
    """Return the options; runc's are matched to their names by the rules of the decoder."""
    if table is None:
        return {}
    decoder = Decoder(modern=modern)
    known = {name: decoder.pick(table, name) for name in RUNC_OPTIONS}
    found = {name: told.plain() for name, told in known.items() if told}
    taken = {name.lower() for name in found}
    rest = {key: each.plain() for key, each in table.value.items() if key.lower() not in taken}
    return {**found, **rest}


def shown(runtimes: Iterable[str], none: str = "none") -> str:
    """Return the names of runtimes for people: who has more than a few has made a mistake."""
    return listed(runtimes, _SHOWN) or none
