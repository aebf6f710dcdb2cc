"""Whether the CDI specs of a node can be used: read by the library, and true of this node.

Source of what a container then says: pkg/cdi/{cache,container-edits_unix}.go of
tags.cncf.io/container-device-interface.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from pytest_gpu.causes import Evidence, Finding, join
from pytest_gpu.diagnose.cdi_fix import reader_version, remake
from pytest_gpu.diagnose.cdi_ways import CONTAINERD, Way, ways
from pytest_gpu.errors import Unproven
from pytest_gpu.evidence import Entry
from pytest_gpu.node import cdi
from pytest_gpu.node.cdi import CdiEdits, CdiNode, CdiSpec, CdiSpecs
from pytest_gpu.node.gpu_node import GpuNode
from pytest_gpu.node.hints import known

_ABSENT = "no such file or directory"
_TYPES = {"char": "c", "block": "b", "fifo": "p"}
# Those whose version is the driver's; others of NVIDIA's have versions of their own.
_LIBRARY = re.compile(
    r"lib(?:cuda|nvidia-ml|nvidia-ptxjitcompiler|cudadebugger)\.so\.(\d+\.\d+(?:\.\d+)?)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """The specs that one reader sees, and the ways of asking that go through it."""

    reader: str
    specs: CdiSpecs
    ways: tuple[Way, ...]

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds that are asked for."""
        return frozenset(kind for way in self.ways for kind in way.kinds)

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices that must be there, each once."""
        return tuple(dict.fromkeys(name for way in self.ways for name in way.devices))

    @property
    def directories(self) -> tuple[str, ...]:
        """Where specs are looked for."""
        return self.specs.directories

    def told(self, device: str) -> Evidence:
        """Return where it is told that a device is asked for."""
        return next((way.said for way in self.ways if device in way.devices), self.ways[0].said)

    @property
    def needed(self) -> tuple[str, ...]:
        """The devices asked for, and all of a kind of which none is named."""
        named = {name.partition("=")[0] for name in self.devices}
        rest = [n for n, spec in self.specs.resolved.items() if spec.kind in self.kinds - named]
        return (*self.devices, *rest)


def registries(node: GpuNode) -> tuple[Registry, ...]:
    """Return what each reader of specs sees that is asked for devices.

    Raises:
        NotInEvidence: what is asked for here was not read.
    """
    found: dict[tuple[str, ...], list[Way]] = {}
    for way in ways(node):
        found.setdefault((way.reader, *way.directories), []).append(way)
    return tuple(
        Registry(reader=key[0], specs=_specs(node, key[1:]), ways=tuple(each))
        for key, each in found.items()
    )


def _specs(node: GpuNode, directories: tuple[str, ...]) -> CdiSpecs:
    if directories == node.containerd.config.cdi_dirs:
        return node.cdi
    return cdi.read(node.evidence, directories)


def spec_in_use_wrong(node: GpuNode) -> Finding | None:
    """Find what is wrong with a spec from which containers get their GPUs.

    Raises:
        NotInEvidence: a directory or a path was not looked at.
        Unproven: a spec is of a version that this containerd may not know.
    """
    for registry in registries(node):
        if registry.specs.unknown:
            raise Unproven(f"nobody listed {join(registry.specs.unknown)}")
        if finding := _refused(node, registry) or _conflict(node, registry):
            return finding
        for spec, edits in _needed(registry):
            if finding := _untrue(node, spec, edits):
                return finding
        _prove_version(node, registry)
    return None


def spec_at_rest_wrong(node: GpuNode) -> Finding | None:
    """Find what is wrong with a spec of NVIDIA's that nothing asks for now: a hint, no more."""
    for spec in node.cdi.specs:
        if not spec.nvidias:
            continue
        if spec.error:
            return _invalid(node, spec)
        for edits in (spec.edits, *spec.devices.values()):
            if finding := known(partial(_untrue, node, spec, edits)):
                return finding
    return None


def _refused(node: GpuNode, registry: Registry) -> Finding | None:
    """Find a spec that the library refuses, and with it a device that is asked for."""
    lost = [name for name in registry.devices if name not in registry.specs.resolved]
    if registry.devices and not lost:
        return None
    for spec in registry.specs.specs:
        asked = spec.kind in registry.kinds or (not spec.kind and spec.nvidias)
        if spec.error and asked:
            return _invalid(node, spec)
    return None


def _invalid(node: GpuNode, spec: CdiSpec) -> Finding:
    return node.finding(
        "runtime/cdi-spec-invalid",
        Evidence(source=spec.path, line=spec.line, text=spec.error),
        path=spec.path,
        why=spec.error,
        remake=remake(node, spec.path, spec.kind),
    )


def _conflict(node: GpuNode, registry: Registry) -> Finding | None:
    """Find a device that two files of one directory define: then neither counts."""
    for name, (first, second) in registry.specs.conflicts.items():
        if name in registry.devices or name.partition("=")[0] in registry.kinds:
            text = f'conflicting device "{name}" (specs "{second}", "{first}")'
            return node.finding(
                "runtime/cdi-device-conflict",
                Evidence(source=first, text=f"defines {name}"),
                Evidence(source=second, text=f"defines it, too: {text}"),
                device=name,
                first=first,
                second=second,
            )
    return None


def _needed(registry: Registry) -> Iterator[tuple[CdiSpec, CdiEdits]]:
    """Yield each piece of a spec that a container gets which asks for a needed device."""
    seen = set()
    for name in registry.needed:
        spec = registry.specs.resolved.get(name)
        if spec is None:
            continue
        if spec.path not in seen:
            seen.add(spec.path)
            yield spec, spec.edits
        yield spec, spec.devices[name]


def _untrue(node: GpuNode, spec: CdiSpec, edits: CdiEdits) -> Finding | None:
    """Find what a spec names that is not so on this node."""
    return (
        _gone(node, spec, edits)
        or _other_numbers(node, spec, edits)
        or _other_driver(node, spec, edits)
        or _no_hook(node, spec, edits)
    )


def _gone(node: GpuNode, spec: CdiSpec, edits: CdiEdits) -> Finding | None:
    nodes = {e.path: why for e in edits.nodes if not _is_told(e) and (why := _why(node, e.path))}
    mounts = [path for path in edits.mounts if _entry(node, path) is None]
    if not nodes and not mounts:
        return None
    said = [f'failed to stat CDI host device "{path}": {why}' for path, why in nodes.items()]
    said += [f'error mounting "{path}": {_ABSENT}' for path in mounts]
    return _stale(node, spec, f"names {join([*nodes, *mounts])}: not there", *said[:1])


def _stale(node: GpuNode, spec: CdiSpec, text: str, *said: str) -> Finding:
    return node.finding(
        "runtime/cdi-spec-stale",
        Evidence(source=spec.path, text=text),
        *(Evidence(source="a container would say", text=each) for each in said),
        *_versions(node, text),
        path=spec.path,
        remake=remake(node, spec.path, spec.kind),
    )


def _versions(node: GpuNode, text: str) -> Iterator[Evidence]:
    """Yield the driver that is loaded, where a spec was made for another one."""
    loaded = known(lambda: node.driver.version)
    if loaded and any(version != loaded for version in _LIBRARY.findall(text)):
        yield Evidence(source=node.driver.version_source, text=f"the loaded driver is {loaded}")


def _is_told(each: CdiNode) -> bool:
    """Say whether the library needs no look at the host: type and major stand in the spec."""
    return bool(each.type) and (each.numbers is not None or each.type == "p")


def _why(node: GpuNode, path: str) -> str | None:
    """Return why the library cannot take a device node from the host, in its words."""
    entry = node.evidence.entry(path)
    if entry is None:
        return _ABSENT
    return None if entry.kind in _TYPES else "not a device node"


def _entry(node: GpuNode, path: str) -> Entry | None:
    """Return what a path leads to: a mount follows links."""
    return node.evidence.entry(node.evidence.resolve(path))


def _other_numbers(node: GpuNode, spec: CdiSpec, edits: CdiEdits) -> Finding | None:
    """Find a device node whose type or numbers are others than the spec's."""
    for each in edits.nodes:
        if not each.type and each.numbers is None:
            continue
        entry = node.evidence.entry(each.path)
        if entry is None:
            return _stale(node, spec, f"names {each.path}: not there")
        kind = _TYPES.get(entry.kind)
        # A spec of a type "u" means the same as "c": an unbuffered character device.
        if kind is None or each.type.replace("u", "c") not in {"", kind}:
            text = f"says that {each.path} is of type {each.type}: it is a {entry.kind}"
            return _renumbered(node, spec, each, text)
        if each.numbers and entry.device and entry.device != each.numbers:
            told, there = _pair(each.numbers), _pair(entry.device)
            text = f"says that {each.path} is {told}: it is {there}"
            return _renumbered(node, spec, each, text)
    return None


def _renumbered(node: GpuNode, spec: CdiSpec, each: CdiNode, text: str) -> Finding:
    return node.finding(
        "runtime/cdi-node-numbers",
        Evidence(source=spec.path, text=text),
        path=spec.path,
        device=each.path,
        remake=remake(node, spec.path, spec.kind),
    )


def _pair(numbers: tuple[int, int]) -> str:
    return f"{numbers[0]}:{numbers[1]}"


def _other_driver(node: GpuNode, spec: CdiSpec, edits: CdiEdits) -> Finding | None:
    """Find a library that is there, and is not of the driver that is loaded."""
    found = {path: match[1] for path in edits.mounts if (match := _LIBRARY.search(path))}
    if not found:
        return None
    loaded = known(lambda: node.driver.version)
    wrong = {path: version for path, version in found.items() if loaded and version != loaded}
    for path, version in wrong.items():
        return node.finding(
            "runtime/cdi-library-of-other-driver",
            Evidence(source=spec.path, text=f"mounts {path}"),
            Evidence(source=node.driver.version_source, text=f"the loaded driver is {loaded}"),
            path=spec.path,
            library=path,
            version=version,
            loaded=str(loaded),
            remake=remake(node, spec.path, spec.kind),
        )
    return None


def _no_hook(node: GpuNode, spec: CdiSpec, edits: CdiEdits) -> Finding | None:
    """Find a hook whose program is not there or cannot be run."""
    for path in dict.fromkeys(edits.hooks):
        entry = _entry(node, path)
        if entry is None:
            why = "is not there"
        elif entry.kind != "file" or (entry.mode is not None and not entry.mode & 0o111):
            why = f"cannot be run ({_shown(entry)})"
        else:
            continue
        return node.finding(
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


def _prove_version(node: GpuNode, registry: Registry) -> None:
    """Make sure that containerd knows the version of every spec that is needed.

    Raises:
        Unproven: one is of a version that came later than what this containerd surely knows.
    """
    if registry.reader != CONTAINERD:
        return  # the NVIDIA runtime and the specs come from one release
    used: Mapping[str, CdiSpec] = registry.specs.resolved
    surely = reader_version(node.containerd.version)
    for name in registry.needed:
        spec = used.get(name)
        if spec and tuple(map(int, spec.version.split("."))) > surely:
            raise Unproven(
                f"whether containerd {node.containerd.release} knows CDI version {spec.version},"
                f" which {spec.path} needs"
            )
