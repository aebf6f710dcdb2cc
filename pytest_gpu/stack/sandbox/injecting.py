"""By what a sandbox gets its GPUs, and what that would inject: compared with what it got."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_gpu.causes import Evidence, join
from pytest_gpu.errors import Unproven
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.cdi import specs as cdi_specs
from pytest_gpu.stack.cdi.handler_modes import mode_of, spec_dirs
from pytest_gpu.stack.cdi.regenerate import generator, remake
from pytest_gpu.stack.cdi.requests import DEFAULT_KIND
from pytest_gpu.stack.cdi.specs import CdiSpec, CdiSpecs
from pytest_gpu.stack.injection.of_any_runtime import default_handler
from pytest_gpu.stack.kubelet.runtime import runtime_of
from pytest_gpu.stack.sandbox.sandboxes import SandboxRun
from pytest_gpu.stack.toolkit.own_config import CLI, RUNTIME, ToolkitConfig, own_config
from pytest_gpu.steps import Step, Steps, typed
from pytest_gpu.text.shell import command

_SHOWN = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Injecting:
    """What injects GPUs into a sandbox.

    Attributes:
        evidence: the lines that tell what it is, and what it would inject.
        look: the steps that show what it would inject.
        spec: the CDI spec that it reads, ``None`` if it reads none.
        devices: the names of the devices that are asked of the spec.
    """

    evidence: tuple[Evidence, ...] = ()
    look: Steps
    spec: CdiSpec | None = None
    devices: tuple[str, ...] = ()

    def lists(self, path: str) -> bool:
        """Say whether the spec adds a path of the host, as a device node or by a mount."""
        if self.spec is None:
            return True
        edits = [self.spec.edits, *(self.spec.devices[name] for name in self.devices)]
        mounted = any(path in mount for each in edits for mount in each.mounts)
        return mounted or any(path == node.path for each in edits for node in each.nodes)

    def remade(self, node: Node) -> Steps:
        """Return the steps that make the spec again."""
        return remake(node, self.spec.path, self.spec.kind) if self.spec else ()


def injecting(node: Node, run: SandboxRun) -> Injecting:
    """Return what injects GPUs into a sandbox, as far as it is known."""
    try:
        return _by_cdi(node, run) if run.cdi_devices else _by_handler(node, run)
    except Unproven:
        return Injecting(look=_look_anywhere(node))


def _by_cdi(node: Node, run: SandboxRun) -> Injecting:
    said = Evidence(source=run.command, text=f"asks for CDI devices: {join(run.cdi_devices)}")
    return _reading(node, cdi_specs.cdi_of(node), run.cdi_devices, said)


def _by_handler(node: Node, run: SandboxRun) -> Injecting:
    handler = runtime_of(node).handler(run.handler or default_handler(node))
    if handler is None or not handler.binary:
        return Injecting(look=_look_anywhere(node))
    config = own_config(node.evidence, handler.binary)
    mode = mode_of(handler, config)
    if mode == "cdi":
        kind = str(config.value(f"{RUNTIME}.modes.cdi.default-kind")) or DEFAULT_KIND
        found = cdi_specs.read(node.evidence, spec_dirs(config))
        return _reading(node, found, (f"{kind}=all",), _mode(config, "reads CDI specs"))
    return _by_toolkit(node, config)


def _reading(node: Node, specs: CdiSpecs, asked: Sequence[str], said: Evidence) -> Injecting:
    """Return an injection by CDI specs, of which each device is asked by its name."""
    devices = tuple(name for name in asked if name in specs.resolved)
    spec = specs.resolved[devices[0]] if devices else None
    named = tuple(name for name in devices if spec and name in spec.devices)
    told = tuple(_listed(spec, named)) if spec else ()
    return Injecting(evidence=(said, *told), look=_look_at_specs(node), spec=spec, devices=named)


def _listed(spec: CdiSpec, devices: Sequence[str]) -> Iterator[Evidence]:
    edits = [spec.edits, *(spec.devices[name] for name in devices)]
    nodes = list(dict.fromkeys(node.path for each in edits for node in each.nodes))
    more = f" and {len(nodes) - _SHOWN} more" if len(nodes) > _SHOWN else ""
    text = f"{join(devices)} adds device nodes: {join(nodes[:_SHOWN]) or 'none'}{more}"
    yield Evidence(source=spec.path, text=text)


def _by_toolkit(node: Node, config: ToolkitConfig) -> Injecting:
    """Return an injection that the toolkit works out for each container."""
    roots = [config.evidence(f"{CLI}.root")] if config.value(f"{CLI}.root") not in {"", "/"} else []
    if config.by_own_cdi:
        told = _mode(config, "makes a CDI spec for each container")
        return Injecting(evidence=(told, *roots), look=_look_at_generated(node))
    if config.version is None and config.mode == "auto":
        told = _mode(config, "nvidia-container-cli or an own CDI spec, as the release decides")
        return Injecting(evidence=(told, *roots), look=_look_anywhere(node))
    return Injecting(
        evidence=(_mode(config, "nvidia-container-cli injects"), *roots), look=_look_at_cli(node)
    )


def _mode(config: ToolkitConfig, means: str) -> Evidence:
    said = config.evidence(f"{RUNTIME}.mode")
    release = ".".join(map(str, config.version or ())) or "unknown"
    text = f"{said.text}  (toolkit {release}: {means})"
    return Evidence(source=said.source, line=said.line, text=text)


def _look_at_cli(_: Node) -> Steps:
    return (typed("node", command("sudo nvidia-container-cli list")),)


def _look_at_generated(node: Node) -> Steps:
    line = command("sudo {ctk} cdi generate | grep -E 'path: /dev|hostPath'", ctk=generator(node))
    return (typed("node", line),)


def _look_at_specs(node: Node) -> Steps:
    return (typed("node", command("sudo {ctk} cdi list", ctk=generator(node))),)


def _look_anywhere(node: Node) -> Steps:
    said = "Where the toolkit makes CDI specs itself (from 1.18 on), see those instead:"
    return (*_look_at_cli(node), Step("words", said), *_look_at_generated(node))
