"""Which workload makes GPUs work: by what it runs, not by what it is called."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_gpu.stack.operands.roles import (
    DCGM,
    DEVICE_PLUGIN,
    DRA,
    DRIVER,
    GFD,
    MIG_MANAGER,
    MPS,
    NFD,
    OPERATOR,
    ROLES,
    TOOLKIT,
    VALIDATOR,
    role_of,
)
from tests.stack.operands.made_up_operands import container, pod, workload

NV = "nvcr.io/nvidia"
PLUGIN = f"{NV}/k8s-device-plugin:v0.17.4"
OPERATOR_25 = f"{NV}/gpu-operator:v25.10.1"
ASKS: dict[str, Any] = {"resources": {"limits": {"nvidia.com/gpu": "1"}}}

BY_IMAGE = [
    (OPERATOR, OPERATOR_25),
    (DRIVER, f"{NV}/driver:580.95.05-ubuntu24.04"),
    (DRIVER, "registry.corp:5000/nvidia/driver@sha256:0011"),
    (TOOLKIT, f"{NV}/k8s/container-toolkit:v1.18.0"),
    (TOOLKIT, "rancher/mirrored-nvidia-container-toolkit:v1.17.8"),
    (DRA, "registry.k8s.io/dra-driver-nvidia/dra-driver-nvidia-gpu:v25.12.0"),
    (DRA, f"{NV}/k8s-dra-driver-gpu:v25.8.0"),
    (GFD, f"{NV}/gpu-feature-discovery:v0.8.2"),
    (MIG_MANAGER, f"{NV}/cloud-native/k8s-mig-manager:v0.12.3"),
    (DCGM, f"{NV}/k8s/dcgm-exporter:4.4.2-4.7.0-distroless"),
    (DCGM, f"{NV}/cloud-native/dcgm:4.4.2-1-ubuntu22.04"),
    (VALIDATOR, f"{NV}/cloud-native/gpu-operator-validator:v24.9.2"),
    (NFD, "registry.k8s.io/nfd/node-feature-discovery:v0.18.2"),
    (DEVICE_PLUGIN, "gke.gcr.io/nvidia-gpu-device-plugin@sha256:77"),
]

BY_PROGRAM = [
    (DRIVER, container("corp/base:9", run=["nvidia-driver"], args=["init"])),
    (TOOLKIT, container("corp/base:9", run=["/work/nvidia-toolkit"])),
    (DEVICE_PLUGIN, container("602401143452.dkr.ecr/eks/plugin:1", run=["nvidia-device-plugin"])),
    (DEVICE_PLUGIN, container(PLUGIN, name="nvidia-device-plugin-ctr")),
    (GFD, container(PLUGIN, run=["gpu-feature-discovery"])),
    (
        GFD,
        container(
            "mcr.microsoft.com/oss/v2/nvidia/k8s-device-plugin:v0.17.4",
            name="gpu-feature-discovery-ctr",
        ),
    ),
    (MPS, container(PLUGIN, name="mps-control-daemon-ctr", run=["mps-control-daemon"])),
    (
        DRA,
        container(
            "corp/dra:1",
            run=["bash", "-c"],
            args=["# mask\nif true; then x; fi\ngpu-kubelet-plugin -v 4"],
        ),
    ),
    (DRA, container("corp/dra:1", run=["compute-domain-controller", "-v", "4"])),
    (DCGM, container("corp/x:1", run=["/usr/bin/nv-hostengine", "-n"])),
    (VALIDATOR, container(OPERATOR_25, run=["sh", "-c"], args=["nvidia-validator"])),
    (NFD, container("corp/nfd:1", run=["nfd-worker"])),
]

BY_LABEL = [
    (DRIVER, {"app": "nvidia-driver-daemonset-6.8.0-45-generic-ubuntu22.04"}),
    (
        DRIVER,
        {
            "app": "nvidia-gpu-driver-ubuntu22.04-7c6d7bd86b",
            "app.kubernetes.io/component": "nvidia-driver",
        },
    ),
    (TOOLKIT, {"app": "nvidia-container-toolkit-daemonset"}),
    (DEVICE_PLUGIN, {"name": "nvidia-device-plugin-ds"}),
    (MPS, {"app": "nvidia-device-plugin-mps-control-daemon"}),
    (DRA, {"app.kubernetes.io/name": "nvidia-dra-driver-gpu"}),
    (GFD, {"app": "gpu-feature-discovery"}),
    (MIG_MANAGER, {"app": "nvidia-mig-manager"}),
    (DCGM, {"app": "nvidia-dcgm-exporter"}),
    (VALIDATOR, {"app": "nvidia-operator-validator"}),
    (NFD, {"app.kubernetes.io/name": "node-feature-discovery"}),
]


@pytest.mark.parametrize(("role", "image"), BY_IMAGE)
def test_an_image_shows_the_role(role: str, image: str) -> None:
    """NVIDIA's own, a mirror's, a cloud's; with a tag, a digest, a port."""
    assert role_of(pod(container(image))) == role


@pytest.mark.parametrize(("role", "runs"), BY_PROGRAM)
def test_a_program_shows_the_role(role: str, runs: dict[str, Any]) -> None:
    """Whatever the image is called, also where a shell starts it."""
    assert role_of(pod(runs)) == role


@pytest.mark.parametrize(("role", "labels"), BY_LABEL)
def test_labels_show_the_role_of_what_a_controller_made(role: str, labels: dict[str, str]) -> None:
    """A vendor's image may have any name; a recorded pod may not say what made it."""
    renamed = container("registry.example.com/gpu/component-7:2")
    made = pod(renamed, labels=labels)
    assert role_of(made) == role
    assert role_of(workload(made)) == role
    assert role_of(pod(renamed, labels=labels, owner=None)) == role
    assert role_of(pod(renamed, labels=labels, owner=("Job", "x"))) is None
    assert role_of(pod({**renamed, **ASKS}, labels=labels)) is None


def test_every_role_is_found() -> None:
    """The tables above leave none out."""
    assert {role for role, _ in (*BY_IMAGE, *BY_PROGRAM, *BY_LABEL)} == set(ROLES)


def test_the_operators_image_serves_its_validators_too() -> None:
    """From 25.10 on: the label tells them apart, whatever waits in their init containers."""
    waits = container(
        OPERATOR_25, name="toolkit-validation", run=["sh", "-c"], args=["nvidia-validator"]
    )
    idle = container(OPERATOR_25, run=["sh", "-c"], args=["while true; do sleep 86400; done"])
    validator = pod(idle, inits=[waits], labels={"app": "nvidia-operator-validator"})
    plugin = pod(container(PLUGIN, name="nvidia-device-plugin"), inits=[waits])
    assert (role_of(validator), role_of(plugin)) == (VALIDATOR, DEVICE_PLUGIN)


def test_a_clouds_driver_installer_works_in_an_init_container() -> None:
    """Its only container is a pause image; a validator before it makes no driver."""
    pause = container("gke.gcr.io/pause:3.8", name="pause")
    installs = container("cos-nvidia-installer:fixed", name="nvidia-driver-installer")
    validates = container(OPERATOR_25, name="toolkit-validation")
    assert role_of(pod(pause, inits=[installs])) == DRIVER
    assert role_of(pod(pause, inits=[validates])) is None


def test_a_sidecar_may_stand_first() -> None:
    """The chart with a configuration map puts its config-manager before the plugin."""
    sidecar = container(PLUGIN, name="nvidia-device-plugin-sidecar", run=["config-manager"])
    plugin = container(PLUGIN, name="nvidia-device-plugin-ctr", run=["nvidia-device-plugin"])
    assert role_of(pod(sidecar, plugin)) == DEVICE_PLUGIN
    assert role_of(workload(pod(sidecar, plugin))) == DEVICE_PLUGIN


@pytest.mark.parametrize(
    "users",
    [
        container("nvidia/cuda:12.8.0-base-ubuntu24.04"),
        container("nvcr.io/nvidia/tritonserver:25.08-py3"),
        container("registry.example.com/nvidia-exporter:1"),
        container("registry.example.com/nvidia/driver-docs:1"),
        container("rocm/k8s-device-plugin:1.31", name="amdgpu-dp-cntr"),
        container("intel/intel-gpu-plugin:0.34"),
        container("python:3", run=["sh", "-c"], args=["echo nvidia-driver; sleep 1"]),
        container("python:3-slim", run=["train.py"], args=["nvidia-driver"]),
        container("corp/dcgm-dashboard:2"),
    ],
    ids=lambda each: each["image"],
)
def test_a_name_that_only_sounds_alike_is_no_role(users: dict[str, Any]) -> None:
    """Nothing of a user's is an operand, be it in a DaemonSet or not."""
    assert role_of(pod(users, owner=None)) is None
    assert role_of(pod(users)) is None


def test_a_users_pod_with_nvidias_software_beside_it_stays_the_users() -> None:
    """Its logs are never read: it asks for the GPU itself, or its own program comes first."""
    trains = {**container("corp/train:3", name="train"), **ASKS}
    exporter = container(f"{NV}/k8s/dcgm-exporter:4.4.2", name="exporter")
    assert role_of(pod(exporter, trains, owner=("ReplicaSet", "train-5d"))) is None
    assert role_of(pod(trains, exporter)) is None
    assert role_of(pod(container("corp/app:1", name="app"), exporter, owner=None)) is None
