"""Whether the kernel can start the programs of a GPU handler: mode, mount, content, processor."""

from __future__ import annotations

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.checks import check
from pytest_gpu.errors import NotInEvidence, Unproven
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.cri.handler import Handler
from pytest_gpu.stack.host.mounts import mount_of
from pytest_gpu.stack.host.program import Program, host_glibc
from pytest_gpu.stack.kube.objects import node_info, object_of
from pytest_gpu.stack.toolkit.check_programs import each_program

_MACHINES = {"amd64": "x86-64", "arm64": "aarch64"}
"""A Node's name of its architecture, and the name in summaries of ELF files."""

_RUNS_TOO = {"x86-64": "x86", "aarch64": "arm"}
"""64-bit kernels also run 32-bit programs."""


@check("toolkit/not-executable")
def not_executable(node: Node) -> Finding | None:
    """Find a program of a handler that is not a file, or that nobody may execute.

    Raises:
        NotInEvidence: its mode was not collected.
    """
    return each_program(node, _forbidden)


def _forbidden(node: Node, runtime: Handler, program: Program) -> Finding | None:
    entry = program.entry
    if entry is None:
        return None
    if entry.kind == "file" and entry.mode is None:
        raise NotInEvidence(node.name, f"the mode of {program.path}")
    if entry.kind == "file" and (entry.mode or 0) & 0o111:
        return None
    why = f"is a {entry.kind}" if entry.kind != "file" else f"has the mode {entry.mode or 0:04o}"
    return Finding.of(
        "runtime/binary-not-executable",
        runtime.source,
        Evidence(source=program.file, text=why),
        program=program.file,
        handler=runtime.name,
        why=why,
    )


@check("toolkit/on-noexec-mount")
def on_noexec_mount(node: Node) -> Finding | None:
    """Find a program of a handler on a mount from which nothing may be executed.

    Raises:
        NotInEvidence: the mounts were not collected.
    """
    return each_program(node, _noexec)


def _noexec(node: Node, runtime: Handler, program: Program) -> Finding | None:
    if program.entry is None:
        return None
    mount = mount_of(node.evidence, program.file)
    if "noexec" not in mount.options:
        return None
    return Finding.of(
        "runtime/binary-on-noexec-mount",
        runtime.source,
        mount.evidence,
        program=program.file,
        handler=runtime.name,
        mount=mount.point,
    )


@check("toolkit/damaged")
def damaged(node: Node) -> Finding | None:
    """Find a program of a handler that is empty, cut off, or not a program at all."""
    return each_program(node, _damaged)


def _damaged(node: Node, runtime: Handler, program: Program) -> Finding | None:
    why = _damage(program)
    if not why:
        return None
    return Finding.of(
        "runtime/binary-damaged",
        runtime.source,
        Evidence(source=program.file, text=why),
        program=program.file,
        handler=runtime.name,
        why=why,
    )


def _damage(program: Program) -> str:
    """Return what is wrong with a program's content, nothing if it is whole."""
    if program.entry is None or program.entry.kind != "file":
        return ""
    if program.entry.size == 0:
        return "is empty"
    return program.summary.error if program.summary else ""


@check("toolkit/wrong-architecture")
def wrong_architecture(node: Node) -> Finding | None:
    """Find a program of a handler that was built for a different processor than this node's.

    Raises:
        Unproven: neither the Node nor the host's C library shows the node's processor.
    """
    return each_program(node, _foreign)


def _foreign(node: Node, runtime: Handler, program: Program) -> Finding | None:
    summary = program.summary
    if summary is None or summary.error or program.is_script:
        return None
    wanted = machine_of(node)
    if summary.machine in {wanted, _RUNS_TOO.get(wanted)}:
        return None
    return Finding.of(
        "runtime/binary-wrong-architecture",
        runtime.source,
        Evidence(source=program.file, text=f"is a program for {summary.machine}"),
        Evidence(source=f"node {node.name}", text=f"runs on {wanted}"),
        program=program.file,
        handler=runtime.name,
        machine=summary.machine,
        wanted=wanted,
    )


def machine_of(node: Node) -> str:
    """Return the node's processor as ELF summaries name it.

    Raises:
        Unproven: nothing in the evidence shows it.
    """
    told = str(node_info(object_of(node)).get("architecture", ""))
    if told in _MACHINES:
        return _MACHINES[told]
    if glibc := host_glibc(node.evidence):
        return glibc.machine
    raise Unproven(f"the architecture of {node.name} is not in the evidence")
