"""An operand that Kubernetes cannot start, in words that nobody knows: its layer quotes these.

In each state that an operand can be stuck in; of one that works the same words mean nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.operands import roles as r
from pytest_gpu.stack.operands.fault import fault_of
from pytest_gpu.stack.operands.operands import operands_of
from pytest_gpu.stack.pods import check_plugin, check_plugin_pod
from tests.stack.gpu.gpu_machine import cause
from tests.stack.operands.made_up_failures import NONSENSE, Failure, failures
from tests.stack.operands.made_up_operands import (
    READY,
    Object,
    container,
    log_path,
    pod,
    warning,
    workload,
)
from tests.stack.operands.test_unknown_failures import LAYERS, PROGRAMS, latents, node_of

POD = "pod gpu-stack/x-7k2vn"
MAKER = {role: "Deployment" if role == r.OPERATOR else "DaemonSet" for role in r.ROLES}
NOT_YET: Object = {"state": {"waiting": {"reason": "PodInitializing"}}, "ready": False}


@dataclass(frozen=True)
class Stuck:
    """An operand that is stuck: its pod, what else there is, and the words that are quoted."""

    pod: Object | None
    said: Evidence
    files: Mapping[str, str] | None = None
    events: tuple[Object, ...] = ()
    controllers: tuple[Object, ...] = ()

    @property
    def reason(self) -> str:
        """The reason in front of the words that are quoted."""
        return self.said.text.partition(": ")[0]


State = Callable[[str, str], Stuck]
"""Returns an operand that is stuck: from its role, and the nonsense."""


def made(role: str, main: Object, *, init: Object | None = None, **status: Any) -> Object:
    """Return a role's pod, in which these are the states of its containers."""
    image, run = PROGRAMS[role]
    statuses = {"main": main, "prepare": init or {}}
    inits = [container("registry.example/gpu/prepare:v1", name="prepare")] if init else []
    work = container(f"registry.example/gpu/{image}:v1", run=run)
    return pod(work, inits=inits, owner=(MAKER[role], "x"), statuses=statuses, **status)


def waiting(reason: str) -> State:
    """Return the state of a container that cannot be created or started."""

    def stuck(role: str, words: str) -> Stuck:
        status = {"state": {"waiting": {"reason": reason, "message": words}}, "ready": False}
        said = Evidence(source=f"{POD}, container main", text=f"{reason}: {words}")
        return Stuck(made(role, status), said)

    return stuck


def init_waiting(role: str, words: str) -> Stuck:
    """An init container whose image is not there."""
    state = {"waiting": {"reason": "ErrImagePull", "message": words}}
    own = made(role, NOT_YET, init={"state": state, "ready": False}, phase="Pending")
    said = Evidence(source=f"{POD}, container prepare", text=f"ErrImagePull: {words}")
    return Stuck(own, said)


def never_started(role: str, words: str) -> Stuck:
    """The container runtime refuses to start the program, again and again."""
    end = {"exitCode": 128, "reason": "StartError", "message": words}
    state = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}}
    status = {"state": state, "lastState": {"terminated": end}, "ready": False, "restartCount": 9}
    said = Evidence(source=f"{POD}, container main, when it ended", text=words)
    return Stuck(made(role, status), said)


def before(reason: str) -> State:
    """Return the state of a pod whose sandbox or volumes cannot be made."""

    def stuck(role: str, words: str) -> Stuck:
        status = {"state": {"waiting": {"reason": "ContainerCreating"}}, "ready": False}
        own = made(role, status, phase="Pending")
        said = Evidence(source=f"event of {POD}", text=f"{reason}: {words}")
        return Stuck(own, said, events=(warning(own, reason, words),))

    return stuck


def pending(role: str, words: str) -> Stuck:
    """The scheduler finds no place for the pod that a DaemonSet made for this node."""
    no = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words}
    own = made(role, {}, phase="Pending", conditions=[no])
    own["status"]["containerStatuses"] = []
    said = Evidence(source=f"condition PodScheduled of {POD}", text=f"Unschedulable: {words}")
    return Stuck(own, said)


def evicted(role: str, words: str) -> Stuck:
    """The kubelet has put the pod out, and there is no other one."""
    own = made(role, {}, phase="Failed", reason="Evicted", message=words)
    own["status"]["containerStatuses"] = []
    return Stuck(own, Evidence(source=POD, text=f"Evicted: {words}"))


def not_made(role: str, words: str) -> Stuck:
    """Its controller may not make a pod."""
    kind = MAKER[role]
    counts = {"desiredNumberScheduled": 1, "currentNumberScheduled": 0, "replicas": 0}
    controller = workload(made(role, READY), kind, status=counts)
    said = Evidence(source=f"event of {kind.lower()} gpu-stack/x", text=f"FailedCreate: {words}")
    event = warning(controller, "FailedCreate", words)
    return Stuck(None, said, events=(event,), controllers=(controller,))


STATES: Mapping[str, State] = {
    "image-pull": waiting("ImagePullBackOff"),
    "image-error": waiting("ErrImagePull"),
    "image-name": waiting("InvalidImageName"),
    "create-config": waiting("CreateContainerConfigError"),
    "create": waiting("CreateContainerError"),
    "run": waiting("RunContainerError"),
    "new-reason": waiting("ZorpError"),
    "init-image": init_waiting,
    "start": never_started,
    "sandbox": before("FailedCreatePodSandBox"),
    "mount": before("FailedMount"),
    "attach": before("FailedAttachVolume"),
    "pending": pending,
    "evicted": evicted,
    "not-made": not_made,
}


def missed(role: str, node: Node) -> Finding | None:
    """Return what is said on the node that misses an operand: a plugin has checks of its own."""
    if role != r.DEVICE_PLUGIN:
        return LAYERS[role].judge(node)
    checks = (
        check_plugin.not_deployed,
        check_plugin_pod.not_scheduled,
        check_plugin_pod.not_running,
    )
    return next((found for each in checks if (found := each(node))), None)


PLUGIN_CAUSES = {
    **dict.fromkeys(("image-pull", "image-error", "image-name"), "device-plugin/image-not-pulled"),
    "init-image": "device-plugin/image-not-pulled",
    "not-made": "device-plugin/not-scheduled",
}
"""What a device plugin's state is called, where it has a name of its own."""


def judged(role: str, stuck: Stuck) -> Finding | None:
    """Return what is said on the node that misses this operand."""
    kind = f"{MAKER[role].lower()}s"
    pods = [stuck.pod] if stuck.pod else []
    controller = workload(made(role, READY), MAKER[role])
    more = {kind: stuck.controllers or [controller]}
    return missed(role, node_of(role, pods, stuck.files or {}, *stuck.events, **more))


EACH = [
    (role, state)
    for role in r.ROLES
    for state in STATES
    if (role, state) != (r.DEVICE_PLUGIN, "evicted")
]


@pytest.mark.parametrize(("role", "state"), EACH)
@settings(max_examples=2, deadline=None)
@given(words=NONSENSE)
def test_the_layer_fails_and_quotes_what_kubernetes_says(role: str, state: str, words: str) -> None:
    """Source and words, in every state that an operand can be stuck in."""
    stuck = STATES[state](role, words)
    found = judged(role, stuck)
    expected = PLUGIN_CAUSES.get(state) if role == r.DEVICE_PLUGIN else None
    assert cause(found) == (expected or LAYERS[role].cause)
    assert found is not None
    if role == r.DEVICE_PLUGIN:
        # Its state stands before its words: the reason need not be said again.
        assert words in {each.text.removeprefix(f"{stuck.reason}: ") for each in found.evidence}
    else:
        assert stuck.said in found.evidence


@pytest.mark.parametrize("role", r.ROLES)
@settings(max_examples=6, deadline=None)
@given(failure=failures())
def test_an_init_container_that_fails(role: str, failure: Failure) -> None:
    """Its log is read like that of the main container."""
    own = made(role, NOT_YET, init=failure.status, phase="Pending")
    log = {log_path(own, "prepare", failure.restarts): failure.log}
    where = f"log of {POD}, container prepare"
    said = Evidence(source=where, line=failure.line, text=failure.text)
    found = judged(role, Stuck(own, said, files=log))
    assert cause(found) == LAYERS[role].cause
    assert found is not None
    assert said in found.evidence


OLD = ("BackOff", "FailedMount", "FailedCreatePodSandBox", "FailedScheduling", "Failed")


@pytest.mark.parametrize("role", r.ROLES)
@settings(max_examples=4, deadline=None)
@given(words=NONSENSE, reason=st.sampled_from(OLD), minutes=st.sampled_from([0, 3, 45]))
def test_the_same_words_about_an_operand_that_works_now(
    role: str, words: str, reason: str, minutes: int
) -> None:
    """In events of any age about its pod and its controller, and in how it ended before."""
    ended = {"exitCode": 1, "reason": "Error", "message": words}
    own = made(role, {**READY, "restartCount": 3, "lastState": {"terminated": ended}})
    controller = workload(own, MAKER[role])
    events = (warning(own, reason, words, minutes), warning(controller, "FailedCreate", words, 45))
    node = node_of(role, [own], {}, *events)
    assert [fault_of(node, each) for each in operands_of(node)] == [None]
    assert [*latents(node)] == []
    assert words not in str(missed(role, node))
