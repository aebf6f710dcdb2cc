"""One test for each fixture: what it gives, and how a test uses it."""

from __future__ import annotations

import json

import pytest

from pytest_gpu import Layer
from pytest_gpu.cluster.visits.node_shell import NodeShell
from pytest_gpu.evidence import ClusterEvidence
from pytest_gpu.run.node_face import GpuNode
from pytest_gpu.settings.settings import Settings
from pytest_gpu.stack.containerd.merge import EffectiveConfig
from pytest_gpu.stack.pods.suite_pod import SuitePod
from pytest_gpu.stack.sandbox.sandboxes import Sandboxes, SandboxFiles


def test_gpu_settings(gpu_settings: Settings) -> None:
    """Waits are short enough for our pipeline."""
    assert gpu_settings.timeout <= 300


def test_gpu_cluster(gpu_cluster: ClusterEvidence) -> None:
    """The cluster has the RuntimeClass that our charts name."""
    names = [each["metadata"]["name"] for each in gpu_cluster.objects("runtimeclasses")]
    assert "nvidia" in names


@pytest.mark.gpu_layer(Layer.HARDWARE)
def test_gpu_node(gpu_node: GpuNode) -> None:
    """Every GPU answers on the bus."""
    assert [gpu.address for gpu in gpu_node.pci.gpus if gpu.dead] == []


@pytest.mark.gpu_layer(Layer.DRIVER)
def test_node_shell(node_shell: NodeShell) -> None:
    """The driver's persistence daemon runs."""
    assert node_shell.run(["pgrep", "-x", "nvidia-persiste"], timeout=10).exit == 0


@pytest.mark.gpu_layer(Layer.RUNTIME)
def test_containerd_config(containerd_config: EffectiveConfig) -> None:
    """Containerd has a handler for the RuntimeClass."""
    assert "nvidia" in containerd_config.runtimes, containerd_config.origin("runtimes").source


@pytest.mark.gpu_layer(Layer.SANDBOX)
def test_crictl_sandbox(crictl_sandbox: Sandboxes) -> None:
    """A sandbox with the GPU handler starts without Kubernetes."""
    assert crictl_sandbox.run("gpu").exit == 0


@pytest.mark.gpu_layer(Layer.SANDBOX)
def test_sandbox_files(sandbox_files: SandboxFiles | None) -> None:
    """The sandbox uses the node's network, as the pods of our CNI do."""
    assert sandbox_files is not None
    pod = json.loads(sandbox_files.pod_text)
    assert pod["linux"]["security_context"]["namespace_options"]["network"] == 2


@pytest.mark.gpu_layer(Layer.RUNTIMECLASS_POD)
def test_gpu_pod(gpu_pod: SuitePod) -> None:
    """A pod that asks for a GPU gets one, and a pod that does not gets none."""
    assert gpu_pod.saw("gpu").devices
    assert not gpu_pod.saw("none").devices
