"""Users' GPU containers that cannot be started, or do not end: their words are the kubelet's.

Shapes: pkg/kubelet/kuberuntime of Kubernetes (reasons and messages of container states), and
pkg/kubelet/kubelet.go (the event FailedKillPod).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.pods import check_users_containers as containers
from pytest_gpu.stack.pods import check_users_pods as users
from tests.stack.kube.kube_machine import GPU, event, plugin_pod, pod, waiting
from tests.stack.pods.test_check_users_pods import crashed, lines
from tests.support.fake_evidence import NOON, FakeCluster, node_object

Object = dict[str, Any]

GLIM = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc"
    " create failed: zorp denied the glim: unknown"
)
LEASE = "failed to create containerd container: wobble registry has no entry for gpu lease 77"
ASKS = {"limits": {GPU: "1"}}


def node(*pods: Object, events: tuple[Object, ...] = (), ready: str = "True") -> Node:
    """Return a node that works, with these pods."""
    about = node_object(capacity={GPU: "4"}, allocatable={GPU: "4"})
    about["status"]["conditions"] = [{"type": "Ready", "status": ready}]
    objects = {"nodes": [about], "pods": list(pods), "events": list(events)}
    return Node("gpu-1", FakeCluster(objects=objects))


def refused(reason: str, message: str, restarts: int = 6) -> list[Object]:
    """Return the status of a container that was refused, and of which the kubelet waits."""
    [status] = waiting("CrashLoopBackOff", "back-off 5m0s", restarts)
    ended = {"exitCode": 128, "reason": reason, "message": message}
    return [{**status, "lastState": {"terminated": ended}}]


def ended(reason: str, message: str) -> list[Object]:
    """Return the status of a container that was refused just now."""
    told = {"exitCode": 128, "reason": reason, "message": message}
    return [{"name": "main", "ready": False, "restartCount": 1, "state": {"terminated": told}}]


@pytest.mark.parametrize(
    ("made", "state", "words"),
    [
        (
            pod("llm-z1", namespace="ml", statuses=refused("StartError", GLIM)),
            "CrashLoopBackOff",
            f"StartError: {GLIM}",
        ),
        (
            pod("render", statuses=refused("ContainerCannotRun", "OCI runtime: x", 2)),
            "CrashLoopBackOff",
            "ContainerCannotRun: OCI runtime: x",
        ),
        (
            pod(
                "infer-b2",
                namespace="research",
                phase="Pending",
                statuses=waiting("CreateContainerError", LEASE),
            ),
            "CreateContainerError",
            f"CreateContainerError: {LEASE}",
        ),
        (
            pod("bert", statuses=waiting("RunContainerError", f"{GLIM}\n\x1b[31mat once")),
            "RunContainerError",
            f"RunContainerError: {GLIM} at once",
        ),
        (pod("now", statuses=ended("StartError", GLIM)), "StartError", f"StartError: {GLIM}"),
    ],
    ids=["start-error", "docker", "create", "run", "just-ended"],
)
def test_a_container_that_cannot_be_started(made: Object, state: str, words: str) -> None:
    """The kubelet's words are quoted, without control characters; it is not told as a crash."""
    name = f"{made['metadata']['namespace']}/{made['metadata']['name']}"
    there = node(made, pod("fine"))
    assert lines(containers.not_started(there)) == [
        (f"pod {name}, container main", words),
        (f"pod {name}", f"is {state}"),
    ]
    assert users.crashing(there) is None


@pytest.mark.parametrize(
    "made",
    [
        pod(),
        pod(statuses=crashed(1)),
        pod(statuses=refused("StartError", GLIM), node="another"),
        pod(statuses=refused("StartError", GLIM), gpus=0),
        pod(phase="Failed", statuses=ended("StartError", GLIM)),
        pod(phase="Pending", statuses=waiting("ImagePullBackOff", "no such image")),
        pod(phase="Pending", statuses=waiting("CreateContainerConfigError", "no secret x")),
        plugin_pod(statuses=refused("StartError", GLIM)),
        pod(
            statuses=[
                {
                    "name": "main",
                    "ready": True,
                    "restartCount": 3,
                    "state": {"running": {}},
                    "lastState": {"terminated": {"exitCode": 128, "reason": "StartError"}},
                }
            ]
        ),
    ],
    ids=[
        "runs",
        "crashes",
        "elsewhere",
        "no GPU",
        "has ended",
        "no image",
        "no secret",
        "operand",
        "has started since",
    ],
)
def test_a_container_that_was_not_refused_here(made: Object) -> None:
    """Nothing is noted."""
    assert containers.not_started(node(made)) is None


def with_init(status: Object, gpus: int = 1, asks: int = 1, **changes: Any) -> Object:
    """Return a pod whose init container has this status."""
    made = pod("warm-up", phase="Pending", statuses=waiting("PodInitializing"), gpus=gpus)
    resources = {"limits": {GPU: str(asks)}} if asks else {}
    made["spec"]["initContainers"] = [{"name": "warm", "resources": resources, **changes}]
    made["status"]["initContainerStatuses"] = [{**status, "name": "warm"}]
    return made


@pytest.mark.parametrize("gpus", [0, 1])
def test_an_init_container_with_a_gpu_counts(gpus: int) -> None:
    """Also where the pod asks for none otherwise."""
    [crash], [refusal] = crashed(1, restarts=8), refused("StartError", GLIM)
    assert lines(users.crashing(node(with_init(crash, gpus)))) == [
        ("pod default/warm-up", "is Init:CrashLoopBackOff"),
        (
            "pod default/warm-up, container warm",
            "ended with exit code 1 (Error), started again 8 times",
        ),
    ]
    assert lines(containers.not_started(node(with_init(refusal, gpus)))) == [
        ("pod default/warm-up, container warm", f"StartError: {GLIM}"),
        ("pod default/warm-up", "is Init:CrashLoopBackOff"),
    ]


def test_an_init_container_without_a_gpu_does_not_count() -> None:
    """What it does, such as fetching data, is no matter of the GPU."""
    [crash] = crashed(1, restarts=8)
    assert users.crashing(node(with_init(crash, asks=0))) is None


KILL = (
    'error killing pod: [failed to "KillContainer" for "main" with KillContainerError: "rpc error:'
    ' code = DeadlineExceeded desc = context deadline exceeded", failed to "KillPodSandbox" for'
    ' "36ab4b52" with KillPodSandboxError: "rpc error: code = DeadlineExceeded"]'
)


def deleted(minutes: int, name: str = "term-g7", **changes: Any) -> Object:
    """Return a pod that should have ended so many minutes ago."""
    made = pod(name, age=timedelta(days=2), **changes)
    made["metadata"]["deletionTimestamp"] = (NOON - timedelta(minutes=minutes)).isoformat()
    return made


@pytest.mark.parametrize(("name", "minutes"), [("term-g7", 200), ("notebook-0", 7)])
def test_a_deleted_pod_that_runs_on(name: str, minutes: int) -> None:
    """How long it is late, what still runs, and the kubelet's words if it has any."""
    made = deleted(minutes, name)
    about = f"should have ended {minutes} min ago, but still runs: main"
    quiet = node(made, events=(event(made, "FailedKillPod", KILL, timedelta(minutes=40)),))
    assert lines(containers.not_ending(quiet)) == [(f"pod default/{name}", about)]
    loud = node(made, events=(event(made, "FailedKillPod", KILL), event(made, "Unhealthy", "x")))
    assert lines(containers.not_ending(loud)) == [
        (f"pod default/{name}", about),
        (f"event of pod default/{name}", f"FailedKillPod: {KILL}"),
    ]


@pytest.mark.parametrize(
    "made",
    [
        pod(),
        deleted(3),
        deleted(-10),
        deleted(200, statuses=ended("Error", "")),
        deleted(200, phase="Failed", statuses=[]),
        deleted(200, gpus=0),
        deleted(200, node="another"),
    ],
    ids=["not-deleted", "a-moment", "has-time", "nothing-runs", "over", "no GPU", "elsewhere"],
)
def test_a_pod_that_holds_no_gpu_for_too_long(made: Object) -> None:
    """It has time yet, its containers have ended (a finalizer holds the object), or no GPU."""
    assert containers.not_ending(node(made)) is None


def test_nothing_is_known_of_a_node_whose_kubelet_is_silent() -> None:
    """Its pods' states are old, and it cannot end them: another layer tells why."""
    assert containers.not_ending(node(deleted(200), ready="Unknown")) is None
