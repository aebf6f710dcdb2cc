"""Layer sandbox: can crictl start a host-network pod with a GPU, without Kubernetes?"""

from __future__ import annotations

import pytest

from pytest_gpu.causes import fail
from pytest_gpu.gpu_node import Node
from pytest_gpu.layers import Layer
from pytest_gpu.stack.sandbox import check_sandbox
from pytest_gpu.stack.sandbox.check_files import control, lint
from pytest_gpu.stack.sandbox.sandboxes import SandboxFiles

pytestmark = pytest.mark.gpu_layer(Layer.SANDBOX)


def test_crictl_talks_to_the_kubelets_runtime(gpu_node: Node) -> None:
    """Crictl talks to the runtime that the kubelet uses."""
    if finding := check_sandbox.other_socket(gpu_node):
        fail(finding)


def test_files_ask_for_what_a_sandbox_needs(
    gpu_node: Node, sandbox_files: SandboxFiles | None
) -> None:
    """An admin's files for crictl ask for the host network and for a cgroup that runc accepts."""
    if sandbox_files and (finding := lint(gpu_node, sandbox_files)):
        fail(finding)


def test_control_sandbox_starts(gpu_node: Node) -> None:
    """A sandbox with the default handler starts, so later failures are about the GPU."""
    if finding := control(gpu_node):
        fail(finding)


def test_gpu_sandbox_starts(gpu_node: Node) -> None:
    """A sandbox with the GPU handler starts if the control sandbox does."""
    if finding := check_sandbox.gpu_run(gpu_node):
        fail(finding)


def test_devices_are_injected(gpu_node: Node) -> None:
    """The container in the sandbox sees the GPUs' device nodes."""
    if finding := check_sandbox.missing_devices(gpu_node):
        fail(finding)


def test_libraries_are_injected(gpu_node: Node) -> None:
    """The container in the sandbox sees the libraries of the node's driver for NVML and CUDA."""
    if finding := check_sandbox.missing_libraries(gpu_node):
        fail(finding)
    if finding := check_sandbox.other_libraries(gpu_node):
        fail(finding)
