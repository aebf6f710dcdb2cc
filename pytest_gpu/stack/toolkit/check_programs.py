"""Whether all programs that a GPU handler starts are installed."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.checks import check, question
from pytest_gpu.gpu_node import Node, fact
from pytest_gpu.known import known
from pytest_gpu.looks import first_finding
from pytest_gpu.stack.containerd.config_file import RUNC_TYPE, ConfigFile
from pytest_gpu.stack.cri.handler import Handler
from pytest_gpu.stack.host.processes import SEARCH_PATH
from pytest_gpu.stack.host.program import Program
from pytest_gpu.stack.injection.reached import gpu_runtimes
from pytest_gpu.stack.kubelet.containerd import containerd_of
from pytest_gpu.stack.operands.check_operands import toolkit_culprit
from pytest_gpu.stack.repair import config_fix
from pytest_gpu.stack.toolkit import config_patch
from pytest_gpu.stack.toolkit.broken_default import of_all_pods
from pytest_gpu.stack.toolkit.host_programs import Chain, SearchPath, chain, locate, search_path
from pytest_gpu.stack.toolkit.installed import install, installed, owner_of
from pytest_gpu.stack.toolkit.instructions import toolkit_of
from pytest_gpu.stack.toolkit.own_config import RUNTIME, ToolkitConfig, own_config
from pytest_gpu.steps import Step, Steps

LOW_LEVEL = f"{RUNTIME}.runtimes"
COMMON = ("runc", "crun")


@question("toolkit/installed")
def usual_runtime(node: Node) -> object:
    """Return the NVIDIA runtime at its usual path: it is shown if no handler starts it."""
    return installed(node)


@check("toolkit/handler-without-type")
def handler_without_type(node: Node) -> Finding | None:
    """Find a handler without a runtime_type, for which no shim can be started."""
    for runtime in gpu_runtimes(node):
        if not runtime.runtime_type:
            found = Finding.of(
                "runtime/handler-without-type",
                runtime.source,
                handler=runtime.name,
                **config_fix.set_in_handler(node, runtime.name, "runtime_type", RUNC_TYPE).values,
            )
            return of_all_pods(node, runtime, found)
    return None


@check("toolkit/binary-missing")
def binary_missing(node: Node) -> Finding | None:
    """Find a handler whose BinaryName is not installed, or is a broken link.

    Raises:
        NotInEvidence: its path was not collected.
    """
    for runtime in gpu_runtimes(node):
        if _installed(node, runtime) is None:
            return _missing(node, runtime)
    return None


def _path(node: Node) -> SearchPath:
    return search_path(node.evidence, containerd_of(node).process)


def _installed(node: Node, runtime: Handler) -> Program | None:
    """Return the program that a handler names, ``None`` if it is missing."""
    return locate(node.evidence, [str(runtime.binary)], _path(node))


def _missing(node: Node, runtime: Handler) -> Finding:
    """Return the finding of a missing program; a default left by an uninstall has its own cause."""
    binary = str(runtime.binary)
    gone = _gone(node, binary)
    if runtime.name == containerd_of(node).default_runtime and toolkit_of(node).daemonset is None:
        return _uninstalled(node, runtime, gone)
    if finding := toolkit_culprit(node, runtime.source, Evidence(source=binary, text=gone)):
        return of_all_pods(node, runtime, finding)
    found = Finding.of(
        "runtime/binary-missing",
        runtime.source,
        Evidence(source=binary, text=gone),
        binary=binary,
        handler=runtime.name,
        patch=_other_binary(node, runtime),
    )
    return of_all_pods(node, runtime, found)


def _gone(node: Node, binary: str) -> str:
    """Return how a program is missing: from containerd's PATH, or at its own path."""
    if not binary.startswith("/"):
        return f"is in none of {', '.join(_path(node).folders)}"
    target = node.evidence.resolve(binary)
    return "is not there" if target == binary else f"is a link to {target}, which is not there"


def _other_binary(node: Node, runtime: Handler) -> Steps:
    """Return the steps that make a handler start an installed runtime, if there is one."""
    found = installed(node)
    if found is None or found == runtime.binary:
        return ()  # what the handler names already, such as a link to nothing
    fix = config_fix.set_option(node, runtime.name, "BinaryName", found)
    said = f'Set BinaryName of runtimes.{runtime.name} to "{found}" in {fix.file}'
    return (Step("words", f"{said}:" if fix.patch else f"{said}, by hand."), *fix.patch)


def _uninstalled(node: Node, runtime: Handler, gone: str) -> Finding:
    config = containerd_of(node).config
    key = "default_runtime_name"
    saying = [file for file in config.files if key in file.text] or config.files
    return Finding.of(
        "runtime/default-runtime-uninstalled",
        _line_of(saying[-1], key),
        runtime.source,
        Evidence(source=str(runtime.binary), text=gone),
        binary=str(runtime.binary),
        handler=runtime.name,
        owner=owner_of(str(runtime.binary)),
        install=(*_other_binary(node, runtime), *install(node, runtime)),
        **config_fix.set_default(node, "runc").values,
    )


def _line_of(file: ConfigFile, key: str) -> Evidence:
    """Return the last line of a file that sets a key."""
    found = Evidence(source=file.path, text=f"{key} is not set")
    for number, line in enumerate(file.text.splitlines(), 1):
        if line.partition("=")[0].strip() == key:
            found = Evidence(source=file.path, line=number, text=line.strip())
    return found


def chains(node: Node) -> Iterator[tuple[Handler, Chain]]:
    """Yield what each GPU handler starts, if its own program exists.

    Raises:
        NotInEvidence: that program was not collected.
    """
    for runtime in gpu_runtimes(node):
        if program := _installed(node, runtime):
            yield runtime, chain(node.evidence, program.path, _path(node))


Look = Callable[[Node, Handler, Program], Finding | None]


def each_program(node: Node, look: Look) -> Finding | None:
    """Return the first finding of a check that is run on each program of a handler.

    Raises:
        Unproven: there is no finding, but something was not collected.
    """
    return first_finding(partial(_looked, node, look, *each) for each in _programs(node))


def _looked(node: Node, look: Look, runtime: Handler, program: Program) -> Finding | None:
    """Return what a check finds; the handler's own program and what it wraps serve every pod."""
    found = look(node, runtime, program)
    name = posixpath.basename(program.path).removesuffix(".real")
    own = name == posixpath.basename(str(runtime.binary))
    return of_all_pods(node, runtime, found) if found and own else found


@fact
def _programs(node: Node) -> Sequence[tuple[Handler, Program]]:
    return [(runtime, each) for runtime, found in chains(node) for each in found.programs]


@check("toolkit/half-installed")
def half_installed(node: Node) -> Finding | None:
    """Find a toolkit that lacks a program which the handler's own program starts."""
    return each_program(node, _not_there)


def _not_there(node: Node, runtime: Handler, program: Program) -> Finding | None:
    if program.entry is not None:
        return None
    return Finding.of(
        "runtime/toolkit-half-installed",
        Evidence(source=str(runtime.binary), text=f"the handler {runtime.name} starts it"),
        Evidence(source=program.path, text="is not there, but would be started next"),
        binary=str(runtime.binary),
        program=program.path,
        folder=posixpath.dirname(program.path),
        handler=runtime.name,
    )


@check("toolkit/no-low-level-runtime")
def no_low_level_runtime(node: Node) -> Finding | None:
    """Find an NVIDIA runtime that finds none of the low-level runtimes that it calls.

    Raises:
        NotInEvidence: not every directory was collected, or containerd's PATH is not known.
    """
    path = _wider(node)
    for runtime, found in chains(node):
        if locate(node.evidence, found.runtimes, path) is None:
            return _none_of(node, runtime, found)
    return None


def _wider(node: Node) -> SearchPath:
    """Return where the NVIDIA runtime looks for its low-level runtime."""
    path = _path(node)
    return replace(path, folders=(*path.folders, *SEARCH_PATH))


def _none_of(node: Node, runtime: Handler, found: Chain) -> Finding:
    config = own_config(node.evidence, found.programs[0].path)
    names = ", ".join(found.runtimes)
    looked = ", ".join(dict.fromkeys(_wider(node).folders))
    none = Finding.of(
        "runtime/no-low-level-runtime",
        runtime.source,
        config.evidence(LOW_LEVEL),
        Evidence(source=str(runtime.binary), text=f"looks for {names or 'nothing'} in {looked}"),
        handler=runtime.name,
        finds=f"finds none of {names} on this host" if names else "is given no runtime to call",
        binary=str(runtime.binary),
        path=config.path,
        patch=_name_one(node, config),
    )
    return of_all_pods(node, runtime, none)


def _name_one(node: Node, config: ToolkitConfig) -> Steps:
    """Return the patch that names the runtime which containerd itself starts, if there is one."""
    runtimes = containerd_of(node).config.runtimes
    plain = [each for each in runtimes if each not in containerd_of(node).gpu_handlers]
    told = [binary for each in plain if (binary := runtimes[each].binary)]
    program = known(lambda: locate(node.evidence, [*told, *COMMON], _wider(node)))
    if program is None:
        return ()
    return config_patch.set_own(node, config, LOW_LEVEL, [program.path])
