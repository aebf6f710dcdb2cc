"""Whether the toolkit's programs find their interpreter, their libraries and a new enough glibc.

Read from the ELF files (``.interp``, ``.dynamic``, ``.gnu.version_r``) before anything runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.checks import check
from pytest_gpu.errors import Unproven
from pytest_gpu.evidence import ElfSummary
from pytest_gpu.gpu_node import Node
from pytest_gpu.looks import first_finding
from pytest_gpu.stack.cri.handler import Handler
from pytest_gpu.stack.host.program import Program
from pytest_gpu.stack.kube.operator import change_values
from pytest_gpu.stack.toolkit.check_programs import each_program

_LIBC = "libc.so.6"


@check("toolkit/interpreter-missing")
def interpreter_missing(node: Node) -> Finding | None:
    """Find a program whose interpreter, the dynamic loader or a shell, is not on this host.

    Raises:
        NotInEvidence: its path was not collected.
    """
    return each_program(node, _without_interpreter)


def _starts(program: Program) -> ElfSummary | None:
    """Return the summary of a program that exists and is whole, ``None`` for any other."""
    summary = program.summary if program.entry else None
    return summary if summary and not summary.error else None


def _without_interpreter(node: Node, runtime: Handler, program: Program) -> Finding | None:
    summary = _starts(program)
    wanted = summary.interpreter if summary else None
    if not wanted or node.evidence.entry(node.evidence.resolve(wanted)) is not None:
        return None
    return Finding.of(
        "runtime/interpreter-missing",
        Evidence(source=program.file, text=f"is started by {wanted}"),
        Evidence(source=wanted, text="is not there"),
        program=program.file,
        interpreter=wanted,
        handler=runtime.name,
    )


@check("toolkit/library-missing")
def library_missing(node: Node) -> Finding | None:
    """Find a library that a program of a handler needs, but that its loader would not find.

    Raises:
        NotInEvidence: not every directory was collected.
    """
    return each_program(node, _without_library)


def _without_library(node: Node, runtime: Handler, program: Program) -> Finding | None:
    return first_finding(
        partial(_library, node, runtime, program, asking, name) for asking, name in _needed(program)
    )


def _library(
    node: Node, runtime: Handler, program: Program, asking: str, name: str
) -> Finding | None:
    if program.library(name) is not None:
        return None
    return Finding.of(
        "runtime/library-missing",
        Evidence(source=asking, text=f"needs {name}"),
        Evidence(source=name, text="is in none of the loader's directories"),
        program=program.file,
        library=name,
        handler=runtime.name,
    )


def _needed(program: Program) -> Iterator[tuple[str, str]]:
    """Yield (who needs it, library) for a program and the toolkit's own libraries.

    The host's package manager takes care of what the host's own libraries need.
    """
    summary = _starts(program)
    if summary is None or not summary.interpreter or program.is_script:
        return
    for name in dict.fromkeys((*summary.needed, *program.loads)):
        yield program.file, name
    for library in _own_libraries(program):
        for name in library.needed:
            yield library.path, name


def _own_libraries(program: Program) -> Iterator[ElfSummary]:
    """Yield the summaries of the toolkit's own libraries that a program loads and that exist."""
    for name in program.loads:
        path = program.library(name)
        if path and (summary := program.evidence.elf(path)):
            yield summary


@check("toolkit/glibc-too-old")
def glibc_too_old(node: Node) -> Finding | None:
    """Find toolkit programs that need symbol versions the host's glibc does not define.

    Raises:
        Unproven: the program or the host's glibc was not collected.
    """
    return each_program(node, _too_new)


def _too_new(node: Node, runtime: Handler, program: Program) -> Finding | None:
    summary = _starts(program)
    looks = [] if summary is None else [partial(_against_glibc, node, program, summary)]
    return first_finding([*looks, partial(_own_too_new, node, program)])


def _own_too_new(node: Node, program: Program) -> Finding | None:
    return first_finding(
        partial(_against_glibc, node, program, summary) for summary in _own_libraries(program)
    )


def _against_glibc(node: Node, program: Program, summary: ElfSummary) -> Finding | None:
    needs = _wanted(summary.versions)
    glibc = program.glibc() if needs else None
    if needs and not (glibc and glibc.defines):
        raise Unproven("the host's libc.so.6 was not read")
    wanted = missing(needs, glibc.defines) if glibc else []
    return _too_old(node, summary, glibc, wanted) if glibc and wanted else None


def _wanted(versions: Mapping[str, Sequence[str]]) -> Sequence[str]:
    """Return the versions of glibc that a file needs from any of its libraries.

    All of them (libm, libpthread, the loader) belong to one release and number their versions
    alike; names without a number are known for libc itself only.
    """
    found = [each for each in versions.get(_LIBC, ()) if each != "GLIBC_PRIVATE"]
    for library, names in versions.items():
        if library != _LIBC:
            found += [name for name in names if name.startswith("GLIBC_") and _number(name)]
    return found


def _too_old(node: Node, summary: ElfSummary, glibc: ElfSummary, wanted: Sequence[str]) -> Finding:
    newest = max(glibc.defines, key=_number)
    return Finding.of(
        "runtime/toolkit-glibc-too-new",
        Evidence(source=summary.path, text=f"needs {', '.join(wanted)} of libc.so.6"),
        Evidence(source=glibc.path, text=f"defines versions up to {newest}"),
        program=summary.path,
        needs=max(wanted, key=_number),
        host=newest,
        upgrade=change_values(node.cluster, "toolkit.version", "VERSION-ubi8"),
    )


def missing(needs: Sequence[str], defines: Sequence[str]) -> list[str]:
    """Return the symbol versions that a C library does not define.

    glibc keeps every version it ever had, so a number counts as defined up to the newest one (a
    hand-written summary need not list them all); a name such as GLIBC_ABI_DT_RELR must be there.
    """
    newest = max(map(_number, defines), default=())
    return [
        version
        for version in needs
        if version not in defines and (not _number(version) or _number(version) > newest)
    ]


def _number(version: str) -> tuple[int, ...]:
    """Return ``GLIBC_2.27`` as (2, 27); names without a number sort first."""
    return tuple(int(part) for part in version.rpartition("_")[2].split(".") if part.isdecimal())
