"""Layer runtime: is the containerd that this kubelet uses able to give GPUs to containers?"""

from __future__ import annotations

import pytest

from pytest_gpu.causes import fail, latent
from pytest_gpu.diagnose import (
    cdi,
    cdi_devices,
    cgroup_driver,
    cri,
    docker,
    handler,
    next_toolkit,
    restart,
    runtime_binary,
    runtime_libraries,
    runtime_program,
    templates,
    toolkit,
    toolkit_access,
    toolkit_env,
)
from pytest_gpu.diagnose.first import each_of, first_of
from pytest_gpu.layers import Layer
from pytest_gpu.node.gpu_node import GpuNode

pytestmark = pytest.mark.gpu_layer(Layer.RUNTIME)


def test_kubelet_uses_containerd(gpu_node: GpuNode) -> None:
    """The kubelet uses the container runtime that GPUs were set up for, not Docker beside it."""
    if finding := cri.uses_no_containerd(gpu_node):
        fail(finding)


def test_containerd_listens_on_the_kubelets_socket(gpu_node: GpuNode) -> None:
    """A containerd runs and listens on the very socket that this kubelet uses."""
    if finding := cri.not_running(gpu_node):
        fail(finding)


def test_containerd_can_read_its_configuration(gpu_node: GpuNode) -> None:
    """Every file of containerd's configuration is one that this containerd version can read."""
    if finding := cri.unreadable(gpu_node):
        fail(finding)
    if finding := cri.versions_mixed(gpu_node):
        latent(finding)
    for finding in cri.others_unreadable(gpu_node):
        latent(finding)


def test_configuration_leaves_the_cri_on(gpu_node: GpuNode) -> None:
    """The configuration does not switch off the CRI plugin, through which the kubelet works."""
    if finding := cri.cri_disabled(gpu_node):
        fail(finding)


def test_default_runtime_is_defined(gpu_node: GpuNode) -> None:
    """The default runtime is one that the merged configuration defines: else no CRI at all."""
    if finding := cri.default_undefined(gpu_node):
        fail(finding)


def test_gpu_injection_is_configured(gpu_node: GpuNode) -> None:
    """The files this containerd reads hold an NVIDIA handler, or CDI devices do its work."""
    if finding := handler.no_gpu_handler(gpu_node):
        fail(finding)


def test_cri_answers(gpu_node: GpuNode) -> None:
    """The running containerd answers on the CRI."""
    if finding := cri.silent(gpu_node):
        fail(finding)


def test_running_containerd_has_loaded_the_handler(gpu_node: GpuNode) -> None:
    """The running containerd has loaded the handler that stands in its files."""
    if finding := restart.not_restarted(gpu_node):
        fail(toolkit_env.never_signalled(gpu_node, finding))


def test_a_restart_keeps_the_handler(gpu_node: GpuNode) -> None:
    """What the running containerd has loaded is still there after its next restart."""
    checks = (
        restart.lost_at_restart,
        templates.fault_at_next_start,
        restart.change_at_restart,
    )
    for finding in each_of(gpu_node, *checks):
        latent(finding)


def test_next_start_of_the_toolkit_keeps_the_node_working(gpu_node: GpuNode) -> None:
    """What the toolkit's pod is told to write and to restart at its next start fits this node."""
    for finding in each_of(gpu_node, toolkit_env.misled, next_toolkit.next_start):
        latent(finding)


def test_handler_starts_an_installed_runtime(gpu_node: GpuNode) -> None:
    """The programs that the NVIDIA handler starts are there, whole, and may be executed."""
    checks = (
        runtime_binary.handler_without_type,
        runtime_binary.binary_missing,
        runtime_binary.half_installed,
        runtime_program.not_executable,
        runtime_program.on_noexec_mount,
        runtime_program.damaged,
        runtime_program.wrong_architecture,
        runtime_binary.no_low_level_runtime,
    )
    if finding := first_of(gpu_node, *checks):
        fail(finding)


def test_toolkit_runs_on_this_hosts_glibc(gpu_node: GpuNode) -> None:
    """The toolkit's programs find their loader and libraries here, of a version they accept."""
    checks = (
        runtime_libraries.interpreter_missing,
        runtime_libraries.library_missing,
        runtime_libraries.glibc_too_old,
    )
    if finding := first_of(gpu_node, *checks):
        fail(finding)


def test_toolkit_configuration_names_what_exists(gpu_node: GpuNode) -> None:
    """The NVIDIA runtime's own configuration is readable, names what exists, accepts the plugin."""
    if finding := toolkit.own_config_wrong(gpu_node) or toolkit_access.refuses_devices(gpu_node):
        fail(finding)
    if finding := toolkit_access.no_cgroups(gpu_node):
        latent(finding) if toolkit_access.passes_device_nodes(gpu_node) else fail(finding)


def test_cgroup_driver_is_the_same_everywhere(gpu_node: GpuNode) -> None:
    """Every handler that pods can get uses the cgroup driver of the kubelet and the system."""
    checks = (
        cgroup_driver.systemd_cgroup_without_systemd,
        cgroup_driver.cgroup_driver_differs,
    )
    if finding := first_of(gpu_node, *checks):
        fail(finding)


def test_cdi_specs_name_what_exists(gpu_node: GpuNode) -> None:
    """Every CDI spec of NVIDIA devices is valid and names what is there now."""
    if finding := cdi.spec_in_use_wrong(gpu_node):
        fail(finding)
    if finding := cdi.spec_at_rest_wrong(gpu_node):
        latent(finding)


def test_cdi_devices_asked_for_exist(gpu_node: GpuNode) -> None:
    """The CDI devices that containers ask for here are heeded and defined."""
    if finding := cdi_devices.not_taken(gpu_node) or cdi_devices.device_missing(gpu_node):
        fail(finding)
    if finding := cdi_devices.names_absent_gpu(gpu_node):
        latent(finding)


def test_docker_beside_it_knows_the_nvidia_runtime(gpu_node: GpuNode) -> None:
    """A Docker daemon on the node, if there is one, can start GPU containers, too."""
    for finding in docker.docker_findings(gpu_node):
        latent(finding)
