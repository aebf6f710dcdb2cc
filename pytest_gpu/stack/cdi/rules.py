"""What the CDI library requires of a spec whose shape is right, in its order and its words.

Sources: pkg/cdi/{spec,device,container-edits}.go, pkg/parser/parser.go and specs-go/version.go of
tags.cncf.io/container-device-interface 0.8 and 1.0; 1.1.0 for what it added.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pytest_gpu.stack.cdi.document import BadSpec, Path

VERSIONS = (
    "0.1.0",
    "0.2.0",
    "0.3.0",
    "0.4.0",
    "0.5.0",
    "0.6.0",
    "0.7.0",
    "0.8.0",
    "1.0.0",
    "1.1.0",
)
"""Every released version of the specification, the oldest first."""
EARLIEST = "0.3.0"

HOOKS = frozenset(
    {"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"}
)
_LETTER = re.compile(r"[A-Za-z]")
_ALNUM = re.compile(r"[A-Za-z0-9]")

Edits = Mapping[str, Any]
Problem = tuple[Path, str]


def check(spec: Mapping[str, Any] | None) -> None:
    """Check a spec that :func:`~pytest_gpu.stack.cdi.shape.shaped` returned.

    Raises:
        BadSpec: the library refuses it; the text is the first error that it would report.
    """
    for path, text in [((), "no Spec data")] if spec is None else _problems(spec):
        raise BadSpec(text, path)


def version_of(spec: Mapping[str, Any]) -> str:
    """Return a spec's version without a leading ``v``."""
    return str(spec.get("cdiVersion", "")).removeprefix("v")


def _problems(spec: Mapping[str, Any]) -> Iterator[Problem]:
    yield from _version(spec)
    vendor, class_ = split_kind(str(spec.get("kind", "")))
    for what, name in (("vendor", vendor), ("class", class_)):
        if wrong := _name_problem(name):
            yield ("kind",), f"invalid {what}. {wrong}"
    yield from _edits(spec.get("containerEdits") or {}, ("containerEdits",))
    yield from _devices(spec.get("devices") or ())


def _version(spec: Mapping[str, Any]) -> Iterator[Problem]:
    version = version_of(spec)
    if version not in VERSIONS:
        yield ("cdiVersion",), f'invalid version "{spec.get("cdiVersion", "")}"'
        return
    least, path = minimum(spec)
    if VERSIONS.index(least) > VERSIONS.index(version):
        said = f"the spec version must be at least v{least}"
        yield path, f"{said} (is {version}) for {'.'.join(map(str, path))}"


def minimum(spec: Mapping[str, Any]) -> tuple[str, Path]:
    """Return the oldest version that has all that a spec uses, and what requires that version."""
    found = [(EARLIEST, ("cdiVersion",)), *_needs(spec)]
    return max(found, key=lambda need: VERSIONS.index(need[0]))


def _needs(spec: Mapping[str, Any]) -> Iterator[tuple[str, Path]]:
    """Yield each feature that a spec uses and the earliest version lacks, with its version."""
    if spec.get("annotations"):
        yield "0.6.0", ("annotations",)
    vendor, class_ = split_kind(str(spec.get("kind", "")))
    if vendor and "." in class_:
        yield "0.6.0", ("kind",)
    yield from _needs_of_edits(spec.get("containerEdits") or {}, ("containerEdits",))
    for at, device in enumerate(spec.get("devices") or ()):
        path: Path = ("devices", at)
        name = (device or {}).get("name", "")
        if name and not _LETTER.match(name):
            yield "0.5.0", (*path, "name")
        if (device or {}).get("annotations"):
            yield "0.6.0", (*path, "annotations")
        edits = (device or {}).get("containerEdits") or {}
        yield from _needs_of_edits(edits, (*path, "containerEdits"))


def _needs_of_edits(edits: Edits, path: Path) -> Iterator[tuple[str, Path]]:
    for at, mount in enumerate(edits.get("mounts") or ()):
        if mount and mount.get("type"):
            yield "0.4.0", (*path, "mounts", at, "type")
    for at, node in enumerate(edits.get("deviceNodes") or ()):
        if node and node.get("hostPath"):
            yield "0.5.0", (*path, "deviceNodes", at, "hostPath")
            break
    if "intelRdt" in edits:
        yield "0.7.0", (*path, "intelRdt")
        if any(edits["intelRdt"].get(key) for key in ("schemata", "enableMonitoring")):
            yield "1.1.0", (*path, "intelRdt")
    if edits.get("additionalGids"):
        yield "0.7.0", (*path, "additionalGids")
    if edits.get("netDevices"):
        yield "1.1.0", (*path, "netDevices")


def split_kind(kind: str) -> tuple[str, str]:
    """Return vendor and class of a kind; the vendor is empty if the kind is not valid."""
    vendor, slash, class_ = kind.partition("/")
    return (vendor, class_) if slash and vendor and class_ else ("", kind)


def _name_problem(name: str) -> str | None:
    """Return what is wrong with the name of a vendor or a class."""
    if not name:
        return "empty name"
    if not _LETTER.match(name):
        return f'"{name}", should start with letter'
    if len(name) == 1:
        return "runtime error: slice bounds out of range [1:0]"  # the library panics
    if bad := re.search(r"[^A-Za-z0-9_.\-]", name[1:-1]):
        return f"invalid character '{bad[0]}' in name \"{name}\""
    if not _ALNUM.match(name[-1]):
        return f'"{name}", should end with a letter or digit'
    return None


def _device_name_problem(name: str) -> str | None:
    if not name:
        return "invalid (empty) device name"
    if not _ALNUM.match(name):
        return f'invalid class "{name}", should start with a letter or digit'
    if bad := re.search(r"[^A-Za-z0-9_.:\-]", name[1:-1]):
        return f"invalid character '{bad[0]}' in device name \"{name}\""
    if not _ALNUM.match(name[-1]):
        return f'invalid name "{name}", should end with a letter or digit'
    return None


def _devices(devices: Sequence[Mapping[str, Any] | None]) -> Iterator[Problem]:
    seen = set()
    for at, each in enumerate(devices):
        device: Mapping[str, Any] = each or {}
        path: Path = ("devices", at)
        name = str(device.get("name", ""))
        for where, text in _device(device, name, path):
            yield where, f'failed add device "{name}": {text}'
        if name in seen:
            yield (*path, "name"), f'invalid spec, multiple device "{name}"'
        seen.add(name)
    if not devices:
        yield ("devices",), "invalid spec, no devices"


def _device(device: Mapping[str, Any], name: str, path: Path) -> Iterator[Problem]:
    if wrong := _device_name_problem(name):
        yield (*path, "name"), wrong
    edits = device.get("containerEdits") or {}
    if not any(value or key == "intelRdt" for key, value in edits.items()):
        yield path, "invalid device, empty device edits"
    for where, text in _edits(edits, (*path, "containerEdits")):
        yield where, f'invalid device "{name}": {text}'


def _edits(edits: Edits, path: Path) -> Iterator[Problem]:
    for at, text in _env(edits):
        yield (*path, "env", at), f"invalid container edits: {text}"
    for key, rule in _RULES.items():
        for at, item in enumerate(edits.get(key) or ()):
            # Up to 1.0 the library panics on null; later ones report (nil).
            wrong = f"invalid (nil) {key} item" if item is None else rule(item)
            if wrong:
                yield (*path, key, at), wrong
    clos = (edits.get("intelRdt") or {}).get("closID", "")
    if len(clos) >= 4096 or clos in {".", ".."} or re.search(r"[/\n]", clos):
        yield (*path, "intelRdt", "closID"), "invalid ClosID"


def _env(holder: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    for at, each in enumerate(holder.get("env") or ()):
        if (each or "").find("=") <= 0:
            yield at, f'invalid environment variable "{each or ""}"'


def _device_node(node: Mapping[str, Any]) -> str | None:
    path = node.get("path", "")
    if not path:
        return "invalid (empty) device path"
    if node.get("type", "") not in {"", "b", "c", "u", "p"}:
        return f'device "{path}": invalid type "{node["type"]}"'
    if set(node.get("permissions", "")) - set("rwm"):
        return f'device "{path}": invalid permissions "{node["permissions"]}"'
    return None


def _hook(hook: Mapping[str, Any]) -> str | None:
    name = hook.get("hookName", "")
    if name not in HOOKS:
        return f'invalid hook name "{name}"'
    if not hook.get("path"):
        return f'invalid hook "{name}" with empty path'
    for _, text in _env(hook):
        return f'invalid hook "{name}": {text}'
    return None


def _mount(mount: Mapping[str, Any]) -> str | None:
    if not mount.get("hostPath"):
        return "invalid mount, empty host path"
    return None if mount.get("containerPath") else "invalid mount, empty container path"


def _net_device(device: Mapping[str, Any]) -> str | None:
    for key, name in (("hostInterfaceName", "HostInterfaceName"), ("name", "Name")):
        if not device.get(key):
            return f"invalid linux net device, empty {name}"
    return None


_RULES: Mapping[str, Callable[[Mapping[str, Any]], str | None]] = {
    "deviceNodes": _device_node,
    "hooks": _hook,
    "mounts": _mount,
    "netDevices": _net_device,
}
