"""The shape of a CDI spec: which fields it may have, and the type of each value.

Source: specs-go/config.go of tags.cncf.io/container-device-interface up to 1.1.0, read by Go's
encoding/json without unknown fields: names may be in any case, and null counts as not set.
sigs.k8s.io/yaml converts a plain number or boolean to a string where a string is expected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_gpu.stack.cdi.document import BadSpec, Path

Shape = str | Sequence[Any] | Mapping[str, Any]
"""A type (text, int64, uint32, bool), a list's item, or fields; ``*`` stands for any name."""

_TEXTS = ["text"]
EDITS: Shape = {
    "env": _TEXTS,
    "deviceNodes": [
        {
            "path": "text",
            "hostPath": "text",
            "type": "text",
            "major": "int64",
            "minor": "int64",
            "fileMode": "uint32",
            "permissions": "text",
            "uid": "uint32",
            "gid": "uint32",
        }
    ],
    "netDevices": [{"hostInterfaceName": "text", "name": "text"}],
    "mounts": [
        {"hostPath": "text", "containerPath": "text", "options": _TEXTS, "type": "text"},
    ],
    "hooks": [
        {"hookName": "text", "path": "text", "args": _TEXTS, "env": _TEXTS, "timeout": "int64"},
    ],
    "intelRdt": {
        "closID": "text",
        "l3CacheSchema": "text",
        "memBwSchema": "text",
        "schemata": _TEXTS,
        "enableMonitoring": "bool",
        "enableCMT": "bool",
        "enableMBM": "bool",
    },
    "additionalGids": ["uint32"],
}
SPEC: Shape = {
    "cdiVersion": "text",
    "kind": "text",
    "annotations": {"*": "text"},
    "devices": [{"name": "text", "annotations": {"*": "text"}, "containerEdits": EDITS}],
    "containerEdits": EDITS,
}

_RANGES = {"int64": (-(2**63), 2**63 - 1), "uint32": (0, 2**32 - 1)}
_GO = {"text": "string", "bool": "bool", "int64": "int64", "uint32": "uint32"}


def shaped(value: Any, shape: Shape = SPEC, path: Path = ()) -> Any:
    """Return a value with its fields in their proper spelling and without nulls.

    Raises:
        BadSpec: a field is unknown or of another type, in the library's words.
    """
    if value is None:
        return None
    if isinstance(shape, str):
        return _scalar(value, shape, path)
    if isinstance(shape, Mapping):
        return _fields(value, shape, path)
    if not isinstance(value, list):
        raise _misfit(value, "a list", path)
    return [shaped(each, shape[0], (*path, at)) for at, each in enumerate(value)]


def _fields(value: Any, shape: Mapping[str, Any], path: Path) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _misfit(value, "an object", path)
    found = {}
    # The library first converts it to JSON, which sorts the keys and so the errors.
    for key in sorted(value):
        name = _name(key, shape)
        if name is None:
            raise BadSpec(f'json: unknown field "{key}"', (*path, key))
        if value[key] is None and "*" in shape:
            found[name] = ""  # the name is set, only its value is null
        elif value[key] is not None:
            found[name] = shaped(value[key], shape.get(name, shape.get("*")), (*path, key))
    return found


def _name(key: str, shape: Mapping[str, Any]) -> str | None:
    if key in shape or "*" in shape:
        return key
    return next((name for name in shape if name.lower() == key.lower()), None)


def _scalar(value: Any, kind: str, path: Path) -> Any:
    if kind == "text" and isinstance(value, str | bool | int | float):
        return value if isinstance(value, str) else _as_text(value)
    if kind == "bool" and isinstance(value, bool):
        return value
    if kind in _RANGES and isinstance(value, int | float) and not isinstance(value, bool):
        low, high = _RANGES[kind]
        if value == value // 1 and low <= value <= high:
            return int(value)
    raise _misfit(value, _GO[kind], path)


def _as_text(value: float) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value).removesuffix(".0")


def _misfit(value: Any, wanted: str, path: Path) -> BadSpec:
    kinds = {dict: "object", list: "array", str: "string", bool: "bool"}
    got = kinds.get(type(value), f"number {value!s:.40}")
    where = ".".join(str(step) for step in path) or "the document"
    return BadSpec(f"json: cannot unmarshal {got} into {where}, which takes {wanted}", path)
