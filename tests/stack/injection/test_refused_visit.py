"""A node that refuses the visit's own pod: its words are a failure, an image of ours is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_gpu.errors import Unproven
from pytest_gpu.evidence import Door
from pytest_gpu.run.node_face import GpuNode
from pytest_gpu.stack.injection.check_refused_visit import refused_visit
from pytest_gpu.stack.kubelet.check_access import no_door
from tests.stack.kube.kube_machine import Machine, cause, told

LATE = "the pod did not start within 60 s: "
SANDBOX = (
    f"{LATE}FailedCreatePodSandBox: Failed to create pod sandbox: rpc error: code = Unknown desc = "
)


def closed(reason: str, kind: str = "none") -> GpuNode:
    """Return a Ready node whose visit ended like this."""
    return Machine(door=Door(kind=kind, reason=reason)).node()


REFUSED = [
    (
        f'{SANDBOX}failed to get sandbox image "registry.k8s.io/pause:3.8": failed to pull image: '
        "dial tcp: lookup registry.k8s.io: no such host",
        "sandbox/pause-image-not-reached",
    ),
    (
        f'{SANDBOX}failed to get sandbox image "quay.local/pause:3.10": failed to pull: not found',
        "sandbox/pause-image-not-in-registry",
    ),
    (
        f"{LATE}RunContainerError: runc create failed: write /proc/self/attr/keycreate: invalid "
        "argument: unknown",
        "sandbox/selinux-label-unknown",
    ),
    (
        f"{LATE}CreateContainerError: get apparmor_parser version: exec: not found in $PATH",
        "sandbox/apparmor-parser-missing",
    ),
    (
        f"{SANDBOX}fork/exec /usr/bin/nvidia-container-runtime: no such file or directory: unknown",
        "access/default-handler-fails",
    ),
    (
        f"{SANDBOX}OCI runtime create failed: /usr/local/nvidia/toolkit/nvidia-container-runtime "
        "did not terminate successfully: exit status 1: unknown",
        "access/default-handler-fails",
    ),
    (f"{SANDBOX}failed to mount rootfs: quux 0x7f", "access/node-refuses-pods"),
]

BROUGHT = [
    f"{LATE}ErrImagePull: 403 denied",
    "there is no image python:3-slim on this node; --gpu-image=IMAGE names another: BackOff",
    f'{LATE}StartError: exec: "python3": executable file not found in $PATH',
    f"{LATE}the pod is still Pending",
    'pods "x" is forbidden: violates PodSecurity "restricted:latest"',
    "the node's kubelet did not start to handle the pod",
]


@pytest.mark.parametrize(("reason", "found"), REFUSED)
def test_what_the_node_refuses_is_a_failure(reason: str, found: str) -> None:
    """With its words; where another door is open, or the node is repaired, nothing is found."""
    finding = refused_visit(closed(reason))
    assert cause(finding) == found
    assert reason.rpartition(": ")[2] in told(finding)
    assert refused_visit(closed(reason, kind="ssh")) is None
    assert refused_visit(closed("", kind="pod")) is None


@pytest.mark.parametrize("reason", BROUGHT)
def test_what_the_suite_brought_is_unproven(reason: str) -> None:
    """On a Ready node the door stays closed for that reason."""
    node = closed(reason)
    assert refused_visit(node) is None
    with pytest.raises(Unproven, match="the node was not visited"):
        no_door(node)


LETTERS = st.text("abcdefghijklmnopqrstuvwxyz", min_size=4, max_size=12)


@given(st.lists(LETTERS, min_size=2, max_size=5))
def test_any_words_of_the_refusal_are_quoted(words: list[str]) -> None:
    """The node fails with exactly that line."""
    line = f"failed to {' '.join(words)}: zq{words[0]}"
    finding = refused_visit(closed(f"{SANDBOX}{line}"))
    assert cause(finding) == "access/node-refuses-pods"
    assert line in told(finding)
