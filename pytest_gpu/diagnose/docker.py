"""Docker on a GPU node: the kubelet's own runtime, or a bystander of it."""

from __future__ import annotations

import json
from collections.abc import Iterator

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.diagnose.handler import installed
from pytest_gpu.diagnose.json_diff import patched
from pytest_gpu.kube.objects import node_info
from pytest_gpu.node.config_search import handlers_of
from pytest_gpu.node.gpu_node import GpuNode

DAEMON_JSON = "/etc/docker/daemon.json"


def docker_evidence(node: GpuNode) -> Iterator[Evidence]:
    """Yield what shows that the kubelet uses Docker."""
    argv = node.kubelet.argv
    if "docker" in argv or any("docker" in part for part in argv):
        yield Evidence(source="kubelet command line", text=" ".join(_decisive(argv)))
    version = node_info(node.object).get("containerRuntimeVersion", "")
    yield Evidence(source=f"Node {node.name}", text=f"containerRuntimeVersion: {version}")
    written = node.toolkit.config_path
    if any(name.startswith("nvidia") for name in handlers_of(node.evidence, written)):
        yield Evidence(source=written, text="the toolkit put the nvidia handler here")


def _decisive(argv: tuple[str, ...]) -> list[str]:
    """Return the program and its flags of the container runtime."""
    kept = [argv[0]]
    for position, part in enumerate(argv):
        if part.startswith("--container-runtime"):
            kept.append(part)
            kept += [] if "=" in part else list(argv[position + 1 : position + 2])
    return kept


def docker_without_nvidia(node: GpuNode) -> Finding | None:
    """Find a Docker daemon beside the kubelet's containerd that knows no nvidia runtime."""
    daemon = next((each for each in node.processes if each.is_program("dockerd")), None)
    if daemon is None or any("nvidia" in part for part in daemon.argv):
        return None
    if node.kubelet.runtime == "docker":
        return None  # Then it is no bystander, and a cause of its own.
    content = node.evidence.read(DAEMON_JSON)
    if content is None:
        seen = Evidence(source=DAEMON_JSON, text="is not there")
    else:
        runtimes = _runtimes(content)
        if "nvidia" in runtimes:
            return None
        seen = Evidence(source=DAEMON_JSON, text=f"runtimes: {', '.join(runtimes) or 'none'}")
    return node.finding(
        "docker/runtime-not-configured", seen, *_refusals(node), patch=_by_hand(node, content)
    )


def _by_hand(node: GpuNode, content: bytes | None) -> str:
    """Return the steps that add an installed runtime to daemon.json; none where it is no JSON."""
    binary = installed(node)
    try:
        said = json.loads(content) if content else {}
    except ValueError:
        return ""
    if binary is None or not isinstance(said, dict):
        return ""
    runtimes = {**(said.get("runtimes") or {}), "nvidia": {"path": binary, "args": []}}
    text = content.decode() if content is not None else None
    fix = patched(node.evidence.resolve(DAEMON_JSON), text, {**said, "runtimes": runtimes})
    return f"Or by hand:\n\n{fix}"


def _runtimes(content: bytes) -> list[str]:
    try:
        found = json.loads(content)
    except ValueError:
        return []
    runtimes = found.get("runtimes") if isinstance(found, dict) else None
    return sorted(runtimes) if isinstance(runtimes, dict) else []


def _refusals(node: GpuNode) -> Iterator[Evidence]:
    for result in node.evidence.commands:
        if result.argv[:2] == ("docker", "run"):
            for line in result.stderr.splitlines():
                if "unknown" in line.lower():
                    yield Evidence(source=" ".join(result.argv), text=line.strip())
