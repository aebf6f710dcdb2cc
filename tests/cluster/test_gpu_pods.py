"""The suite's GPU pods: made as users make theirs, started together, watched to their end."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import yaml

from pytest_gpu.cluster import gpu_pods
from pytest_gpu.cluster.api import pod_trouble
from pytest_gpu.cluster.api.answers import ApiError
from pytest_gpu.cluster.gpu_pods import try_pods
from pytest_gpu.errors import Unproven
from pytest_gpu.evidence import Door
from pytest_gpu.run.node_face import GpuNode
from pytest_gpu.stack.kube.objects import object_of
from pytest_gpu.stack.pods import check_suite_pod, plan, pod_fate, pod_object
from tests.cluster.api.pod_api import CREATING, DONE, PodApi, ended, waits
from tests.stack.kube.kube_machine import GPU, Machine, cause, daemonset, plugin_pod, runtime_class
from tests.support.fake_evidence import node_object

IMAGE = "python:3-slim"
NO_HANDLER = 'Failed to create pod sandbox: rpc error: no runtime for "nvidia" is configured'
UNSCHEDULABLE = {
    "phase": "Pending",
    "conditions": [
        {"type": "PodScheduled", "status": "False", "message": f"1 Insufficient {GPU}."}
    ],
}


def node(name: str = "gpu-1", **changes: Any) -> GpuNode:
    """Return a node; those with another name share the facts of gpu-1."""
    found = Machine(**changes).node()
    if name != found.name:
        found.memory.recall(object_of, lambda: node_object(name, capacity={GPU: "1"}))
        found.name = name
    return found


def outcome(api: PodApi, **changes: Any) -> dict[str, Any]:
    """Run the pod on one node; check that the outcome survives being written and read again."""
    found = try_pods([node(**changes)], api.objects(), IMAGE, 5)["gpu-1"]
    again: dict[str, Any] = yaml.safe_load(yaml.safe_dump(found))
    assert again == found
    return found


def judged(found: dict[str, Any]) -> GpuNode:
    """Return the node as the tests of the layer see it afterwards."""
    return Machine(outcomes={"pod": found}).node()


def warning(message: str, reason: str = "FailedCreatePodSandBox", count: int = 2) -> dict[str, Any]:
    """Return an event that warns."""
    return {"type": "Warning", "reason": reason, "message": message, "count": count}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at events at once, and wait for no GPU."""
    monkeypatch.setattr(gpu_pods, "EVENTS_EVERY", 0.0)
    monkeypatch.setattr(pod_fate, "BUSY_TIME", 0.0)


def test_a_healthy_node_passes_and_nothing_stays() -> None:
    """What the containers told stands in the pod's status."""
    api = PodApi()
    found = outcome(api)
    assert found["containers"]["gpu"]["exit"] == 0
    for check in (
        check_suite_pod.not_started,
        check_suite_pod.wrong_number,
        check_suite_pod.miscomputes,
    ):
        assert check(judged(found)) is None
    assert check_suite_pod.unrequested(judged(found)) is None
    assert api.pods == {}


def test_requests_are_few() -> None:
    """One a node, and a constant number for the cluster."""
    api = PodApi()
    nodes = [node(f"gpu-{number}") for number in range(50)]
    found = try_pods(nodes, api.objects(), IMAGE, 5)
    assert {len(each["containers"]) for each in found.values()} == {2}
    assert len(api.calls) <= 50 + 10


def test_the_pod_is_an_ordinary_one() -> None:
    """Through the scheduler, one GPU in one container, none in the other, low priority."""
    api = PodApi()
    outcome(api)
    (made,) = api.created
    spec = made["spec"]
    assert "nodeName" not in spec
    assert spec["runtimeClassName"] == "nvidia"
    assert spec["priorityClassName"] == "pytest-gpu"
    assert spec["tolerations"] == [{"operator": "Exists"}]
    assert not spec["automountServiceAccountToken"]
    gpu, none = spec["containers"]
    assert gpu["resources"]["limits"] == {GPU: "1"}
    assert "limits" not in none["resources"]
    assert "--compute" in gpu["command"]
    assert "--compute" not in none["command"]
    assert made["metadata"]["labels"]["pytest-gpu/run"] == "ab12cd34"


def test_the_program_cannot_be_changed_once_the_pod_exists() -> None:
    """It is in the containers' commands, which Kubernetes does not let anybody change."""
    api = PodApi()
    outcome(api)
    (pod,) = api.created
    assert "volumes" not in pod["spec"]
    for container in pod["spec"]["containers"]:
        assert container["command"][4] == gpu_pods.program()


def test_the_pod_has_no_more_power_than_users_pods() -> None:
    """The runtime's seccomp profile, no capabilities."""
    api = PodApi()
    outcome(api)
    (pod,) = api.created
    assert pod["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["spec"]["containers"]:
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["securityContext"]["allowPrivilegeEscalation"] is False


def test_a_recorded_pod_is_without_its_program() -> None:
    """It is long, and says nothing about the node."""
    command = outcome(PodApi())["pod"]["spec"]["containers"][0]["command"]
    assert gpu_pods.program() not in command
    assert "--compute" in command
    added = {"spec": {"containers": [{"name": "sidecar"}]}}
    assert pod_object.without_program(added) == added


def test_a_cluster_without_the_priority_class_gets_none() -> None:
    """Whoever may not make one has the default; it is asked once, not for every node."""

    def refuse(body: dict[str, Any]) -> str | None:
        given = (body.get("spec") or {}).get("priorityClassName")
        return "no PriorityClass with name pytest-gpu was found" if given else None

    api = PodApi(refuse=refuse)
    found = try_pods([node(f"gpu-{n}") for n in range(3)], api.objects(), IMAGE, 5)
    assert all("pod" in each and "rejected" not in each for each in found.values())
    assert sum(call == ("POST", "/api/v1/namespaces/pytest-gpu/pods") for call in api.calls) == 4


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, "nvidia"),
        ({"default": "nvidia"}, None),
        ({"classes": [runtime_class("gpu", "nvidia")]}, "gpu"),
        ({"classes": []}, "nvidia"),
        ({"classes": [runtime_class("nvidia", "misspelt")]}, "nvidia"),
        ({"classes": [], "handlers": {"runc": None}, "live": ("runc",)}, None),
    ],
    ids=["class", "default-injects", "own-name", "class-missing", "misspelt", "no-handler"],
)
def test_the_runtime_class_is_the_one_that_users_must_write(
    changes: dict[str, Any], wanted: str | None
) -> None:
    """Or none, where the cluster needs none."""
    assert plan.runtime_class(node(**changes)) == wanted


def test_no_class_where_the_plugin_names_cdi_devices() -> None:
    """Then containerd injects under any handler."""
    env = [{"name": "DEVICE_LIST_STRATEGY", "value": "cdi-cri"}]
    pods = [plugin_pod()]
    pods[0]["spec"]["containers"][0]["env"] = env
    with_cdi = node(pods=pods, daemonsets=[daemonset()], cdi_enabled=True)
    assert plan.runtime_class(with_cdi) is None


@pytest.mark.parametrize(
    ("allocatable", "wanted"),
    [
        ({GPU: "8", "nvidia.com/mig-1g.5gb": "7"}, GPU),
        ({"nvidia.com/gpu.shared": "4", "cpu": "8"}, "nvidia.com/gpu.shared"),
        ({GPU: "0", "nvidia.com/mig-2g.10gb": "3"}, "nvidia.com/mig-2g.10gb"),
        ({GPU: "0"}, None),
        ({"nvidia.com/hostdev": "1"}, None),
    ],
)
def test_what_the_node_advertises_is_asked_for(
    allocatable: dict[str, str], wanted: str | None
) -> None:
    """Whole GPUs before shared ones, these before slices."""
    thing = node_object(capacity=allocatable)
    assert pod_object.advertised(thing) == wanted


def test_a_node_that_gives_nothing_away_is_left_out() -> None:
    """The device-plugin layer says why; nothing is created."""
    api = PodApi()
    assert "no allocatable nvidia.com/gpu" in outcome(api, allocatable={GPU: "0"})["skipped"]
    assert api.created == []


@pytest.mark.usefixtures("impatient")
def test_a_start_that_fails_again_and_again_is_explained() -> None:
    """By its events; the pods of other nodes are not kept waiting for ever."""
    api = PodApi(
        scripts={"gpu-1": ({"phase": "Pending"}, CREATING)},
        events={"gpu-1": [warning(NO_HANDLER)]},
    )
    found = outcome(api)
    assert found["containers"] == {}
    assert cause(check_suite_pod.not_started(judged(found))) == "sandbox/handler-refused"


def test_a_container_that_cannot_start_is_explained() -> None:
    """Its status holds the runtime's own words; that is no report of ours."""
    text = "failed to initialize NVML: Driver/library version mismatch: unknown"
    failed = ended("gpu", text, code=128, reason="StartError")
    status = {"phase": "Failed", "containerStatuses": [failed, ended("none")]}
    found = outcome(PodApi(scripts={"gpu-1": ({"phase": "Pending"}, status)}))
    assert list(found["containers"]) == ["none"]
    assert (
        cause(check_suite_pod.not_started(judged(found))) == "sandbox/toolkit-cannot-reach-driver"
    )


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("status", "why"),
    [
        (UNSCHEDULABLE, "all GPUs are in use by"),
        (
            {"phase": "Pending", "containerStatuses": [waits("gpu", "ImagePullBackOff")]},
            "could not be pulled",
        ),
    ],
    ids=["busy", "no-image"],
)
def test_what_is_no_fault_of_the_gpu_is_unproven(status: dict[str, Any], why: str) -> None:
    """And known without waiting for the deadline."""
    found = outcome(PodApi(scripts={"gpu-1": ({"phase": "Pending"}, status)}))
    with pytest.raises(Unproven, match=why):
        check_suite_pod.not_started(judged(found))


def test_a_missing_runtime_class_is_told_by_the_api_server() -> None:
    """It refuses the pod."""
    refusal = 'pods "x" is forbidden: pod rejected: RuntimeClass "nvidia" not found'
    api = PodApi(refuse=lambda body: refusal)
    found = outcome(api)
    assert found["rejected"] == refusal
    assert cause(check_suite_pod.not_started(judged(found))) == "runtimeclass/missing"


def test_an_api_server_that_is_gone_proves_nothing() -> None:
    """Not even that it refused the pod."""
    why = "connection refused"
    assert why in outcome(PodApi(refuse=lambda body: why, status=0))["skipped"]


def test_a_report_that_was_cut_off_is_read_from_the_log() -> None:
    """Kubernetes keeps 4096 bytes of a message."""
    whole = json.dumps({"devices": [], "cuda": None})
    status = {"phase": "Succeeded", "containerStatuses": [ended("gpu", '{"dev'), ended("none")]}
    api = PodApi(scripts={"gpu-1": ({"phase": "Pending"}, status)}, logs={"gpu": whole})
    assert outcome(api)["containers"]["gpu"]["output"] == whole
    assert sum(kind == "LOG" for kind, _ in api.calls) == 1


def test_a_container_that_hangs_has_told_it_in_its_log() -> None:
    """Its process cannot be ended, so it has no last message."""
    told = {"devices": ["/dev/nvidia0"], "cuda": {"init": None, "hung": "cuInit", "compute": "x"}}
    running = {"name": "gpu", "state": {"running": {"startedAt": "2026-11-21T10:00:00Z"}}}
    status = {"phase": "Running", "containerStatuses": [running, ended("none")]}
    api = PodApi(scripts={"gpu-1": (status,)}, logs={"gpu": json.dumps(told)})
    found = try_pods([node()], api.objects(), IMAGE, 0.2)["gpu-1"]
    finding = check_suite_pod.miscomputes(judged(dict(found)))
    assert cause(finding) == "runtimeclass-pod/cuda-gives-no-answer"


def test_a_pod_that_does_not_go_is_left_to_the_runs_clean_up() -> None:
    """Nobody waits twice until it is gone."""
    api = PodApi(stuck=True)
    assert "left" not in outcome(api)
    assert api.calls[-1][0] == "DELETE"
    assert [each.partition("/")[0] for each in api.objects().remove_all(within=0.1)] == ["pods"]


def test_a_removal_that_is_refused_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that does it by hand."""
    api = PodApi()

    def refuse(path: str, **query: object) -> None:
        raise ApiError(500, "", "etcd is full")

    monkeypatch.setattr(api, "delete", refuse)
    (left,) = outcome(api)["left"]
    assert "etcd is full; remove them with: kubectl delete pods -n pytest-gpu" in left


def test_a_pod_that_somebody_removed_proves_nothing() -> None:
    """It is gone in the middle."""
    api = PodApi(scripts={"gpu-1": ({"phase": "Pending"}, CREATING, DONE)})
    objects = api.objects()
    real = api.get

    def get(path: str, **query: object) -> dict[str, Any]:
        api.pods.clear()
        return real(path, **query)

    api.get = get  # type: ignore[method-assign]
    assert "somebody removed" in try_pods([node()], objects, IMAGE, 1)["gpu-1"]["skipped"]


def test_one_failure_to_start_is_not_yet_a_fate() -> None:
    """Containerd may just be restarting; two are, whichever way events are counted."""
    once = warning("x", count=1)
    series = {"type": "Warning", "reason": "FailedCreatePodSandBox", "series": {"count": 3}}
    pod = {"status": CREATING, "spec": {"containers": [{}, {}]}}
    assert not pod_fate.is_clear(pod, [once], 60)
    assert pod_fate.is_clear(pod, [once, once], 60)
    assert pod_fate.is_clear(pod, [series], 60)
    assert not pod_fate.is_clear({"status": UNSCHEDULABLE}, [], 1)


PENDING = {"phase": "Pending"}
TAKEN = {**CREATING, "startTime": "2026-11-21T10:00:00Z"}


@pytest.mark.parametrize(
    ("status", "ready", "patience"),
    [(PENDING, True, 60), (PENDING, False, 30), (TAKEN, False, 30)],
    ids=["untaken", "untaken-not-ready", "not-ready"],
)
def test_a_pod_waits_for_its_kubelet_as_long_as_the_visit_did(
    status: dict[str, Any], patience: float, *, ready: bool
) -> None:
    """A minute on a Ready node, half of that on a NotReady one."""
    pod = {"status": status, "spec": {"containers": [{}, {}]}}
    assert not pod_fate.is_clear(pod, [], patience - 1, ready=ready)
    assert pod_fate.is_clear(pod, [], patience + 1, ready=ready)


def test_a_pod_that_its_kubelet_took_may_take_its_time() -> None:
    """It pulls an image, or computes."""
    for status in (TAKEN, {**TAKEN, "phase": "Running"}):
        pod = {"status": status, "spec": {"containers": [{}, {}]}}
        assert not pod_fate.is_clear(pod, [], 250)
    assert not pod_fate.is_clear({"status": {"phase": "Running"}}, [], 250, ready=False)


def test_a_not_ready_node_does_not_take_the_whole_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was seen over ssh; its kubelet does not take the pod."""
    monkeypatch.setattr(pod_fate, "NOT_READY_TIME", 0.0)
    api = PodApi(scripts={"gpu-1": (PENDING,)})
    began = time.monotonic()
    found = dict(try_pods([node(ready="False")], api.objects(), IMAGE, 20)["gpu-1"])
    assert time.monotonic() - began < 10
    with pytest.raises(Unproven, match=r"last Pending: .*kubelet did not start to handle the pod"):
        check_suite_pod.not_started(judged(found))


def test_no_pod_follows_one_that_the_kubelet_did_not_take() -> None:
    """A node that takes no pods costs one deadline, not two."""
    untaken = {"metadata": {"name": "visit"}, "status": {"phase": "Pending"}}
    event = {"type": "Warning", "reason": "NodeNotReady", "message": "Node is not ready"}
    about = {"involvedObject": {"name": "visit"}}
    for events in ([], [{**event, **about}]):
        why = f"the pod did not start within 61 s: {pod_trouble.explain(untaken, events)}"
        api = PodApi()
        found = outcome(api, door=Door(kind="none", reason=why))
        assert why in found["skipped"]
        assert api.created == []
    api = PodApi()
    assert outcome(api, door=Door(kind="none", reason="exec is forbidden"))["containers"]


def test_names_of_pods_fit_whatever_the_node_is_called() -> None:
    """A node's name may be longer than a pod's label, and hold dots."""
    assert len(plan.pod_name("ab12cd34", "a" * 250)) < 63
