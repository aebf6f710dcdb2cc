"""Which pods are users' GPU pods, and how they are."""

from __future__ import annotations

from pytest_gpu.stack.operands.users import users_pods_of
from tests.stack.operands.made_up_operands import Object, container, node_with, pod

TRAIN: Object = {
    **container("corp/train:3"),
    "resources": {"limits": {"nvidia.com/gpu": "1"}},
}


def test_users_pods_are_those_that_need_a_gpu() -> None:
    """Neither operands, nor those without a GPU, nor those that have done their work."""
    others = (
        pod(container("corp/web:1"), name="web"),
        pod(container("nvcr.io/nvidia/k8s/container-toolkit:v1.18.0"), name="toolkit"),
        pod(TRAIN, name="done", phase="Succeeded"),
    )
    owner = ("ReplicaSet", "train-5d")
    [found] = users_pods_of(node_with(*others, pod(TRAIN, name="train", owner=owner)))
    assert (found.name, found.state) == ("pod gpu-stack/train", "Running")
    assert [each.name for each in found.containers] == ["main"]
