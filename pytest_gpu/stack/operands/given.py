"""What the container that configures the runtime was given: its settings, as the host sees them.

Source: cmd/nvidia-ctk-installer of NVIDIA's container toolkit, which reads each setting from one of
several variables. Only these are shown: other values may be secret.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pytest_gpu.causes import Evidence
from pytest_gpu.stack.kube.objects import containers_of, env_of, spec_of, template_of
from pytest_gpu.stack.operands.container_log import plain
from pytest_gpu.stack.operands.fault import Fault
from pytest_gpu.stack.operands.found import named
from pytest_gpu.stack.operands.host_path import mounts_of, on_host
from pytest_gpu.stack.operands.roles import TOOLKIT

_SETTINGS = (
    ("RUNTIME",),
    ("RUNTIME_CONFIG", "CONTAINERD_CONFIG", "CRIO_CONFIG", "DOCKER_CONFIG"),
    ("RUNTIME_DROP_IN_CONFIG",),
    ("RUNTIME_CONFIG_SOURCE",),
    ("RUNTIME_SOCKET", "CONTAINERD_SOCKET", "CRIO_SOCKET", "DOCKER_SOCKET"),
    (
        "NVIDIA_RUNTIME_NAME",
        "CONTAINERD_RUNTIME_CLASS",
        "CRIO_RUNTIME_CLASS",
        "DOCKER_RUNTIME_NAME",
    ),
    (
        "NVIDIA_RUNTIME_SET_AS_DEFAULT",
        "CONTAINERD_SET_AS_DEFAULT",
        "CRIO_SET_AS_DEFAULT",
        "DOCKER_SET_AS_DEFAULT",
    ),
)
"""The names of each setting; a container often has a value under several of them."""


def given(fault: Fault) -> Iterator[Evidence]:
    """Yield the settings of a container toolkit whose own container fails; else nothing."""
    container = fault.container
    if fault.operand.role != TOOLKIT or container is None or container.init:
        return
    for source, spec in _specs(fault):
        if lines := tuple(_lines(spec, container.name)):
            yield Evidence(source=f"env of {source}", text="\n".join(lines))
            return


def _specs(fault: Fault) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the pod's spec, then that of what made it: a recording may have only one of them."""
    operand = fault.operand
    if operand.pod is not None:
        yield operand.name, spec_of(operand.pod)
    if operand.controller is not None:
        yield named(operand.controller), template_of(operand.controller)


def _lines(spec: Mapping[str, Any], name: str) -> Iterator[str]:
    container = next((each for each in containers_of(spec) if each.get("name") == name), {})
    env, mounts = env_of(container), mounts_of(spec, name)
    for names in _SETTINGS:
        told = {env[each]: each for each in reversed(names) if env.get(each)}
        yield from (_line(key, value, mounts) for value, key in reversed(told.items()))


def _line(key: str, value: str, mounts: Mapping[str, str]) -> str:
    host = on_host(value, mounts) if value.startswith("/") else None
    there = f" (on the host: {plain(host)})" if host and host != value else ""
    return f"{key}={plain(value)}{there}"
