"""A GPU pod does not start: what the node refuses is a failure, what we brought is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_gpu.errors import Unproven
from pytest_gpu.stack.pods import check_pods, check_suite_pod
from tests.stack.kube.kube_machine import (
    GPU,
    RUNNING,
    Machine,
    Object,
    cause,
    event,
    plugin_pod,
    pod,
    runtime_class,
    told,
)
from tests.stack.sandbox.test_who_refuses import OtherRuntime

REFUSED = "runtimeclass-pod/start-refused"
SANDBOX = "FailedCreatePodSandBox"
RPC = "Failed to create pod sandbox: rpc error: code = Unknown desc = "
RUNC = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc "
    "create failed: unable to start container process: "
)
PAUSE = (
    f'{RPC}failed to get sandbox image "registry.k8s.io/pause:3.8": failed to pull image '
    '"registry.k8s.io/pause:3.8": dial tcp 10.0.0.1:443: i/o timeout'
)


def waits(name: str, reason: str, message: str = "") -> Object:
    """Return the status of a container that waits."""
    return {"name": name, "state": {"waiting": {"reason": reason, "message": message}}}


def ended(name: str, reason: str, message: str = "", code: int = 128) -> Object:
    """Return the status of a container that ended."""
    state = {"reason": reason, "message": message, "exitCode": code}
    return {"name": name, "state": {"terminated": state}}


def ours(*statuses: Object, **status: Any) -> Object:
    """Return the suite's pod: gpu asks for a GPU, none does not."""
    made = pod("suite", runtime_class="nvidia", phase=status.pop("phase", "Pending"), **status)
    made["status"]["startTime"] = "2026-11-21T12:00:00Z"
    made["status"]["containerStatuses"] = list(statuses)
    asks = made["spec"]["containers"][0] | {"name": "gpu"}
    made["spec"]["containers"] = [asks, {"name": "none", "image": "app:1"}]
    return made


NONE_RAN = ended("none", "Completed", code=0)
WAITING = (waits("gpu", "ContainerCreating"), waits("none", "ContainerCreating"))


@dataclass(frozen=True)
class Case:
    """What became of the suite's pod, and what comes of it: a cause, or the option that helps."""

    statuses: Sequence[Object] = WAITING
    events: Sequence[tuple[str, str]] = ()
    reason: str = ""
    message: str = ""
    unscheduled: str = ""
    rejected: str = ""
    found: str = ""
    says: str = ""
    helps: str = ""

    def machine(self, made: Machine | None = None) -> Machine:
        """Return a node with this outcome."""
        machine = made or Machine()
        machine.outcomes = {"pod": {"rejected": self.rejected}} if self.rejected else self._pod()
        return machine

    def _pod(self) -> dict[str, Object]:
        more: dict[str, Any] = {}
        if self.reason:
            more = {"phase": "Failed", "reason": self.reason, "message": self.message}
        if self.unscheduled:
            condition = {"type": "PodScheduled", "status": "False", "message": self.unscheduled}
            more = {"conditions": [condition]}
        made = ours(*self.statuses, **more)
        events = [event(made, reason, text) for reason, text in self.events]
        return {"pod": {"pod": made, "events": events, "containers": {}}}


NODE = {
    "sandbox": Case(
        events=[(SANDBOX, f"{RPC}failed to mount rootfs: quux 0x7f")],
        found=REFUSED,
        says="quux 0x7f",
    ),
    "sandbox-after-nothing-else": Case(
        statuses=(),
        events=[("Scheduled", "ok"), (SANDBOX, f"{RPC}shim: zork exited")],
        found=REFUSED,
        says="zork exited",
    ),
    "pause-image": Case(
        events=[(SANDBOX, PAUSE)],
        found="sandbox/pause-image-not-reached",
        says="registry.k8s.io/pause:3.8",
    ),
    "network": Case(
        events=[(SANDBOX, f'{RPC}failed to setup network for sandbox "a1": plugin type="cilium"')],
        found="kubernetes/pod-network-fails",
        says="cilium",
    ),
    "apparmor": Case(
        events=[(SANDBOX, f"{RPC}{RUNC}apparmor failed to apply profile: permission denied")],
        found="sandbox/apparmor-refuses",
        says="permission denied",
    ),
    "disk": Case(
        statuses=(waits("gpu", "ErrImagePull"), waits("none", "ErrImagePull")),
        events=[
            ("Failed", 'Failed to pull image "python:3-slim": write x: no space left on device')
        ],
        found="sandbox/node-disk-full",
        says="no space left",
    ),
    "gpu-container-start": Case(
        statuses=(ended("gpu", "StartError", f"{RUNC}flurb: bad address: unknown"), NONE_RAN),
        found=REFUSED,
        says="flurb: bad address",
    ),
    "gpu-container-create": Case(
        statuses=(waits("gpu", "CreateContainerError", "blorp refused"), RUNNING[0]),
        found=REFUSED,
        says="blorp refused",
    ),
    "gpu-container-hook-program": Case(
        statuses=(
            ended("gpu", "StartError", 'exec: "nvidia-container-runtime-hook": not found in $PATH'),
            NONE_RAN,
        ),
        found=REFUSED,
        says="nvidia-container-runtime-hook",
    ),
    "device-in-any-words": Case(
        reason="UnexpectedAdmissionError",
        message="Allocate failed due to rpc error: code = Unknown desc = zork, which is unexpected",
        found="device-plugin/admission-fails",
        says="zork",
    ),
    "device-of-a-slice": Case(
        reason="UnexpectedAdmissionError",
        message="Allocate failed due to no containers return in allocation response",
        found="device-plugin/admission-fails",
        says="no containers return",
    ),
    "kubelet-shuts-down": Case(
        reason="NodeShutdown",
        message="Pod was rejected as the node is shutting down.",
        found="runtimeclass-pod/kubelet-refuses",
        says="the node is shutting down",
    ),
    "kubelet-in-new-words": Case(
        reason="Flurb",
        message="the flurb is not configured",
        found="runtimeclass-pod/kubelet-refuses",
        says="Flurb: the flurb is not configured",
    ),
    "class-missing": Case(
        rejected='pods "x" is forbidden: pod rejected: RuntimeClass "nvidia" not found',
        found="runtimeclass/missing",
        says="RuntimeClass",
    ),
    "gpu-webhook": Case(
        rejected='admission webhook "pods.gpu.nvidia.com" denied the request: zork',
        found="runtimeclass-pod/gpu-webhook-refuses",
        says="zork",
    ),
    "gpu-webhook-down": Case(
        rejected='Internal error: failed calling webhook "x.nvidia.com": connection refused',
        found="runtimeclass-pod/gpu-webhook-refuses",
        says="connection refused",
    ),
}

BROUGHT = {
    "image-pull": Case(
        statuses=(waits("gpu", "ErrImagePull"), waits("none", "ErrImagePull")),
        events=[("Failed", 'Failed to pull image "python:3-slim": 403 denied')],
        helps="--gpu-image",
        says="403 denied",
    ),
    "image-without-python": Case(
        statuses=tuple(
            ended(name, "StartError", f'{RUNC}exec: "python3": executable file not found in $PATH')
            for name in ("gpu", "none")
        ),
        helps="--gpu-image",
        says="python3",
    ),
    "image-of-another-architecture": Case(
        statuses=tuple(
            ended(name, "StartError", "exec /usr/local/bin/python3: exec format error")
            for name in ("gpu", "none")
        ),
        helps="--gpu-image",
        says="exec format error",
    ),
    "both-containers": Case(
        statuses=tuple(waits(name, "CreateContainerError", "zork") for name in ("gpu", "none")),
        helps="the kubelet's log",
        says="zork",
    ),
    "config": Case(
        statuses=tuple(
            waits(
                name, "CreateContainerConfigError", "container has runAsNonRoot and image is root"
            )
            for name in ("gpu", "none")
        ),
        events=[("Failed", "Error: CreateContainerConfigError: container has runAsNonRoot")],
        helps="--gpu-namespace",
        says="runAsNonRoot",
    ),
    "sandbox-was-made-since": Case(
        events=[(SANDBOX, f"{RPC}quux"), ("Pulling", "Pulling image")],
        helps="the kubelet's log",
        says="did not start",
    ),
    "pause-image-came-since": Case(
        events=[(SANDBOX, PAUSE), ("Created", "Created container")],
        helps="the kubelet's log",
        says="did not start",
    ),
    "nothing-said": Case(helps="the kubelet's log", says="no reason was given"),
    "quota": Case(
        rejected='pods "x" is forbidden: exceeded quota: q, requested: requests.nvidia.com/gpu=1',
        helps="--gpu-namespace",
        says="exceeded quota",
    ),
    "pod-security": Case(
        rejected='pods "x" is forbidden: violates PodSecurity "restricted:latest": seccomp',
        helps="--gpu-namespace",
        says="violates PodSecurity",
    ),
    "rights": Case(
        rejected='pods is forbidden: User "ci" cannot create resource "pods" in API group ""',
        helps="rbac.yaml",
        says="cannot create",
    ),
    "webhook": Case(
        rejected='admission webhook "validate.kyverno.svc" denied the request: image not signed',
        helps="--gpu-namespace",
        says="image not signed",
    ),
    "busy": Case(
        reason=f"OutOf{GPU}",
        message="Node didn't have enough resource, requested: 1, used: 2, capacity: 2",
        helps="run the suite again",
        says="all GPUs are in use",
    ),
    "no-room": Case(
        reason="OutOfcpu", message="Node didn't have enough resource: cpu", helps="free some room"
    ),
    "no-room-after-all": Case(
        reason="UnexpectedAdmissionError",
        message="Unexpected error while attempting to recover from admission failure: preemption: "
        "no set of running pods found to reclaim resources: [(res: memory, q: 33554432), ]",
        helps="free some room",
    ),
    "topology": Case(
        reason="TopologyAffinityError", message="Resources cannot be allocated", helps="free some"
    ),
    "deadline": Case(
        reason="DeadlineExceeded", message="Pod was active too long", helps="--gpu-timeout"
    ),
    "scheduler-busy": Case(
        unscheduled=f"0/3 nodes are available: 1 Insufficient {GPU}.", helps="run the suite again"
    ),
    "scheduler-no-room": Case(
        unscheduled="0/3 nodes are available: 1 Too many pods.", helps="free some room"
    ),
    "queue": Case(
        unscheduled="Scheduling is blocked due to non-empty scheduling gates",
        helps="--gpu-namespace",
    ),
}


@pytest.mark.parametrize("name", NODE)
def test_what_the_node_or_the_stack_refuses_is_a_failure_with_its_words(name: str) -> None:
    """Whoever of it refuses, at whichever step."""
    case = NODE[name]
    finding = check_suite_pod.not_started(case.machine().node())
    assert cause(finding) == case.found
    assert case.says in told(finding)


@pytest.mark.parametrize("name", BROUGHT)
def test_what_we_brought_is_unproven_with_what_helps(name: str) -> None:
    """The words are told, and the next step."""
    case = BROUGHT[name]
    with pytest.raises(Unproven) as error:
        check_suite_pod.not_started(case.machine().node())
    assert case.helps in str(error.value)
    assert (case.says or case.message or case.unscheduled) in str(error.value)


@pytest.mark.parametrize("name", ["sandbox", "pause-image", "gpu-container-start"])
@pytest.mark.parametrize("runtime", ["cri-o", "docker"])
def test_a_decided_pod_stays_decided_under_any_runtime(name: str, runtime: str) -> None:
    """Its configuration is not judged; what was seen is."""
    case = NODE[name]
    found = check_suite_pod.not_started(case.machine(OtherRuntime(runtime=runtime)).node())
    assert cause(found) == case.found


def test_a_class_that_keeps_its_pods_away_is_told() -> None:
    """By the label that the node lacks; a node that has it is full for another reason."""
    away = Case(
        unscheduled="0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector."
    )
    machine = away.machine()
    machine.classes = [runtime_class() | {"scheduling": {"nodeSelector": {"pool": "a100"}}}]
    finding = check_suite_pod.not_started(machine.node())
    assert cause(finding) == "runtimeclass/keeps-pods-away"
    assert "kubectl label node gpu-1 pool=a100" in told(finding)
    machine.labels = {"pool": "a100"}
    with pytest.raises(Unproven):
        check_suite_pod.not_started(machine.node())


def users(*statuses: Object, events: Sequence[tuple[str, str]] = (), minutes: int = 1) -> Machine:
    """Return a node with a user's pod: its container main asks for a GPU, side does not."""
    stuck = pod(runtime_class="nvidia", phase="Pending", statuses=list(statuses))
    stuck["spec"]["containers"].append({"name": "side", "image": "b:1"})
    machine = Machine(pods=[plugin_pod(), stuck])
    ago = timedelta(minutes=minutes)
    machine.objects["events"] = [event(stuck, reason, text, ago) for reason, text in events]
    return machine


SIDE = {"name": "side", "state": {"running": {}}}
UNKNOWN = f"{RPC}failed to mount rootfs: quux 0x7f"


@pytest.mark.parametrize(
    ("machine", "found"),
    [
        (users(events=[(SANDBOX, UNKNOWN)]), REFUSED),
        (users(events=[(SANDBOX, PAUSE)]), "sandbox/pause-image-not-reached"),
        (users(waits("main", "CreateContainerError", "blorp refused"), SIDE), REFUSED),
        (users(ended("main", "StartError", f"{RUNC}flurb: unknown"), SIDE), REFUSED),
        (users(events=[(SANDBOX, UNKNOWN)], minutes=90), None),
        (users(events=[("Pulling", "image"), (SANDBOX, UNKNOWN)]), None),
        (users(waits("main", "ImagePullBackOff", "back-off"), events=[(SANDBOX, UNKNOWN)]), None),
        (
            users(waits("main", "CreateContainerError", "blorp"), waits("side", "PodInitializing")),
            None,
        ),
        (users(ended("main", "StartError", 'exec: "train.sh": not found in $PATH'), SIDE), None),
        (users(SIDE | {"name": "main"}, waits("side", "CreateContainerError", "blorp")), None),
        (users(ended("main", "Error", "write: no space left on device", 1), SIDE), None),
        (users(waits("main", "CrashLoopBackOff", "apparmor said no"), SIDE), None),
    ],
    ids=[
        "sandbox",
        "pause-image",
        "create",
        "start",
        "old-event",
        "sandbox-was-made-since",
        "pulls-since",
        "other-does-not-run",
        "own-image",
        "other-container",
        "own-program-ended",
        "own-program-crashes",
    ],
)
def test_a_users_gpu_pod_that_the_node_refuses(machine: Machine, found: str | None) -> None:
    """By what the node says now; a program's own end, or its image, is the user's business."""
    assert cause(check_pods.failing_to_start(machine.node())) == found


LETTERS = st.text("bcdfghjklmnpqrstvwxz", min_size=4, max_size=12)
"""Words without vowels: none of them is one that a component really says."""


@settings(deadline=None)
@given(st.lists(LETTERS, min_size=2, max_size=5))
def test_any_words_of_a_refusal_are_quoted(words: list[str]) -> None:
    """Of the sandbox and of the container with the GPU, the suite's and a user's."""
    line = f"failed to {' '.join(words)}: zq{words[0]}"
    refused = [
        check_suite_pod.not_started(Case(events=[(SANDBOX, f"{RPC}{line}")]).machine().node()),
        check_suite_pod.not_started(
            Case(statuses=(ended("gpu", "StartError", line), NONE_RAN)).machine().node()
        ),
        check_pods.failing_to_start(users(events=[(SANDBOX, f"{RPC}{line}")]).node()),
        check_pods.failing_to_start(users(waits("main", "RunContainerError", line), SIDE).node()),
    ]
    for finding in refused:
        assert cause(finding) == REFUSED
        assert line in told(finding)
