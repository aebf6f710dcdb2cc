"""The node as users' tests see it: every fact of the stack as a typed property."""

from __future__ import annotations

from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.cdi.specs import cdi_of
from pytest_gpu.stack.distributions.detect import distribution_of
from pytest_gpu.stack.gpu.driver import driver_of
from pytest_gpu.stack.gpu.kernel_log import kernel_log_of
from pytest_gpu.stack.gpu.nvml import nvml_of
from pytest_gpu.stack.gpu.pci import pci_of
from pytest_gpu.stack.host.processes import processes_of
from pytest_gpu.stack.kube import objects
from pytest_gpu.stack.kubelet.containerd import containerd_of
from pytest_gpu.stack.kubelet.kubelet import kubelet_of
from pytest_gpu.stack.kubelet.runtimes import runtimes_of
from pytest_gpu.stack.operands.operands import operands_of
from pytest_gpu.stack.toolkit.instructions import toolkit_of


class GpuNode(Node):
    """The facts of a node that tests read; any of them may raise ``NotInEvidence``."""

    object = objects.object_of
    judged_alone = objects.judged_alone
    processes = processes_of
    distribution = distribution_of
    kubelet = kubelet_of
    containerd = containerd_of
    runtimes = runtimes_of
    toolkit = toolkit_of
    cdi = cdi_of
    pci = pci_of
    driver = driver_of
    nvml = nvml_of
    kernel_log = kernel_log_of
    operands = operands_of
