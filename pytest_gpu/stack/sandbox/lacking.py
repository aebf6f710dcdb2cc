"""What a started GPU sandbox lacks: compared with what the host has, since that decides the fix."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial

from pytest_gpu.causes import Evidence, Finding, join
from pytest_gpu.errors import Unproven
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.parsing import json_document
from pytest_gpu.stack.cdi.refresh import said_of
from pytest_gpu.stack.gpu import libraries
from pytest_gpu.stack.injection.of_any_runtime import config_path, default_handler
from pytest_gpu.stack.sandbox.injecting import injecting
from pytest_gpu.stack.sandbox.sandboxes import SandboxFiles, SandboxRun

GPU = re.compile(r"/dev/nvidia\d+")

_SHOWN = 4
_NO_GPU = frozenset({"none", "void", ""})


def names(node: Node, run: SandboxRun) -> Mapping[str, str]:
    """Return the handler of a sandbox and the file that defines it, whichever the runtime is."""
    return {"handler": run.handler or default_handler(node), "config": config_path(node)}


def host_nodes(node: Node) -> tuple[str, ...]:
    """Return the paths of the host's device nodes, none where /dev was not listed whole."""
    listed = known(lambda: node.evidence.names("/dev")) or ()
    return tuple(f"/dev/{name}" for name in listed)


def host_gpus(node: Node) -> tuple[str, ...]:
    """Return the device nodes of the host's GPUs, in the order of their numbers."""
    found = [path for path in host_nodes(node) if GPU.fullmatch(path)]
    return tuple(sorted(found, key=lambda path: (len(path), path)))


def lacks_devices(node: Node, run: SandboxRun, missing: Sequence[str]) -> Finding:
    """Return why device nodes are missing: on the host, in the CDI spec, or only in the sandbox."""
    there = frozenset(host_nodes(node))
    kept_back = [path for path in missing if path in there]
    if not kept_back:
        return lacks(node, run, "sandbox/devices-missing", missing)
    host = Evidence(source="/dev (host)", text=f"the host has: {_some(kept_back)}")
    return _not_injected(node, run, "device nodes", kept_back, host)


def lacks_libraries(node: Node, run: SandboxRun, missing: Sequence[str]) -> Finding:
    """Return why libraries are missing: on the host, in the CDI spec, or only in the sandbox."""
    found = [known(partial(libraries.find, node.evidence, name)) for name in missing]
    if not all(found):
        return lacks(node, run, "sandbox/libraries-missing", missing)
    paths = [library.file for library in found if library]
    host = Evidence(source="the host", text=f"has: {join(paths)}")
    return _not_injected(node, run, "driver libraries", missing, host)


def lacks(
    node: Node, run: SandboxRun, cause: str, missing: Sequence[str], *more: Evidence, **values: str
) -> Finding:
    """Return a finding with what the sandbox got and what it lacks."""
    return Finding.of(
        cause, *_inside(run, missing), *more, missing=join(missing), **values, **names(node, run)
    )


def _inside(run: SandboxRun, missing: Sequence[str]) -> tuple[Evidence, ...]:
    got = join([path for path in run.output or () if path]) or "nothing"
    return (
        Evidence(source=run.command, text=f"injected: {got}"),
        Evidence(source=run.command, text=f"not injected: {_some(missing)}"),
    )


def _some(paths: Sequence[str]) -> str:
    """Return the first and the last of many paths, or all of a few."""
    if len(paths) <= _SHOWN:
        return join(paths)
    return f"{join(paths[: _SHOWN - 1])}, … {paths[-1]} ({len(paths)})"


def _not_injected(
    node: Node, run: SandboxRun, kind: str, missing: Sequence[str], host: Evidence
) -> Finding:
    way = injecting(node, run)
    values = {"missing": _some(missing), "kind": kind, **names(node, run)}
    shown = (*_inside(run, missing), host, *way.evidence)
    if way.spec and not any(way.lists(_stem(name)) for name in missing):
        return Finding.of(
            "sandbox/cdi-spec-lacks-them",
            *shown,
            *said_of(node, way.spec.path),
            spec=way.spec.path,
            remake=way.remade(node),
            **values,
        )
    return Finding.of("sandbox/host-has-what-is-missing", *shown, look=way.look, **values)


def _stem(name: str) -> str:
    """Return what the host path of a thing holds: a library's file has the driver's version."""
    return name.removesuffix(".1")


def asks_for_a_gpu(files: SandboxFiles) -> None:
    """Make sure that an admin's container config asks for GPUs.

    Raises:
        Unproven: its NVIDIA_VISIBLE_DEVICES names none.
    """
    if files.origin != "admin":
        return
    visible = visible_devices(files.container_text)
    if visible in _NO_GPU:
        raise Unproven(
            f'{files.container_source} asks for no GPU (NVIDIA_VISIBLE_DEVICES="{visible}"); set it'
            " to all there"
        )


def visible_devices(text: str) -> str | None:
    """Return NVIDIA_VISIBLE_DEVICES of a container config, ``None`` if it does not set it."""
    try:
        container = json_document(text)
    except ValueError:
        return None
    envs = container.get("envs") if isinstance(container, dict) else None
    for each in envs if isinstance(envs, list) else ():
        if isinstance(each, dict) and each.get("key") == "NVIDIA_VISIBLE_DEVICES":
            return str(each.get("value") or "")
    return None
