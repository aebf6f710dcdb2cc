"""Layer runtime: is the containerd that this kubelet uses able to give GPUs to containers?"""

from __future__ import annotations

import pytest

from pytest_gpu.causes import fail, latent
from pytest_gpu.gpu_node import Node
from pytest_gpu.layers import Layer
from pytest_gpu.looks import each_of, first_of
from pytest_gpu.stack.cdi import check_absent_gpus, check_devices, check_refresh, check_specs
from pytest_gpu.stack.docker import check_docker
from pytest_gpu.stack.operands import check_operands
from pytest_gpu.stack.runtime import (
    check_cgroups,
    check_cri,
    check_handler,
    check_restart,
    check_sections,
    check_serving,
    check_templates,
)
from pytest_gpu.stack.toolkit import (
    check_aside,
    check_config,
    check_device_access,
    check_env,
    check_executable,
    check_libraries,
    check_next_start,
    check_programs,
)

pytestmark = pytest.mark.gpu_layer(Layer.RUNTIME)


def test_kubelet_uses_containerd(gpu_node: Node) -> None:
    """The kubelet uses the container runtime that was set up for GPUs, not Docker."""
    if finding := check_serving.uses_no_containerd(gpu_node):
        fail(finding)


def test_containerd_listens_on_the_kubelets_socket(gpu_node: Node) -> None:
    """A containerd runs and listens on the socket that this kubelet uses."""
    if finding := check_serving.not_running(gpu_node):
        fail(finding)
    if finding := check_serving.restarted_again(gpu_node):
        latent(finding)


def test_containerd_can_read_its_configuration(gpu_node: Node) -> None:
    """This containerd version can read every file of its configuration."""
    finding = check_cri.unreadable(gpu_node)
    if finding and check_serving.works(gpu_node):
        latent(finding)
    elif finding:
        fail(finding)
    if finding := check_cri.versions_mixed(gpu_node):
        latent(finding)
    if finding := check_sections.section_twice(gpu_node):
        latent(finding)
    for finding in check_cri.others_unreadable(gpu_node):
        latent(finding)


def test_configuration_leaves_the_cri_on(gpu_node: Node) -> None:
    """The configuration does not disable the CRI plugin, which the kubelet needs."""
    finding = check_cri.cri_disabled(gpu_node)
    if finding and check_serving.works(gpu_node):
        latent(finding)
    elif finding:
        fail(finding)


def test_default_runtime_is_defined(gpu_node: Node) -> None:
    """The merged configuration defines the default runtime; otherwise the CRI does not load."""
    finding = check_cri.default_undefined(gpu_node)
    if finding and check_serving.works(gpu_node):
        latent(finding)
    elif finding:
        fail(finding)


def test_gpu_injection_is_configured(gpu_node: Node) -> None:
    """The files that containerd reads define an NVIDIA handler, or CDI devices replace it."""
    if finding := check_handler.no_gpu_handler(gpu_node):
        fail(finding)
    for finding in check_operands.toolkit_fails(gpu_node):
        latent(finding)


def test_cri_answers(gpu_node: Node) -> None:
    """The running containerd answers on the CRI."""
    if finding := check_serving.silent(gpu_node):
        fail(finding)


def test_running_containerd_has_loaded_the_handler(gpu_node: Node) -> None:
    """The running containerd has loaded the handler that its files define."""
    if finding := check_restart.not_loaded(gpu_node):
        fail(finding)


def test_a_restart_keeps_the_handler(gpu_node: Node) -> None:
    """What the running containerd has loaded survives its next restart."""
    checks = (
        check_restart.lost_at_restart,
        check_templates.fault_at_next_start,
        check_restart.change_at_restart,
    )
    for finding in each_of(gpu_node, *checks):
        latent(finding)


def test_next_start_of_the_toolkit_keeps_the_node_working(gpu_node: Node) -> None:
    """What the toolkit's pod will write and restart at its next start fits this node."""
    for finding in each_of(gpu_node, check_env.misled, check_next_start.next_start):
        latent(finding)


def test_handler_starts_an_installed_runtime(gpu_node: Node) -> None:
    """The programs that the NVIDIA handler starts exist, are complete and can be executed."""
    checks = (
        check_programs.handler_without_type,
        check_programs.binary_missing,
        check_programs.half_installed,
        check_executable.not_executable,
        check_executable.on_noexec_mount,
        check_executable.damaged,
        check_executable.wrong_architecture,
        check_programs.no_low_level_runtime,
        check_aside.steps_aside,
    )
    if finding := first_of(gpu_node, *checks):
        fail(finding)


def test_toolkit_runs_on_this_hosts_glibc(gpu_node: Node) -> None:
    """The toolkit's programs find their loader and libraries, in versions that they accept."""
    checks = (
        check_libraries.interpreter_missing,
        check_libraries.library_missing,
        check_libraries.glibc_too_old,
    )
    if finding := first_of(gpu_node, *checks):
        fail(finding)


def test_toolkit_configuration_names_what_exists(gpu_node: Node) -> None:
    """The NVIDIA runtime's own configuration is valid for this node and accepts the plugin."""
    if finding := check_config.own_config_wrong(gpu_node):
        fail(finding)
    if finding := check_device_access.refuses_devices(gpu_node):
        fail(finding)
    if finding := check_device_access.no_cgroups(gpu_node):
        fail(finding)
    if finding := check_device_access.no_cgroups_at_rest(gpu_node):
        latent(finding)


def test_cgroup_driver_is_the_same_everywhere(gpu_node: Node) -> None:
    """Every handler that pods can use has the cgroup driver of the kubelet and the system."""
    checks = (
        check_cgroups.systemd_cgroup_without_systemd,
        check_cgroups.cgroup_driver_differs,
    )
    if finding := first_of(gpu_node, *checks):
        fail(finding)


def test_cdi_specs_name_what_exists(gpu_node: Node) -> None:
    """Every CDI spec for NVIDIA devices is valid and names only what exists now."""
    if finding := check_specs.spec_in_use_wrong(gpu_node):
        fail(finding)
    if finding := check_specs.spec_at_rest_wrong(gpu_node):
        latent(finding)


def test_cdi_devices_asked_for_exist(gpu_node: Node) -> None:
    """The CDI devices that containers ask for here are honoured and defined."""
    if finding := check_devices.not_taken(gpu_node) or check_devices.device_missing(gpu_node):
        fail(finding)
    if finding := check_absent_gpus.names_absent_gpu(gpu_node):
        latent(finding)
    if finding := check_refresh.refresh_fails(gpu_node):
        latent(finding)


def test_docker_beside_it_knows_the_nvidia_runtime(gpu_node: Node) -> None:
    """A Docker daemon on the node, if there is one, can also start GPU containers."""
    for finding in check_docker.docker_findings(gpu_node):
        latent(finding)
