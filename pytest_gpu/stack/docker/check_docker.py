"""Docker on a GPU node: the kubelet's own runtime, or one that runs beside it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.checks import check
from pytest_gpu.errors import NotInEvidence
from pytest_gpu.gpu_node import Node
from pytest_gpu.known import known
from pytest_gpu.parsing import json_document
from pytest_gpu.stack.containerd.search import handlers_of
from pytest_gpu.stack.docker.daemon import Docker, read
from pytest_gpu.stack.host.processes import SEARCH_PATH, processes_of
from pytest_gpu.stack.kube.objects import node_info, object_of
from pytest_gpu.stack.kubelet.kubelet import kubelet_of
from pytest_gpu.stack.repair.json_diff import patched
from pytest_gpu.stack.toolkit.installed import installed
from pytest_gpu.stack.toolkit.instructions import toolkit_of
from pytest_gpu.steps import Steps


def docker_evidence(node: Node) -> Iterator[Evidence]:
    """Yield what shows that the kubelet uses Docker."""
    argv = kubelet_of(node).argv
    if "docker" in argv or any("docker" in part for part in argv):
        yield Evidence(source="kubelet command line", text=" ".join(_decisive(argv)))
    version = node_info(object_of(node)).get("containerRuntimeVersion", "")
    yield Evidence(source=f"Node {node.name}", text=f"containerRuntimeVersion: {version}")
    written = toolkit_of(node).config_path
    if any(name.startswith("nvidia") for name in handlers_of(node.evidence, written)):
        yield Evidence(source=written, text="the toolkit wrote the nvidia handler here")


def _decisive(argv: tuple[str, ...]) -> list[str]:
    """Return the program and its flags about the container runtime."""
    kept = [argv[0]]
    for position, part in enumerate(argv):
        if part.startswith("--container-runtime"):
            kept.append(part)
            kept += [] if "=" in part else list(argv[position + 1 : position + 2])
    return kept


@check("docker/docker-findings")
def docker_findings(node: Node) -> Iterator[Finding]:
    """Yield what is wrong with a Docker daemon beside the kubelet's containerd.

    All of it is latent, since Kubernetes does not use this daemon. For the same reason nothing is
    reported if its configuration was not collected: it does not affect the verdict.
    """
    docker = known(partial(read, processes_of(node), node.evidence))
    if docker is None or kubelet_of(node).runtime == "docker":
        return  # If the kubelet itself uses Docker, that is a cause of its own.
    if docker.problem:
        said = Evidence(source=docker.config, text=docker.problem)
        yield Finding.of("docker/config-invalid", said, config=docker.config)
        return
    yield from _undefined_default(node, docker)
    if docker.nvidia:
        yield from _missing_programs(node, docker)
    else:
        yield _without_nvidia(node, docker)


def _without_nvidia(node: Node, docker: Docker) -> Finding:
    names = ", ".join(sorted(docker.runtimes)) or "none"
    text = f"runtimes: {names}" if docker.exists else "is not there"
    return Finding.of(
        "docker/runtime-not-configured",
        Evidence(source=docker.config, text=text),
        *_refusals(node),
        config=docker.config,
        patch=_by_hand(node, docker),
    )


def _by_hand(node: Node, docker: Docker) -> Steps:
    """Return the patch that adds an installed runtime to the file, none if there is none."""
    binary = installed(node)
    if binary is None:
        return ()
    content = node.evidence.read(docker.config)
    said = json_document(content) if content and content.strip() else {}
    runtimes = {**(said.get("runtimes") or {}), "nvidia": {"path": binary, "args": []}}
    text = content.decode() if content is not None else None
    path = node.evidence.resolve(docker.config)
    return patched(path, text, {**said, "runtimes": runtimes})


def _undefined_default(node: Node, docker: Docker) -> Iterator[Finding]:
    """Yield a default runtime with which dockerd refuses to start.

    A containerd name, such as io.containerd.runc.v2, need not be defined (moby,
    daemon/runtime_unix.go).
    """
    default = docker.default
    if default == "runc" or default in docker.runtimes or _is_shim(default):
        return
    text = f"specified default runtime '{default}' does not exist"
    said = Evidence(source=docker.config, text=text)
    yield Finding.of(
        "docker/default-runtime-undefined", said, config=docker.config, default=default
    )


def _is_shim(name: str) -> bool:
    return name.startswith("/") or name.count(".") >= 2


def _missing_programs(node: Node, docker: Docker) -> Iterator[Finding]:
    """Yield NVIDIA runtimes whose program is proven to be missing."""
    for name in docker.nvidia:
        program = docker.runtimes[name]
        if program and not any(_may_exist(node, path) for path in _places(program)):
            said = Evidence(source=docker.config, text=f"runtimes.{name}.path: {program}")
            gone = Evidence(source=program, text="is not there")
            yield Finding.of(
                "docker/runtime-missing", said, gone, config=docker.config, program=program
            )


def _places(program: str) -> Iterator[str]:
    """Yield the paths of a program: a bare name is looked up in the usual PATH of a service."""
    if "/" in program:
        yield program
        return
    for folder in SEARCH_PATH:
        yield f"{folder}/{program}"


def _may_exist(node: Node, path: str) -> bool:
    try:
        return node.evidence.entry(node.evidence.resolve(path)) is not None
    except NotInEvidence:
        return True


def _refusals(node: Node) -> Iterator[Evidence]:
    for result in node.evidence.commands:
        if result.argv[:2] == ("docker", "run"):
            for line in result.stderr.splitlines():
                if "unknown" in line.lower():
                    yield Evidence(source=" ".join(result.argv), text=line.strip())
