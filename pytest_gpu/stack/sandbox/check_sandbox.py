"""Checks that crictl and the container runtime can start a sandbox with GPUs by themselves."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Sequence
from dataclasses import replace

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.checks import check
from pytest_gpu.errors import NotInEvidence, Unproven
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.message_file import Where
from pytest_gpu.messages import understood
from pytest_gpu.stack.gpu.check_driver import needs_no_nvml
from pytest_gpu.stack.gpu.pci import PLATFORMS, pci_of
from pytest_gpu.stack.kubelet.kubelet import kubelet_of
from pytest_gpu.stack.sandbox.all_gpus import asks_for_all, left_out, working_evidence
from pytest_gpu.stack.sandbox.lacking import (
    GPU,
    asks_for_a_gpu,
    host_gpus,
    lacks,
    lacks_devices,
    lacks_libraries,
    names,
)
from pytest_gpu.stack.sandbox.other_driver import other_driver
from pytest_gpu.stack.sandbox.sandboxes import SandboxRun, read

_NO_SANDBOX = "No sandbox with the GPU handler can start on this node"
_LIBRARIES = ("libcuda.so", "libnvidia-ml.so")


@check("sandbox/other-socket")
def other_socket(node: Node) -> Finding | None:
    """Find crictl talking to a runtime that is not the kubelet's."""
    sandboxes = read(node.evidence)
    if not sandboxes.endpoint:
        raise Unproven("it is not known which socket crictl talked to")
    evidence = node.evidence
    if evidence.resolve(sandboxes.endpoint) == evidence.resolve(kubelet_of(node).socket):
        return None
    return Finding.of(
        "sandbox/crictl-other-socket",
        Evidence(source=sandboxes.crictl, text=f"--runtime-endpoint unix://{sandboxes.endpoint}"),
        Evidence(source="kubelet", text=f"container runtime endpoint {kubelet_of(node).socket}"),
        crictl=sandboxes.crictl,
        endpoint=sandboxes.endpoint,
        socket=kubelet_of(node).socket,
    )


@check("sandbox/gpu-run")
def gpu_run(node: Node) -> Finding | None:
    """Find out why the sandbox with the GPU does not start although the control sandbox does.

    Raises:
        Unproven: the kubelet removed it, no image was pulled, or the control failed, too.
    """
    sandboxes = read(node.evidence)
    run = sandboxes.run("gpu")
    if run.exit == 0:
        return None
    if run.inconclusive:
        raise Unproven(run.inconclusive)
    if sandboxes.run("control").exit != 0:
        raise Unproven("the control sandbox failed, too; repair what keeps it from starting first")
    return _why_it_fails(node, run)


def _why_it_fails(node: Node, run: SandboxRun) -> Finding:
    shown = Evidence(source=run.command, text=run.error)
    control = Evidence(source="crictl run", text="the control sandbox (default handler) starts")
    values = {"why": run.why, "scope": _NO_SANDBOX, **names(node, run)}
    if error := understood(node, run.text, Where.SANDBOX):
        found = {**values, **error.values}
        return Finding.of(error.cause, shown, control, *error.evidence, **found)
    return Finding.of("sandbox/gpu-sandbox-fails", shown, control, **values)


@check("sandbox/missing-devices")
def missing_devices(node: Node) -> Finding | None:
    """Find device nodes that a started GPU sandbox did not get."""
    run = _started(node)
    got = frozenset(injected(run))
    missing = [path for path in _wanted_devices(node) if path not in got]
    if not any(path in got for path in _gpu_nodes(node, got)):
        missing = [*_lacked_gpus(node, got), *missing]
    if not missing:
        return _some_left_out(node, run, got)
    asks_for_a_gpu(read(node.evidence).files)
    if _got_nothing(run):
        return lacks(node, run, "sandbox/nothing-injected", missing)
    return lacks_devices(node, run, missing)


def _some_left_out(node: Node, run: SandboxRun, got: Collection[str]) -> Finding | None:
    """Find GPUs that work on the host and that a sandbox with others of them did not get."""
    asked = asks_for_all(read(node.evidence).files, run)
    lost = left_out(node, got) if asked else {}
    if asked is None or not lost:
        return None
    found = lacks_devices(node, run, list(lost))
    more = (asked, working_evidence(list(lost.values())))
    return replace(found, evidence=(*found.evidence, *more))


def _got_nothing(run: SandboxRun) -> bool:
    """Say whether no part of the driver came into a sandbox: neither nodes nor libraries."""
    return "/dev/nvidiactl" not in injected(run) and not _libraries(run)


def _lacked_gpus(node: Node, got: Collection[str]) -> Sequence[str]:
    """Return the nodes of GPUs that the host has, else what such a node is called."""
    platform = _gpu_nodes(node, got)
    return host_gpus(node) or [" or ".join(platform) or "/dev/nvidiaN"]


def _gpu_nodes(node: Node, got: Collection[str]) -> Sequence[str]:
    """Return the device nodes of which a container with a GPU sees at least one."""
    found = known(lambda: pci_of(node))
    if found and found.platform:
        return [f"/dev/{name}" for name, kind in PLATFORMS.items() if kind == found.platform]
    return [path for path in got if GPU.fullmatch(path)]


def _wanted_devices(node: Node) -> Sequence[str]:
    """Return the control devices that CUDA needs, of those that exist on the node."""
    try:
        there = node.evidence.names("/dev") or ()
    except NotInEvidence:
        there = ("nvidiactl",)
    return [f"/dev/{name}" for name in ("nvidiactl", "nvidia-uvm") if name in there]


@check("sandbox/missing-libraries")
def missing_libraries(node: Node) -> Finding | None:
    """Find driver libraries that a started GPU sandbox did not get."""
    run = _started(node)
    found = _libraries(run)
    wanted = _LIBRARIES[:1] if needs_no_nvml(node) else _LIBRARIES
    missing = [f"{name}.1" for name in wanted if name not in found]
    if not missing:
        return None
    asks_for_a_gpu(read(node.evidence).files)
    if _got_nothing(run) and missing_devices(node):
        return lacks(node, run, "sandbox/nothing-injected", missing)
    return lacks_libraries(node, run, missing)


@check("sandbox/other-libraries")
def other_libraries(node: Node) -> Finding | None:
    """Find driver libraries in a started GPU sandbox that do not fit the loaded module."""
    run = _started(node)
    injected(run)
    return other_driver(node, run)


def _libraries(run: SandboxRun) -> frozenset[str]:
    got = [posixpath.basename(path) for path in injected(run)]
    return frozenset(lib for lib in _LIBRARIES if any(n.startswith(f"{lib}.") for n in got))


def injected(run: SandboxRun) -> Sequence[str]:
    """Return the paths that the container saw.

    Raises:
        Unproven: its output was not kept.
    """
    if run.output is None:
        raise Unproven("the output of the container in the sandbox was not kept")
    return run.output


def _started(node: Node) -> SandboxRun:
    sandboxes = read(node.evidence)
    run = sandboxes.run("gpu")
    if run.exit != 0:
        raise Unproven("the GPU sandbox did not start")
    return run
