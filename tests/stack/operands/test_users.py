"""What Kubernetes says about users' GPU pods, and that their logs are not asked for."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_gpu.stack.operands.users import users_pods_of
from pytest_gpu.stack.operands.words import words_about
from tests.stack.operands.made_up_operands import (
    CRASHED,
    Object,
    container,
    log_path,
    node_with,
    pod,
    warning,
)

ASKS: Object = {"resources": {"limits": {"nvidia.com/gpu": "1"}}}
TRAIN = {**container("corp/train:3"), **ASKS}


def users(**changes: Any) -> Object:
    """Return a user's pod that asks for a GPU."""
    return pod(TRAIN, owner=("ReplicaSet", "train-5d"), **changes)


def test_users_pods_are_those_that_need_a_gpu() -> None:
    """Neither operands, nor those without a GPU, nor those that have done their work."""
    others = (
        pod(container("corp/web:1"), name="web"),
        pod(container("nvcr.io/nvidia/k8s/container-toolkit:v1.18.0"), name="toolkit"),
        users(name="done", phase="Succeeded"),
    )
    found = users_pods_of(node_with(*others, users(name="train")))
    assert [(each.name, each.state, each.failed) for each in found] == [
        ("pod gpu-stack/train", "Running", False)
    ]


@pytest.mark.parametrize(
    ("changes", "source", "text"),
    [
        (
            {
                "phase": "Failed",
                "reason": "UnexpectedAdmissionError",
                "message": "Allocate failed due to no healthy devices present, which is unexpected",
                "containerStatuses": [],
            },
            "pod gpu-stack/x-7k2vn",
            "UnexpectedAdmissionError: Allocate failed due to no healthy devices present, which is"
            " unexpected",
        ),
        (
            {
                "statuses": {
                    "main": {
                        **CRASHED,
                        "lastState": {
                            "terminated": {
                                "exitCode": 1,
                                "message": "step 1\nRuntimeError: No CUDA GPUs are available\n",
                            }
                        },
                    }
                }
            },
            "pod gpu-stack/x-7k2vn, container main, when it ended",
            "RuntimeError: No CUDA GPUs are available",
        ),
    ],
    ids=["refused", "crashed"],
)
def test_what_kubernetes_says_is_quoted(changes: Object, source: str, text: str) -> None:
    """The pod's own reason, the termination message of its container."""
    made = users(**changes)
    secret = {log_path(made, restarts=4): "level=fatal msg='a log that is nobody's business'"}
    [found] = users_pods_of(node_with(made, files=secret))
    [words] = words_about(found)
    assert found.failed
    assert (words.source, words.text) == (source, text)


def test_a_pod_that_finds_no_node_has_the_schedulers_words() -> None:
    """In its condition; and what warnings of the last minutes say."""
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
    }
    made = users(phase="Pending", containerStatuses=[], conditions=[condition])
    events = [warning(made, "FailedMount", "no volume"), warning(made, "BackOff", "old", 90)]
    [found] = users_pods_of(node_with(made, events=events))
    assert [each.text for each in words_about(found)] == [
        "FailedMount: no volume",
        "Unschedulable: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
    ]
    assert not found.failed


def test_a_healthy_pod_has_no_words() -> None:
    """Whatever happened before."""
    ended = {"terminated": {"exitCode": 1, "message": "RuntimeError: old"}}
    made = users(statuses={"main": {"restartCount": 1, "lastState": ended}})
    [found] = users_pods_of(node_with(made))
    assert words_about(found) == ()
