"""Whether the CDI specs of a node can be used: valid for the library, and true of this node.

Source of the errors that a container then reports: pkg/cdi/{cache,container-edits_unix}.go of
tags.cncf.io/container-device-interface.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from pytest_gpu.causes import Evidence, Finding, join
from pytest_gpu.checks import check, question
from pytest_gpu.errors import Unproven
from pytest_gpu.evidence import Entry
from pytest_gpu.gpu_node import Node, fact
from pytest_gpu.known import known
from pytest_gpu.stack.cdi import specs as cdi_specs
from pytest_gpu.stack.cdi.handler_modes import handlers_used, spec_dirs
from pytest_gpu.stack.cdi.refresh import said_of
from pytest_gpu.stack.cdi.regenerate import remake
from pytest_gpu.stack.cdi.requests import CdiRequest, ways
from pytest_gpu.stack.cdi.specs import CdiEdits, CdiSpec, CdiSpecs, cdi_of
from pytest_gpu.stack.cdi.truth import followed, untrue
from pytest_gpu.stack.kubelet.runtime import runtime_of

_MADE = ("k8s.device-plugin.nvidia.com-", "k8s.gpu.nvidia.com-", "management.nvidia.com-")
"""How the names of specs begin that the device plugin, the DRA driver and the toolkit make."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """The specs that one reader sees, and the requests that it serves."""

    reader: str
    specs: CdiSpecs
    ways: tuple[CdiRequest, ...]

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds that are asked for."""
        return frozenset(kind for way in self.ways for kind in way.kinds)

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices that must be defined, each once."""
        return tuple(dict.fromkeys(name for way in self.ways for name in way.devices))

    @property
    def directories(self) -> tuple[str, ...]:
        """The directories that are searched for specs."""
        return self.specs.directories

    def told(self, device: str) -> Evidence:
        """Return the evidence that a device is asked for."""
        return next((way.said for way in self.ways if device in way.devices), self.ways[0].said)

    @property
    def needed(self) -> tuple[str, ...]:
        """The devices asked for, and all devices of each kind asked for without a name."""
        named = {name.partition("=")[0] for name in self.devices}
        rest = [n for n, spec in self.specs.resolved.items() if spec.kind in self.kinds - named]
        return (*self.devices, *rest)


@fact
def registries(node: Node) -> tuple[Registry, ...]:
    """Return a registry for every reader of specs that serves requests for devices.

    Raises:
        NotInEvidence: what containers ask for here was not collected.
    """
    found: dict[tuple[str, ...], list[CdiRequest]] = {}
    for way in ways(node):
        found.setdefault((way.reader, *way.directories), []).append(way)
    return tuple(
        Registry(reader=key[0], specs=_specs(node, key[1:]), ways=tuple(each))
        for key, each in found.items()
    )


def _specs(node: Node, directories: tuple[str, ...]) -> CdiSpecs:
    if directories == runtime_of(node).cdi_dirs:
        return cdi_of(node)
    return cdi_specs.read(node.evidence, directories)


@question("cdi/specs")
def specs(node: Node) -> object:
    """Return the CDI specs: sandboxes ask for their devices, even if nothing else uses CDI here."""
    return cdi_of(node)


@check("cdi/spec-in-use-wrong")
def spec_in_use_wrong(node: Node) -> Finding | None:
    """Find what is wrong with a spec from which containers get their GPUs.

    Raises:
        NotInEvidence: a directory or a path was not collected.
        Unproven: a spec has a version that this runtime may not know.
    """
    for registry in registries(node):
        if registry.specs.unknown:
            raise Unproven(f"not listed: {join(registry.specs.unknown)}")
        if finding := _refused(node, registry) or _conflict(node, registry):
            return finding
        for spec, edits in _needed(registry):
            if finding := untrue(node, spec, edits):
                return finding
        _prove_version(node, registry)
    return None


@check("cdi/spec-at-rest-wrong")
def spec_at_rest_wrong(node: Node) -> Finding | None:
    """Find what is wrong with an NVIDIA spec that nothing asks for now: only a hint."""
    judged = known(lambda: {id(e) for r in registries(node) for _, e in _needed(r)}) or set()
    for spec in cdi_of(node).specs:
        if not spec.nvidias:
            continue
        if spec.error:
            return _invalid(node, spec)
        pieces = (spec.edits, *spec.devices.values())
        for edits in (each for each in pieces if id(each) not in judged):
            if finding := known(partial(untrue, node, spec, edits)):
                return finding
    return None


@question("cdi/entries-named")
def entries_named(node: Node) -> Iterator[Entry | None]:
    """Yield every path that NVIDIA's specs name, so that one visit collects them all."""
    directories = {runtime_of(node).cdi_dirs}
    directories |= {spec_dirs(config) for _, config in handlers_used(node)}
    for each in directories:
        for spec in _specs(node, each).specs:
            for edits in (spec.edits, *spec.devices.values()) if spec.nvidias else ():
                yield from (node.evidence.entry(one.path) for one in edits.nodes)
                yield from (followed(node, path) for path in (*edits.mounts, *edits.hooks))


def _refused(node: Node, registry: Registry) -> Finding | None:
    """Find a spec that the library refuses and that should define a device asked for."""
    lost = [name for name in registry.devices if name not in registry.specs.resolved]
    if registry.devices and not lost:
        return None
    for spec in registry.specs.specs:
        asked = spec.kind in registry.kinds or (not spec.kind and spec.nvidias)
        if spec.error and asked:
            return _invalid(node, spec)
    return None


def _invalid(node: Node, spec: CdiSpec) -> Finding:
    return Finding.of(
        "runtime/cdi-spec-invalid",
        Evidence(source=spec.path, line=spec.line, text=spec.error),
        *said_of(node, spec.path),
        path=spec.path,
        why=spec.error,
        remake=remake(node, spec.path, spec.kind),
    )


def _conflict(node: Node, registry: Registry) -> Finding | None:
    """Find a device that two files of one directory define: the library then uses neither."""
    for name, (first, second) in registry.specs.conflicts.items():
        if name in registry.devices or name.partition("=")[0] in registry.kinds:
            text = f'conflicting device "{name}" (specs "{second}", "{first}")'
            return Finding.of(
                "runtime/cdi-device-conflict",
                Evidence(source=first, text=f"defines {name}"),
                Evidence(source=second, text=f"defines it as well: {text}"),
                device=name,
                first=first,
                second=second,
                other=second if _is_made(first) or not _is_made(second) else first,
            )
    return None


def _is_made(path: str) -> bool:
    """Say whether a component of NVIDIA's makes a spec of this name whenever it starts."""
    name = posixpath.basename(path)
    return path.endswith("/run/cdi/nvidia.yaml") or name.startswith(_MADE)


def _needed(registry: Registry) -> Iterator[tuple[CdiSpec, CdiEdits]]:
    """Yield each part of a spec that applies to containers asking for a needed device."""
    seen = set()
    for name in registry.needed:
        spec = registry.specs.resolved.get(name)
        if spec is None:
            continue
        if spec.path not in seen:
            seen.add(spec.path)
            yield spec, spec.edits
        yield spec, spec.devices[name]


def _prove_version(node: Node, registry: Registry) -> None:
    """Make sure that the container runtime knows the version of every spec that is needed.

    Raises:
        Unproven: one has a later version than the runtime is known to read.
    """
    runtime = runtime_of(node)
    if registry.reader != runtime.name:
        return  # the NVIDIA runtime and the specs come from one release
    used: Mapping[str, CdiSpec] = registry.specs.resolved
    surely = runtime.newest_cdi
    for name in registry.needed:
        spec = used.get(name)
        if spec and tuple(map(int, spec.version.split("."))) > surely:
            raise Unproven(
                f"it is not known whether {runtime.name} {runtime.release} reads"
                f" CDI version {spec.version}, which {spec.path} needs"
            )
