"""Whether the CDI devices that containers ask for are defined where they are looked up.

Sources: containerd's CRI (``enable_cdi``: unknown to 1.6, off by default in 1.7, on in 2.x), and
``unresolvable CDI devices`` of pkg/cdi/cache.go in tags.cncf.io/container-device-interface.
"""

from __future__ import annotations

from collections.abc import Iterator

from pytest_gpu.causes import Evidence, Finding, join
from pytest_gpu.checks import check
from pytest_gpu.errors import Unproven
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.cdi import specs as cdi_specs
from pytest_gpu.stack.cdi.check_specs import Registry, registries
from pytest_gpu.stack.cdi.device_names import in_mig_mode
from pytest_gpu.stack.cdi.handler_modes import PREFIX, heeding
from pytest_gpu.stack.cdi.regenerate import generate, remake
from pytest_gpu.stack.cdi.requests import (
    BESIDE_CDI,
    MANAGEMENT_KIND,
    annotation_prefix,
    plugin_of,
)
from pytest_gpu.stack.cdi.specs import CdiSpec
from pytest_gpu.stack.containerd.merge import CDI_DIRS
from pytest_gpu.stack.gpu.nvml import nvml_of
from pytest_gpu.stack.kube.device_plugin import strategy
from pytest_gpu.stack.kube.restart import restart_plugin
from pytest_gpu.stack.kubelet.containerd import containerd_of
from pytest_gpu.stack.kubelet.runtime import runtime_of
from pytest_gpu.stack.repair import config_fix
from pytest_gpu.steps import Step, Steps
from pytest_gpu.text.shell import command

ELSEWHERE = (*CDI_DIRS, "/run/cdi")


@check("cdi/not-taken")
def not_taken(node: Node) -> Finding | None:
    """Find that the CDI devices that a plugin, NRI or DRA hands over are ignored.

    Raises:
        NotInEvidence: what shows this was not collected.
    """
    if finding := _unheeded(node):
        return finding
    for registry in registries(node):
        if registry.reader == runtime_of(node).name and (seen := _off(node)):
            return _switched_off(node, registry, *seen)
    return None


def _off(node: Node) -> tuple[Evidence, ...]:
    """Return evidence that containerd injects no CDI devices, none if it does."""
    containerd = containerd_of(node)
    config, live = containerd.config, containerd.live
    if not containerd.generation.knows_cdi:
        source = f"containerd {containerd.release}"
        return (Evidence(source=source, text="does not support CDI, which came with 1.7"),)
    if not config.cdi_enabled:
        built_in = Evidence(source="containerd", text="built-in default: enable_cdi = false")
        told_off = ("enable_cdi",) in config.values
        return (config.origin("enable_cdi") if told_off else built_in,)
    if live and live.config and live.config.cdi_enabled is False:
        return (
            Evidence(source=config.path, text="enable_cdi = true"),
            Evidence(source="crictl info", text='the running containerd: "enableCDI": false'),
        )
    return ()


def _switched_off(node: Node, registry: Registry, *seen: Evidence) -> Finding:
    config = containerd_of(node).config
    plugin = plugin_of(node)
    return Finding.of(
        "runtime/cdi-off-in-containerd",
        *(way.said for way in registry.ways),
        *seen,
        release=containerd_of(node).release,
        config=config.path,
        change=_switch_on(node),
        restart_plugin=restart_plugin(plugin) if plugin else command("kubectl get daemonsets -A"),
    )


def _switch_on(node: Node) -> Steps:
    """Return what to change so that containerd injects CDI devices."""
    config = containerd_of(node).config
    if not containerd_of(node).generation.knows_cdi:
        said = (
            "containerd 1.6 cannot do this: upgrade it to 1.7 or newer, or let the plugin pass"
            " devices to the NVIDIA runtime (DEVICE_LIST_STRATEGY=envvar)."
        )
        return (Step("words", said),)
    if config.cdi_enabled:
        said = "The file already has it, but the running containerd has not read it; restart it:"
        return (Step("words", said),)
    fix = config_fix.enable_cdi(node)
    by_hand = Step("words", f"Set enable_cdi = true in the CRI section of {fix.file}.")
    return fix.patch or (by_hand,)


def _unheeded(node: Node) -> Finding | None:
    """Find annotations with a prefix that nothing on this node reads."""
    plugin = plugin_of(node)
    if plugin is None or plugin.kind != "nvidia":
        return None
    told = strategy(node.cluster, plugin)
    words = set(told.means)
    prefix = annotation_prefix(plugin)
    if words & {"cdi-cri", *BESIDE_CDI} or "cdi-annotations" not in words or prefix == PREFIX:
        return None
    if heeding(node, prefix):
        return None
    handlers = join(runtime_of(node).gpu_handlers) or "none"
    return Finding.of(
        "runtime/cdi-annotations-unheeded",
        told.said,
        Evidence(source=plugin.name, text=f"CDI_ANNOTATION_PREFIX={prefix}"),
        Evidence(
            source=runtime_of(node).name, text=f"reads {PREFIX} only; NVIDIA handlers: {handlers}"
        ),
        prefix=prefix,
        plugin=plugin.name,
        restart_plugin=restart_plugin(plugin),
    )


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
            return _missing(node, registry, lost)
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
