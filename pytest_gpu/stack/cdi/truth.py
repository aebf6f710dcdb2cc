"""What a CDI spec names, compared with the node: device nodes, libraries, hooks.

Source of the errors that a container then reports: pkg/cdi/container-edits_unix.go of
tags.cncf.io/container-device-interface.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from pytest_gpu.causes import Evidence, Finding, join
from pytest_gpu.evidence import Entry
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.stack.cdi.refresh import said_of
from pytest_gpu.stack.cdi.regenerate import remake
from pytest_gpu.stack.cdi.specs import CdiEdits, CdiNode, CdiSpec
from pytest_gpu.stack.gpu.driver import driver_of

_ABSENT = "no such file or directory"
_TYPES = {"char": "c", "block": "b", "fifo": "p"}
# Libraries with the driver's version. Other NVIDIA libraries have versions of their own, and so
# does Jetson's libcuda.so.1.1.
_LIBRARY = re.compile(
    r"lib(?:cuda|nvidia-ml|nvidia-ptxjitcompiler|cudadebugger)"
    r"\.so\.(\d{3,}\.\d+(?:\.\d+)?)(?![\w.])"
)


def untrue(node: Node, spec: CdiSpec, edits: CdiEdits) -> Finding | None:
    """Find what a spec names that does not match this node, and why it was not made anew."""
    looks = (_gone, _other_numbers, _other_driver, _no_hook)
    found = next((each for look in looks if (each := look(node, spec, edits))), None)
    if found is None:
        return None
    return replace(found, evidence=(*found.evidence, *said_of(node, spec.path)))


def _gone(node: Node, spec: CdiSpec, edits: CdiEdits) -> Finding | None:
    nodes = {e.path: why for e in edits.nodes if not _is_told(e) and (why := _why(node, e.path))}
    mounts = [path for path in edits.mounts if followed(node, path) is None]
    if not nodes and not mounts:
        return None
    said = [f'failed to stat CDI host device "{path}": {why}' for path, why in nodes.items()]
    said += [f'error mounting "{path}": {_ABSENT}' for path in mounts]
    return _stale(node, spec, f"names {join([*nodes, *mounts])}: not there", *said[:1])


def _stale(node: Node, spec: CdiSpec, text: str, *said: str) -> Finding:
    return Finding.of(
        "runtime/cdi-spec-stale",
        Evidence(source=spec.path, text=text),
        *(Evidence(source="a container would say", text=each) for each in said),
        *_versions(node, text),
        path=spec.path,
        remake=remake(node, spec.path, spec.kind),
    )


def _versions(node: Node, text: str) -> Iterator[Evidence]:
    """Yield the loaded driver if a spec was made for another one."""
    loaded = known(lambda: driver_of(node).version)
    if loaded and any(version != loaded for version in _LIBRARY.findall(text)):
        yield Evidence(source=driver_of(node).version_source, text=f"the loaded driver is {loaded}")


def _is_told(each: CdiNode) -> bool:
    """Say whether the library need not check the host: the spec sets type and major."""
    return bool(each.type) and (each.numbers is not None or each.type == "p")


def _why(node: Node, path: str) -> str | None:
    """Return why the library cannot take a device node from the host, in its words."""
    entry = node.evidence.entry(path)
    if entry is None:
        return _ABSENT
    return None if entry.kind in _TYPES else "not a device node"


def followed(node: Node, path: str) -> Entry | None:
    """Return what a path leads to, since a mount follows links."""
    entry = node.evidence.entry(path)
    if entry is None or entry.kind != "symlink":
        return entry
    return node.evidence.entry(node.evidence.resolve(path))


def _other_numbers(node: Node, spec: CdiSpec, edits: CdiEdits) -> Finding | None:
    """Find a device node whose type or numbers differ from the spec's."""
    for each in edits.nodes:
        if not each.type and each.numbers is None:
            continue
        entry = node.evidence.entry(each.path)
        if entry is None:
            return _stale(node, spec, f"names {each.path}: not there")
        kind = _TYPES.get(entry.kind)
        # Type "u" in a spec means the same as "c": an unbuffered character device.
        if kind is None or each.type.replace("u", "c") not in {"", kind}:
            text = f"says that {each.path} is of type {each.type}, but it is a {entry.kind}"
            return _renumbered(node, spec, each, text)
        if each.numbers and entry.device and entry.device != each.numbers:
            told, there = _pair(each.numbers), _pair(entry.device)
            text = f"says that {each.path} is {told}, but it is {there}"
            return _renumbered(node, spec, each, text)
    return None


def _renumbered(node: Node, spec: CdiSpec, each: CdiNode, text: str) -> Finding:
    return Finding.of(
        "runtime/cdi-node-numbers",
        Evidence(source=spec.path, text=text),
        path=spec.path,
        device=each.path,
        remake=remake(node, spec.path, spec.kind),
    )


def _pair(numbers: tuple[int, int]) -> str:
    return f"{numbers[0]}:{numbers[1]}"


def _other_driver(node: Node, spec: CdiSpec, edits: CdiEdits) -> Finding | None:
    """Find a library that exists but is not the loaded driver's."""
    found = {path: match[1] for path in edits.mounts if (match := _LIBRARY.search(path))}
    if not found:
        return None
    loaded = known(lambda: driver_of(node).version)
    wrong = {path: version for path, version in found.items() if loaded and version != loaded}
    for path, version in wrong.items():
        return Finding.of(
            "runtime/cdi-library-of-other-driver",
            Evidence(source=spec.path, text=f"mounts {path}"),
            Evidence(source=driver_of(node).version_source, text=f"the loaded driver is {loaded}"),
            path=spec.path,
            library=path,
            version=version,
            loaded=str(loaded),
            remake=remake(node, spec.path, spec.kind),
        )
    return None


def _no_hook(node: Node, spec: CdiSpec, edits: CdiEdits) -> Finding | None:
    """Find a hook whose program is missing or cannot be run."""
    for path in dict.fromkeys(edits.hooks):
        entry = followed(node, path)
        if entry is None:
            why = "is not there"
        elif entry.kind != "file" or (entry.mode is not None and not entry.mode & 0o111):
            why = f"cannot be run ({_shown(entry)})"
        else:
            continue
        return Finding.of(
            "runtime/cdi-hook-missing",
            Evidence(source=spec.path, text=f"runs the hook {path}"),
            Evidence(source=path, text=why),
            path=spec.path,
            hook=path,
            why=why,
            remake=remake(node, spec.path, spec.kind),
        )
    return None


def _shown(entry: Entry) -> str:
    return entry.kind if entry.mode is None else f"{entry.kind}, mode {entry.mode:04o}"
