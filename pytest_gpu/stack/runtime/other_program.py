"""Handlers with NVIDIA's name that start another program, and where the right one is."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.errors import Unproven
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.cri.handler import Handler
from pytest_gpu.stack.host.nvidia_programs import is_nvidia, prove_known
from pytest_gpu.stack.injection.injected import beside_the_files
from pytest_gpu.stack.injection.reached import named_handlers
from pytest_gpu.stack.kubelet.containerd import containerd_of
from pytest_gpu.stack.kubelet.file_times import read_as_they_are
from pytest_gpu.stack.repair import config_fix
from pytest_gpu.stack.toolkit.installed import BINARIES, binaries, installed


def prove_none(node: Node) -> None:
    """Make sure that no handler with NVIDIA's name starts an NVIDIA runtime after all.

    Raises:
        Unproven: it starts an unknown program, or one that only a newer file names.
    """
    containerd = containerd_of(node)
    live = containerd.live.handlers if containerd.live else frozenset[str]()
    for name in sorted({*containerd.config.runtimes, *live}):
        prove_known(name, containerd.program(name) or "")
    loaded = [name for name in sorted(live) if name.startswith("nvidia")]
    untold = [name for name in loaded if containerd.live and containerd.live.program(name) is None]
    if untold and not read_as_they_are(node):
        raise Unproven(f"what the loaded handler {untold[0]} starts (its files may be newer)")


def named_starts_another(node: Node) -> Finding | None:
    """Find that the handler of GPU pods here is not one of the node's NVIDIA handlers."""
    containerd = containerd_of(node)
    others = named_handlers(node) - {*containerd.gpu_handlers}
    finding = starts_another(node, sorted(others))
    if finding is None or containerd.config.cdi_enabled or beside_the_files(node):
        return None
    return finding


def starts_another(node: Node, names: Iterable[str]) -> Finding | None:
    """Find a handler with NVIDIA's name that starts runc, or the toolkit's hook."""
    containerd = containerd_of(node)
    for name in names:
        runtime = containerd.config.runtimes.get(name)
        program = containerd.program(name)
        if runtime is None or program is None or not name.startswith("nvidia"):
            continue
        prove_known(name, program)
        if not is_nvidia(program) and "runc" in runtime.runtime_type:
            return _another(node, runtime, program or "runc")
    return None


def _another(node: Node, runtime: Handler, program: str) -> Finding:
    right = installed(node)
    fix = config_fix.Fix(runtime.source.source)
    if right:
        fix = config_fix.set_option(node, runtime.name, "BinaryName", right)
    return Finding.of(
        "runtime/handler-starts-another-program",
        runtime.source,
        Evidence(
            source=f"runtimes.{runtime.name}",
            text=f"starts {program}, which is not an NVIDIA runtime",
        ),
        *binaries(node),
        handler=runtime.name,
        program=program,
        right=right or BINARIES[-1],
        **fix.values,
    )
