"""Whether the CDI devices that containers ask for are defined where they are looked up.

Source: ``unresolvable CDI devices`` of pkg/cdi/cache.go in
tags.cncf.io/container-device-interface.
"""

from __future__ import annotations

from collections.abc import Iterator

from pytest_gpu.causes import Evidence, Finding, join
from pytest_gpu.checks import check
from pytest_gpu.errors import Unproven
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.cdi import specs as cdi_specs
from pytest_gpu.stack.cdi.cdi_off import cdi_off, off_values
from pytest_gpu.stack.cdi.check_specs import Registry, registries
from pytest_gpu.stack.cdi.device_names import in_mig_mode
from pytest_gpu.stack.cdi.naming import named_otherwise
from pytest_gpu.stack.cdi.refresh import said_of
from pytest_gpu.stack.cdi.regenerate import generate, remake
from pytest_gpu.stack.cdi.requests import MANAGEMENT_KIND, plugin_of
from pytest_gpu.stack.cdi.specs import CdiSpec
from pytest_gpu.stack.cdi.strategies import OFF
from pytest_gpu.stack.cdi.unheard import no_strategy_works
from pytest_gpu.stack.containerd.merge import CDI_DIRS
from pytest_gpu.stack.gpu.nvml import nvml_of
from pytest_gpu.stack.kubelet.runtime import runtime_of

ELSEWHERE = (*CDI_DIRS, "/run/cdi")


@check("cdi/not-taken")
def not_taken(node: Node) -> Finding | None:
    """Find that the CDI devices that a plugin, NRI or DRA hands over are ignored.

    Raises:
        NotInEvidence: what shows this was not collected.
    """
    plugin = plugin_of(node)
    if plugin and plugin.kind == "nvidia" and (finding := no_strategy_works(node, plugin)):
        return finding
    for registry in registries(node):
        if registry.reader == runtime_of(node).name and (seen := cdi_off(node)):
            told = (way.said for way in registry.ways)
            return Finding.of(OFF, *told, *seen, **off_values(node))
    return None


@check("cdi/device-missing")
def device_missing(node: Node) -> Finding | None:
    """Find a device that is asked for, but not defined by any spec that its reader sees.

    Raises:
        NotInEvidence: what is asked for was not collected.
        Unproven: a device was not found, but not every directory was listed.
    """
    for registry in registries(node):
        specs = registry.specs
        lost = [n for n in registry.devices if n not in specs.resolved and n not in specs.conflicts]
        refused = {spec.kind for spec in specs.specs if spec.error}
        lost = [name for name in lost if name.partition("=")[0] not in refused]
        if lost and specs.unknown:
            raise Unproven(f"not listed: {join(specs.unknown)}, where {lost[0]} may be defined")
        if lost:
            return named_otherwise(node, registry, lost) or _missing(node, registry, lost)
    return None


def _missing(node: Node, registry: Registry, lost: list[str]) -> Finding:
    kind = lost[0].partition("=")[0]
    there = [spec for spec in registry.specs.specs if spec.kind == kind]
    spec = there[-1] if there else None
    directory = registry.directories[-1] if registry.directories else CDI_DIRS[-1]
    path = spec.path if spec else f"{directory}/{_file_name(kind)}"
    return Finding.of(
        _cause(node, registry, lost, spec),
        registry.told(lost[0]),
        *_seen(node, registry, lost, spec),
        *said_of(node, path),
        device=lost[0],
        devices=join(lost),
        kind=kind,
        reader=registry.reader,
        directories=join(registry.directories),
        path=path,
        default_runtime=runtime_of(node).default_runtime,
        remake=remake(node, path, kind),
        generate=generate(node, path, kind),
    )


def _file_name(kind: str) -> str:
    return "nvidia.yaml" if kind == "nvidia.com/gpu" else f"{kind.replace('/', '-')}.yaml"


def _cause(node: Node, registry: Registry, lost: list[str], spec: CdiSpec | None) -> str:
    if _elsewhere(node, registry, lost[0]):
        return "runtime/cdi-spec-outside-directories"
    if lost[0].startswith(f"{MANAGEMENT_KIND}=") and spec is None:
        return "runtime/cdi-management-spec-missing"
    split = spec is not None and any(map(in_mig_mode, nvml_of(node).devices))
    return "runtime/cdi-mig-drift" if split else "runtime/cdi-device-missing"


def _seen(
    node: Node, registry: Registry, lost: list[str], spec: CdiSpec | None
) -> Iterator[Evidence]:
    """Yield what was found where the device should be defined."""
    yield Evidence(source="a container would say", text=f"unresolvable CDI devices {join(lost)}")
    if spec is not None:
        names = join([name.partition("=")[2] for name in spec.devices])
        yield Evidence(source=spec.path, text=f"defines {spec.kind} {names}")
        return
    kinds = join(sorted({each.kind for each in registry.specs.specs if each.kind}))
    where = join(registry.directories)
    yield Evidence(source=where, text=f"kinds there: {kinds}" if kinds else "no spec there")
    for link in registry.specs.links:
        yield Evidence(source=link, text="is a link, which the library does not follow")
    for path in _elsewhere(node, registry, lost[0]):
        yield Evidence(source=path, text=f"defines it, but {registry.reader} does not look there")


def _elsewhere(node: Node, registry: Registry, name: str) -> list[str]:
    """Return the specs that define a device in directories that the reader does not search."""
    read = {node.evidence.resolve(each) for each in registry.directories}
    read -= {node.evidence.resolve(each) for each in registry.specs.links}
    found = []
    for directory in dict.fromkeys((*ELSEWHERE, *registry.specs.links)):
        real = node.evidence.resolve(directory)
        if real not in read:
            specs = cdi_specs.read(node.evidence, (real,)).specs
            found += [spec.path for spec in specs if name in spec.devices]
    return list(dict.fromkeys(found))
