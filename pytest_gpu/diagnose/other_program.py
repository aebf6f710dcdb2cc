"""Handlers with NVIDIA's name that start another program, and where the right one is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.diagnose import config_fix
from pytest_gpu.diagnose.file_times import read_as_they_are
from pytest_gpu.diagnose.injection import beside_the_files
from pytest_gpu.diagnose.reached import named_handlers
from pytest_gpu.errors import Unproven
from pytest_gpu.node.config_merge import Runtime
from pytest_gpu.node.gpu_node import GpuNode
from pytest_gpu.node.hints import known
from pytest_gpu.node.live_handlers import is_nvidia, prove_known
from pytest_gpu.node.toolkit import INSTALL_DIR

BINARIES = (
    f"{INSTALL_DIR}/nvidia-container-runtime",
    "/usr/bin/nvidia-container-runtime",
)


def prove_none(node: GpuNode) -> None:
    """Make sure that no handler with NVIDIA's name is an NVIDIA one after all.

    Raises:
        Unproven: it starts an unknown program, or one that only a newer file tells.
    """
    containerd = node.containerd
    live = containerd.live.handlers if containerd.live else frozenset[str]()
    for name in sorted({*containerd.config.runtimes, *live}):
        prove_known(name, containerd.program(name) or "")
    loaded = [name for name in sorted(live) if name.startswith("nvidia")]
    untold = [name for name in loaded if containerd.live and containerd.live.program(name) is None]
    if untold and not read_as_they_are(node):
        raise Unproven(f"what the loaded handler {untold[0]} starts: its files may be newer")


def named_starts_another(node: GpuNode) -> Finding | None:
    """Find that the handler of GPU pods here is none of the NVIDIA handlers beside it."""
    containerd = node.containerd
    others = named_handlers(node) - {*containerd.gpu_handlers}
    finding = starts_another(node, sorted(others))
    if finding is None or containerd.config.cdi_enabled or beside_the_files(node):
        return None
    return finding


def starts_another(node: GpuNode, names: Iterable[str]) -> Finding | None:
    """Find a handler with NVIDIA's name that starts runc, or the toolkit's hook."""
    containerd = node.containerd
    for name in names:
        runtime = containerd.config.runtimes.get(name)
        program = containerd.program(name)
        if runtime is None or program is None or not name.startswith("nvidia"):
            continue
        prove_known(name, program)
        if not is_nvidia(program) and "runc" in runtime.runtime_type:
            return _another(node, runtime, program or "runc")
    return None


def _another(node: GpuNode, runtime: Runtime, program: str) -> Finding:
    right = installed(node)
    fix = config_fix.Fix(runtime.source.source)
    if right:
        fix = config_fix.set_option(node, runtime.name, "BinaryName", right)
    return node.finding(
        "runtime/handler-starts-another-program",
        runtime.source,
        Evidence(source=f"runtimes.{runtime.name}", text=f"starts {program}, no NVIDIA runtime"),
        *binaries(node),
        handler=runtime.name,
        program=program,
        right=right or BINARIES[-1],
        **fix.values,
    )


def binaries(node: GpuNode) -> Iterator[Evidence]:
    """Yield the NVIDIA runtime that nobody starts, else where none is."""
    if (path := installed(node)) is not None:
        yield Evidence(source=path, text="is installed; no handler starts it")
        return
    for path in BINARIES:
        if node.evidence.entry(path) is None:
            yield Evidence(source=path, text="is not installed")


def installed(node: GpuNode) -> str | None:
    """Return an NVIDIA runtime that is on the node, where it usually is."""
    return next((path for path in BINARIES if known(partial(node.evidence.entry, path))), None)
