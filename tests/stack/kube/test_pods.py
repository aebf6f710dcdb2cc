"""What kubectl would show for a pod, which pods use GPUs, and which of them wait."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pytest_gpu.stack.kube.events import fresh_events
from pytest_gpu.stack.kube.pod_state import has_started, is_running, kubectl_state
from pytest_gpu.stack.kube.pods import gpu_requests, node_of, pods_on, waiting_pods
from tests.stack.kube.kube_machine import GPU, Machine, event, pod, waiting
from tests.support.fake_evidence import FakeCluster

DONE = {"terminated": {"exitCode": 0, "reason": "Completed"}}


def inits(*states: dict[str, Any]) -> list[dict[str, Any]]:
    """Return statuses of init containers."""
    return [{"name": f"init-{at}", "state": state} for at, state in enumerate(states)]


@pytest.mark.parametrize(
    ("made", "shown"),
    [
        (pod(), "Running"),
        (pod(phase="Pending"), "Pending"),
        (pod(phase="Pending", statuses=waiting("ContainerCreating")), "ContainerCreating"),
        (pod(statuses=waiting("CrashLoopBackOff", restarts=9)), "CrashLoopBackOff"),
        (pod(phase="Failed", reason="UnexpectedAdmissionError"), "UnexpectedAdmissionError"),
        (pod(phase="Succeeded", statuses=[{"name": "main", "state": DONE}]), "Completed"),
        (pod(statuses=[{"state": {"terminated": {"exitCode": 3}}}]), "ExitCode:3"),
        (
            pod(phase="Pending", initContainerStatuses=inits(DONE, {"running": {}})),
            "Init:1/2",
        ),
        (
            pod(
                phase="Pending",
                initContainerStatuses=inits({"waiting": {"reason": "CrashLoopBackOff"}}),
            ),
            "Init:CrashLoopBackOff",
        ),
        (
            pod(
                phase="Pending",
                initContainerStatuses=inits({"terminated": {"exitCode": 1, "reason": "Error"}}),
            ),
            "Init:Error",
        ),
    ],
)
def test_state_is_what_kubectl_shows(made: dict[str, Any], shown: str) -> None:
    """The STATUS column of kubectl get pods."""
    assert kubectl_state(made) == shown


def test_a_pod_that_is_being_deleted_is_terminating() -> None:
    """Whatever its containers do."""
    made = pod()
    made["metadata"]["deletionTimestamp"] = "2026-11-21T11:00:00Z"
    assert kubectl_state(made) == "Terminating"


def test_a_pod_that_crashes_has_started_and_does_not_run() -> None:
    """One whose sandbox was never made has not started."""
    crashing = pod(statuses=waiting("CrashLoopBackOff", restarts=3))
    creating = pod(phase="Pending", statuses=waiting("ContainerCreating"))
    assert (has_started(crashing), is_running(crashing)) == (True, False)
    assert (has_started(creating), is_running(creating)) == (False, False)
    assert (has_started(pod()), is_running(pod())) == (True, True)


def test_requests_are_summed_over_containers() -> None:
    """Other resources do not count."""
    made = pod(gpus=2)
    made["spec"]["containers"].append({"name": "b", "resources": {"limits": {GPU: 1, "cpu": "2"}}})
    assert gpu_requests(made["spec"]) == {GPU: 3}
    assert gpu_requests(pod(gpus=0)["spec"]) == {}


def asks(gpus: int, **more: Any) -> dict[str, Any]:
    """Return a container of a pod's spec that asks for GPUs."""
    return {"resources": {"limits": {GPU: str(gpus)}}, **more}


SIDECAR = {"restartPolicy": "Always"}


@pytest.mark.parametrize(
    ("inits", "containers", "wanted"),
    [
        ([asks(2)], [{}], 2),
        ([asks(1), asks(3)], [asks(2)], 3),
        ([asks(1)], [asks(2), asks(2)], 4),
        ([asks(1, **SIDECAR), asks(4)], [asks(2)], 5),
        ([asks(1, **SIDECAR)], [asks(2)], 3),
        ([{}], [{}], 0),
    ],
)
def test_init_containers_ask_before_the_rest_and_sidecars_beside_it(
    inits: list[dict[str, Any]], containers: list[dict[str, Any]], wanted: int
) -> None:
    """What the scheduler reckons: the most that is needed at one time."""
    found = gpu_requests({"initContainers": inits, "containers": containers})
    assert found == ({GPU: wanted} if wanted else {})


def test_daemonset_pods_belong_to_their_node_before_they_are_bound() -> None:
    """Their affinity names it; they are Pending where the node is NotReady."""
    made = pod(node=None, phase="Pending")
    fields = [{"key": "metadata.name", "operator": "In", "values": ["gpu-7"]}]
    terms = {"nodeSelectorTerms": [{"matchFields": fields}]}
    rule = {"requiredDuringSchedulingIgnoredDuringExecution": terms}
    assert node_of(made) is None
    made["spec"]["affinity"] = {"nodeAffinity": rule}
    assert node_of(made) == "gpu-7"


def test_pods_that_have_ended_hold_nothing() -> None:
    """Neither a finished nor a failed one."""
    made = [pod("a"), pod("b", phase="Succeeded"), pod("c", phase="Failed"), pod("d", node="x")]
    cluster = FakeCluster(objects={"pods": made})
    assert [p["metadata"]["name"] for p in pods_on(cluster, "gpu-1")] == ["a"]


def test_waiting_pods_tell_state_age_and_reason() -> None:
    """The users' pods come first, those that run are left out."""
    text = 'Failed to create pod sandbox: no runtime for "nvidia" is configured'
    stuck = pod(
        "stuck", phase="Pending", statuses=waiting("ContainerCreating"), age=timedelta(minutes=23)
    )
    operand = pod("a", gpus=0, app="nvidia-dcgm-exporter", statuses=waiting("CrashLoopBackOff"))
    web = pod("web", gpus=0, phase="Pending")
    machine = Machine(pods=[operand, stuck, web, pod("fine")])
    machine.objects["events"] = [event(stuck, "FailedCreatePodSandBox", text)]
    found = waiting_pods(machine.node().cluster, ["gpu-1"])
    assert [each.name for each in found] == ["stuck", "a"]
    assert (found[0].state, found[0].age) == ("ContainerCreating", timedelta(minutes=23))
    assert 'no runtime for "nvidia"' in found[0].reason


@pytest.mark.parametrize(
    ("allocatable", "ready", "waits"), [("0", "True", 1), ("1", "True", 0), ("1", "False", 1)]
)
def test_unscheduled_pods_wait_for_nodes_that_do_not_offer(
    allocatable: str, ready: str, waits: int
) -> None:
    """A busy node keeps pods waiting, too, and is healthy."""
    machine = Machine(
        pods=[pod(node=None, phase="Pending")], allocatable={GPU: allocatable}, ready=ready
    )
    assert len(waiting_pods(machine.node().cluster, ["gpu-1"])) == waits


def test_old_events_and_those_of_a_namesake_are_no_evidence() -> None:
    """What is repeated now counts."""
    made = pod()
    namesake = event(made, "Failed", "of another pod of the same name")
    namesake["involvedObject"]["uid"] = "another"
    events = [
        event(made, "Failed", "now"),
        event(made, "Failed", "yesterday", ago=timedelta(days=1)),
        namesake,
    ]
    cluster = FakeCluster(objects={"events": events})
    assert [each["message"] for each in fresh_events(cluster, made)] == ["now"]


def test_an_event_about_another_object_of_that_name_is_not_about_it() -> None:
    """Of another kind, or of a pod that had the name before."""
    made = {"kind": "Pod", **pod("trainer")}
    made["metadata"]["uid"] = "new"
    other, former = event(made, "FailedCreate", "its job"), event(made, "BackOff", "former")
    other["involvedObject"]["kind"] = "Job"
    former["involvedObject"]["uid"] = "old"
    events = [other, former, event(made, "Failed", "now")]
    cluster = FakeCluster(objects={"pods": [made], "events": events})
    assert [each["message"] for each in fresh_events(cluster, made)] == ["now"]
