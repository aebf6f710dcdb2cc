"""What is listed, what a missing right means, why pods do not start, and what is told meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pytest_gpu.cluster.api import kept, pod_trouble, reviews, rights, slow_waits, snapshot
from pytest_gpu.cluster.api.answers import ApiError
from pytest_gpu.cluster.api.client import KubeClient
from pytest_gpu.cluster.api.login import open_client
from pytest_gpu.cluster.recording.recorded import open_recording
from pytest_gpu.cluster.recording.recorder import Recorder
from pytest_gpu.cluster.visits.pod_stream import PodStream, status_of
from pytest_gpu.cluster.visits.visit import StreamLate
from pytest_gpu.errors import NotInEvidence
from pytest_gpu.evidence import KubeObject
from tests.cluster.api import fake_api
from tests.cluster.api.fake_api import FakeApi, FakeServer

PLUGIN = {
    "metadata": {"name": "plugin", "namespace": "gpu-operator"},
    "spec": {
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": "plugin",
                        "image": "nvcr.io/nvidia/k8s-device-plugin:v0.17.0",
                        "volumeMounts": [
                            {"name": "sockets", "mountPath": "/var/lib/kubelet/device-plugins"}
                        ],
                    }
                ],
                "volumes": [
                    {"name": "sockets", "hostPath": {"path": "/var/lib/kubelet/device-plugins"}},
                    {"name": "config", "configMap": {"name": "sharing"}},
                ],
            }
        }
    },
}


@pytest.fixture
def api() -> FakeApi:
    """Return an API server's knowledge: a node, a plugin that names a ConfigMap, another one."""
    api = FakeApi()
    api.put("nodes", {"metadata": {"name": "gpu-1", "managedFields": [{"manager": "kubelet"}]}})
    api.put("daemonsets", PLUGIN)
    for name in ("sharing", "private"):
        head = {"name": name, "namespace": "gpu-operator"}
        api.put("configmaps", {"metadata": head, "data": {"a": "b"}})
    return api


@pytest.fixture
def client(api: FakeApi, tmp_path: Path) -> Iterator[KubeClient]:
    """Return a client of a server that knows it."""
    with FakeServer(api) as server:
        client = open_client("current", kubeconfig=server.kubeconfig(tmp_path))
        yield client
        client.close()


def names(things: Any) -> list[str]:
    """Return the names of objects."""
    return [thing["metadata"]["name"] for thing in things]


def test_what_the_cluster_does_not_have_is_proven_absent(client: KubeClient) -> None:
    """No API group, no objects: that is knowledge, and no reason for unproven."""
    listed = snapshot.list_objects(client)
    assert names(listed.objects["nodes"]) == ["gpu-1"]
    assert listed.objects["resourceslices"] == ()
    assert "managedFields" not in listed.objects["nodes"][0]["metadata"]
    assert listed.refused == {}


def test_only_the_config_maps_that_a_plugin_names_are_read(
    client: KubeClient, api: FakeApi
) -> None:
    """One request each; never a list of all."""
    listed = snapshot.list_objects(client)
    assert names(listed.objects["configmaps"]) == ["sharing"]
    assert len(api.asked("GET *configmaps*")) == 1


def test_config_map_that_may_not_be_read_is_not_absent(
    client: KubeClient, api: FakeApi, tmp_path: Path
) -> None:
    """Counting GPUs must stay unproven, not turn into a missing ConfigMap."""
    api.denied.add("get configmaps")
    listed = snapshot.list_objects(client)
    assert "forbidden" in listed.refused["configmaps"]
    recorder = Recorder(tmp_path / "spool", taken=datetime.now(UTC))
    listed.write(recorder)
    with pytest.raises(NotInEvidence):
        open_recording(tmp_path / "spool", "spool").objects("configmaps")


def tenant(name: str, kind: str = "containers", image: str = "app:1") -> dict[str, Any]:
    """Return a pod whose container has variables."""
    values = {"GREETING": "hunter2", "NVIDIA_VISIBLE_DEVICES": "all"}
    env: list[Any] = [{"name": key, "value": value} for key, value in values.items()]
    env.append({"name": "FROM", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}})
    container = {"name": "c", "image": image, "env": env}
    return {"metadata": {"name": name, "namespace": "team"}, "spec": {kind: [container]}}


def test_values_of_other_peoples_variables_are_dropped_at_once(
    client: KubeClient, api: FakeApi
) -> None:
    """Whatever their names: they are in no object that is kept. Names and references stay."""
    for at, kind in enumerate(("containers", "initContainers", "ephemeralContainers")):
        api.put("pods", tenant(f"pod-{at}", kind))
    for kind in ("daemonsets", "deployments"):
        pod = tenant("workload")
        api.put(kind, {"metadata": pod["metadata"], "spec": {"template": {"spec": pod["spec"]}}})
    listed = snapshot.list_objects(client)
    text = str(listed.objects)
    assert "hunter2" not in text
    assert text.count("GREETING") == 5
    assert text.count("'value': 'all'") == 5
    assert text.count("spec.nodeName") == 5


def test_values_of_other_peoples_annotations_are_dropped_at_once(
    client: KubeClient, api: FakeApi
) -> None:
    """But for those of Kubernetes, Helm, NVIDIA and CDI, and names of CDI devices."""
    kept = {
        "meta.helm.sh/release-name": "vllm",
        "cdi.k8s.io/gpus": "nvidia.com/gpu=0",
        "nvidia.cdi.k8s.io/container.main": "nvidia.com/gpu=all",
        "devices.example.com/main": "nvidia.com/gpu=GPU-0a,nvidia.com/gpu=GPU-0b",
        "hami.io/node": "nvidia.com/gpu=1:2",
    }
    pod = tenant("noted")
    pod["metadata"]["annotations"] = {**kept, "team.example.com/note": "the door code is hunter2"}
    api.put("pods", pod)
    template = {"metadata": {"annotations": {"note": "hunter2"}}, "spec": tenant("x")["spec"]}
    api.put("deployments", {"metadata": {"name": "made"}, "spec": {"template": template}})
    listed = snapshot.list_objects(client)
    assert "hunter2" not in str(listed.objects)
    notes = listed.objects["pods"][0]["metadata"]["annotations"]
    assert notes == {**kept, "team.example.com/note": "<redacted>"}


def test_a_users_image_that_only_sounds_like_nvidias_keeps_no_values(
    client: KubeClient, api: FakeApi
) -> None:
    """Whether software serves GPUs is not told by a word in its image."""
    for at, image in enumerate(("corp/dcgm-dashboard:1", "corp/gpu-operator-docs:2")):
        api.put("pods", tenant(f"sounds-{at}", image=image))
    assert "hunter2" not in str(snapshot.list_objects(client).objects)


@pytest.mark.parametrize("image", ["registry.example.com/container-toolkit:v1", "nvidia/driver:1"])
def test_variables_of_the_software_that_serves_gpus_stay(
    client: KubeClient, api: FakeApi, image: str
) -> None:
    """Checks read them."""
    api.put("pods", tenant("toolkit", image=image))
    (pod,) = snapshot.list_objects(client).objects["pods"]
    assert pod["spec"]["containers"][0]["env"][0]["value"] == "hunter2"


def test_variables_of_a_device_plugin_stay(client: KubeClient, api: FakeApi) -> None:
    """It is known by what it runs, whatever its image; its other containers configure it."""
    pod = tenant("plugin", image="mine:1")
    pod["spec"]["containers"][0]["command"] = ["nvidia-device-plugin"]
    pod["spec"]["initContainers"] = tenant("x", "initContainers")["spec"]["initContainers"]
    api.put("pods", pod)
    assert str(snapshot.list_objects(client).objects["pods"]).count("hunter2") == 2


@pytest.mark.parametrize(
    "pod",
    [
        {"metadata": {"name": "p"}, "spec": []},
        {"metadata": {"name": "p"}, "spec": {"ephemeralContainers": [{"env": "A=1"}]}},
        {"metadata": {"name": "p"}, "status": {"conditions": {}}},
        {"metadata": {"name": "p", "labels": {"a": 1}}},
        {"metadata": {"name": "p"}, "spec": {"containers": [None]}},
    ],
)
def test_resource_with_a_wrong_shape_is_left_out(
    client: KubeClient, api: FakeApi, pod: dict[str, Any]
) -> None:
    """What depends on it is unproven; all others are read."""
    api.put("pods", pod)
    listed = snapshot.list_objects(client)
    assert "pods" not in listed.objects
    assert listed.refused["pods"].startswith("the API server's list of pods.")
    assert names(listed.objects["nodes"]) == ["gpu-1"]


def test_nodes_with_a_wrong_shape_end_the_run(client: KubeClient, api: FakeApi) -> None:
    """In one line."""
    api.put("nodes", {"metadata": {"name": "x"}, "status": []})
    with pytest.raises(ApiError, match=r"nodes\.status: is a list, must be a mapping"):
        snapshot.list_objects(client)


@pytest.mark.parametrize(
    ("node", "says"),
    [
        ({"metadata": {}}, "one of the nodes has no name"),
        ({"metadata": {"name": 7}}, "one of the nodes has no name"),
        ({"metadata": {"name": "gpu-1", "annotations": "a"}}, "annotations: is text"),
        ({"metadata": {"name": "gpu-1"}}, "nodes: default/gpu-1 is in the list twice"),
    ],
)
def test_a_list_of_nodes_that_makes_no_sense_is_one_line(
    client: KubeClient, monkeypatch: pytest.MonkeyPatch, node: dict[str, Any], says: str
) -> None:
    """An exception of ours would cost every node."""
    page = {"items": [{"metadata": {"name": "gpu-1"}}, node]}
    monkeypatch.setattr(client, "pages", lambda path: iter([page]))
    with pytest.raises(ApiError, match=says):
        snapshot.list_nodes(client)


def test_core_resources_that_are_not_found_are_not_absent(
    client: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every API server has pods: who says otherwise proves nothing."""
    pages = client.pages

    def refuse(path: str) -> Any:
        if path.endswith("/pods"):
            raise ApiError(404, "NotFound", "no such thing")
        return pages(path)

    monkeypatch.setattr(client, "pages", refuse)
    listed = snapshot.list_objects(client)
    assert "pods" not in listed.objects
    assert listed.refused["pods"] == "no such thing"


def test_a_list_has_a_budget(
    client: KubeClient, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the number of its pages; pods that are not kept cost nothing."""
    monkeypatch.setattr(kept, "MAX_LIST", 1 << 20)
    monkeypatch.setattr(kept, "MANY_PODS", 10)
    for at in range(20):
        api.put("pods", {"metadata": {"name": f"web-{at}"}, "status": {"message": "x" * 100_000}})
    assert snapshot.list_objects(client).objects["pods"] == []
    for at in range(20):
        api.put("pods", {"metadata": {"name": f"gpu-{at}"}, "status": {"message": "x" * 100_000}})
    assert "cut off after 1 MiB" in snapshot.list_objects(client).refused["pods"]


@pytest.mark.parametrize("status", [None, {}, {"allowed": "yes"}, {"allowed": 1}])
def test_a_review_that_makes_no_sense_allows_nothing(
    client: KubeClient, monkeypatch: pytest.MonkeyPatch, status: Any
) -> None:
    """A right is there if the API server says true."""
    monkeypatch.setattr(client, "create", lambda *_: {"status": status})
    right = rights.Right(verb="list", resource="pods")
    assert reviews.ask(client, "x", [right]).missing == (right,)


RULE = {"verbs": ["get"], "apiGroups": [""], "resources": ["pods/exec"]}
WANTED = rights.Right(verb="get", resource="pods/exec", namespace="x")
NAMED = rights.Right(verb="get", resource="namespaces", only="x")


@pytest.mark.parametrize(
    ("wanted", "rule", "given"),
    [
        (WANTED, RULE, True),
        (WANTED, {**RULE, "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}, True),
        (WANTED, {**RULE, "resources": ["*/exec"]}, True),
        (WANTED, {**RULE, "resources": ["pods"]}, False),
        (WANTED, {**RULE, "verbs": ["create"]}, False),
        (WANTED, {**RULE, "apiGroups": ["apps"]}, False),
        (WANTED, {**RULE, "resourceNames": ["other"]}, False),
        (NAMED, {**RULE, "resources": ["namespaces"], "resourceNames": ["x"]}, True),
        (NAMED, {**RULE, "resources": ["namespaces"], "resourceNames": ["y"]}, False),
        (WANTED, {**RULE, "verbs": None, "resourceNames": 7}, False),
    ],
)
def test_a_rule_gives_what_rbac_says_that_it_gives(
    wanted: rights.Right, rule: Mapping[str, Any], given: bool
) -> None:
    """Wildcards, subresources and names of objects as RBAC compares them."""
    assert reviews.Rules(rules=[rule]).give(wanted) is given


def test_all_rights_are_asked_about_at_once(client: KubeClient, api: FakeApi) -> None:
    """One request, however many rights."""
    api.denied.add("get pods/exec")
    found = reviews.ask(client, "pytest-gpu", rights.creating("pytest-gpu"))
    assert [str(each) for each in found.missing] == ["get pods/exec in the namespace pytest-gpu"]
    assert len(api.requests) == 1


def test_rights_that_no_rule_shows_are_asked_about_one_by_one(
    client: KubeClient, api: FakeApi
) -> None:
    """A cloud's authorizer answers, but does not list its rules."""
    api.silent = True
    api.denied.add("get pods/exec")
    wanted = rights.creating("pytest-gpu")
    found = reviews.ask(client, "pytest-gpu", wanted)
    assert [str(each) for each in found.missing] == ["get pods/exec in the namespace pytest-gpu"]
    assert len(api.requests) == 1 + len(wanted)


@pytest.mark.parametrize("status", [[], "yes", 7])
def test_a_review_of_another_shape_is_one_line(
    client: KubeClient, monkeypatch: pytest.MonkeyPatch, status: Any
) -> None:
    """It was an exception of ours."""
    monkeypatch.setattr(client, "create", lambda *_: {"status": status})
    with pytest.raises(ApiError, match="is not an object"):
        reviews.ask(client, "x", [rights.Right(verb="list", resource="pods")])


@pytest.mark.parametrize(
    ("frame", "code", "complaint"),
    [
        (b'{"status": "Success"}', 0, ""),
        (b'{"details": {"causes": [{"reason": "ExitCode", "message": "3"}]}}', 3, ""),
        (b'{"details": {"causes": [{"reason": "ExitCode", "message": "9e9"}]}}', None, ""),
        (b'{"details": {"causes": [7]}}', None, ""),
        (b'{"details": []}', None, ""),
        (b"[]", None, "the command ended with a status that is not an object: b'[]'"),
        (b"nonsense", None, "the command ended with a status that is not an object: b'nonsense'"),
        (b"[" * 10**5, None, "the command ended with a status that is not an object: b'["),
    ],
)
def test_a_status_that_makes_no_sense_ends_one_line(
    client: KubeClient, running: str, frame: bytes, code: int | None, complaint: str
) -> None:
    """A kubelet that was taken over may send anything."""
    line = stream(client, running, "pass")
    list(line.lines(time.monotonic() + 20))
    line.status = status_of(frame)
    assert line.exit == code
    assert line.complaint.startswith(complaint)
    line.close()


def test_resource_that_may_not_be_read_is_left_out(client: KubeClient, api: FakeApi) -> None:
    """All others are read."""
    api.denied.add("list pods")
    listed = snapshot.list_objects(client)
    assert "pods" not in listed.objects
    assert "forbidden" in listed.refused["pods"]
    assert names(listed.objects["daemonsets"]) == ["plugin"]


def test_what_may_not_be_listed_is_told_apart_from_what_failed(
    client: KubeClient, api: FakeApi
) -> None:
    """The list itself shows that the right is missing: nobody asks for it beforehand."""
    api.denied |= {"list replicasets", "list nvidiadrivers"}
    listed = snapshot.list_objects(client)
    assert listed.forbidden == {"replicasets", "nvidiadrivers"}
    assert [str(right) for right in rights.refused(listed.forbidden)] == [
        "list replicasets.apps in the whole cluster",
        "list nvidiadrivers.nvidia.com in the whole cluster",
    ]


def test_a_resource_of_another_version_than_its_groups_preferred_is_found(
    client: KubeClient, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NVIDIADriver is v1alpha1, ClusterPolicy v1; an operator of before has only v1."""
    snapshot.list_objects(client)
    assert api.asked("GET /apis/nvidia.com/v1/nvidiadrivers*")
    versions = [{"groupVersion": f"nvidia.com/{each}"} for each in ("v1", "v1alpha1")]
    group = {"name": "nvidia.com", "preferredVersion": versions[0], "versions": versions}
    monkeypatch.setattr(fake_api, "_group", lambda *_: group)
    snapshot.list_objects(client)
    assert api.asked("GET /apis/nvidia.com/v1alpha1/nvidiadrivers*")
    assert not api.asked("GET /apis/nvidia.com/v1alpha1/clusterpolicies*")


def test_users_workloads_are_kept_where_they_may_tell_something(
    client: KubeClient, api: FakeApi
) -> None:
    """Not those without a GPU, not old revisions; without the values of their variables."""
    for name, replicas in (("new", 1), ("old", 0), ("web", 1)):
        made = tenant(name)
        spec = {"replicas": replicas, "template": {} if name == "web" else {"spec": made["spec"]}}
        api.put("replicasets", {"metadata": made["metadata"], "spec": spec})
    found = snapshot.list_objects(client).objects["replicasets"]
    assert names(found) == ["new"]
    assert "hunter2" not in str(found)


def test_without_nodes_there_is_nothing_to_test(client: KubeClient, api: FakeApi) -> None:
    """That is no missing detail."""
    api.denied.add("list nodes")
    with pytest.raises(ApiError, match="forbidden"):
        snapshot.list_objects(client)


def test_pods_of_huge_clusters_are_kept_where_they_may_matter(
    client: KubeClient, api: FakeApi
) -> None:
    """A recording of a hundred thousand web servers helps nobody."""
    limits = {"resources": {"limits": {"nvidia.com/gpu": "1"}}}
    api.put("pods", {"metadata": {"name": "user", "namespace": "a"}, "spec": limits})
    for at in range(kept.MANY_PODS):
        api.put("pods", {"metadata": {"name": f"web-{at}", "namespace": "a"}, "spec": {}})
    assert names(snapshot.list_objects(client).objects["pods"]) == ["user"]


def test_missing_right_is_known_by_verb_and_resource(client: KubeClient, api: FakeApi) -> None:
    """And said as the API server would say it."""
    api.denied |= {"get pods/exec", "list events"}
    found = reviews.ask(client, "pytest-gpu", (*rights.reading(), *rights.creating("pytest-gpu")))
    assert sorted(map(str, found.missing)) == [
        "get pods/exec in the namespace pytest-gpu",
        "list events in the whole cluster",
    ]
    assert found.to_visit is not None
    assert 'cannot get resource "pods/exec"' in found.to_visit.denial


def test_watching_is_no_reason_not_to_look(client: KubeClient, api: FakeApi) -> None:
    """Without it pods are listed again and again."""
    api.denied |= {"watch pods", "create pods/exec", "list events"}
    found = reviews.ask(client, "pytest-gpu", (*rights.reading(), *rights.creating("pytest-gpu")))
    assert (len(found.missing), found.to_visit) == (3, None)


def pod(
    phase: str = "Pending", state: Mapping[str, Any] | None = None, **status: str
) -> KubeObject:
    """Return a pod of ours."""
    containers = [] if state is None else [{"name": "visit", "state": state}]
    about = {"phase": phase, "containerStatuses": containers, **status}
    return {"metadata": {"name": "visit-1"}, "status": about}


def event(reason: str, message: str, name: str = "visit-1") -> KubeObject:
    """Return a warning about a pod."""
    about = {"name": name}
    return {"type": "Warning", "reason": reason, "message": message, "involvedObject": about}


BACK_OFF = {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "x"'}}
CREATING = {"waiting": {"reason": "ContainerCreating"}}
NO_SANDBOX = event("FailedCreatePodSandBox", "Failed to create pod sandbox: no runtime")


@pytest.mark.parametrize(
    ("thing", "events", "why"),
    [
        (pod(), [], "the node's kubelet did not start to handle the pod"),
        (pod(state=CREATING), [], "the pod is still Pending"),
        (pod(state=CREATING), [NO_SANDBOX], "FailedCreatePodSandBox: Failed to create pod *"),
        (pod(state=CREATING), [event("X", "y", name="other")], "the pod is still Pending"),
        (pod(state=BACK_OFF), [], 'ImagePullBackOff: Back-off pulling image "x"'),
        (
            pod(state=BACK_OFF),
            [event("Failed", 'Failed to pull image "x": no such host')],
            'Failed: Failed to pull image "x": no such host',
        ),
        (pod("Failed", reason="OutOfcpu", message="no cpu"), [], "OutOfcpu: no cpu"),
        (
            pod("Failed", {"terminated": {"reason": "Error", "exitCode": 127}}),
            [],
            "Error: exit code 127",
        ),
    ],
)
def test_reason_of_a_pod_is_the_most_exact_one(
    thing: KubeObject, events: list[KubeObject], why: str
) -> None:
    """Status before events; of a failed pull the pull itself."""
    pytest.LineMatcher([pod_trouble.explain(thing, events)]).fnmatch_lines([why])


def test_states_are_summed_up_in_one_line() -> None:
    """However many nodes there are."""
    states = {f"n{at}": "done" for at in range(3)} | {f"m{at}": "looking" for at in range(5)}
    assert slow_waits.summed_up(states) == "3 done, m0, m1, m2 and 2 more: looking"
    assert slow_waits.summed_up({"a": "done"}) == "1 done"


def test_nothing_is_told_about_what_is_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """After two seconds there is a line for each change, and one at the end."""
    lines: list[str] = []
    clock = iter([0.0, 1.0, 2.5, 2.5, 3.0, 5.0, 5.0, 6.0])
    monkeypatch.setattr("pytest_gpu.cluster.api.slow_waits.time.monotonic", lambda: next(clock))
    teller = slow_waits.Progress(lines.append, "visiting 2 nodes")
    teller.now("0 done")
    assert lines == []
    teller.now("0 done")
    teller.now("1 done")
    teller.now("1 done")
    teller.end("2 done")
    assert lines == [f"gpu: visiting 2 nodes: {n} done" for n in (0, 1, 2)]


@pytest.fixture
def running(client: KubeClient, api: FakeApi, tmp_path: Path) -> str:
    """Return the path of a pod that runs; its node is a folder."""
    api.roots["gpu-1"] = tmp_path
    api.put("pods", {"metadata": {"name": "p"}, "spec": {"nodeName": "gpu-1"}})
    return "/api/v1/namespaces/x/pods/p"


def stream(client: KubeClient, running: str, code: str) -> PodStream:
    """Return a line to a Python program in that pod."""
    return PodStream(client, running, "visit", ["python3", "-c", code], stdin=True)


def test_command_in_a_pod_has_output_errors_and_exit_code(client: KubeClient, running: str) -> None:
    """Each by its own channel."""
    code = "import sys; print('out'); sys.stderr.write('two\\nlines'); sys.exit(3)"
    line = stream(client, running, code)
    assert list(line.lines(time.monotonic() + 20)) == [b"out"]
    assert (line.exit, line.complaint) == (3, "two lines")
    line.close()


def test_megabytes_go_both_ways(client: KubeClient, running: str) -> None:
    """Longer than any frame; lines stay lines."""
    line = stream(client, running, "import sys; print(len(input())); print('x' * 3_000_000)")
    line.send(b"y" * 200_000 + b"\n")
    first, second = line.lines(time.monotonic() + 30)
    assert (first, len(second)) == (b"200000", 3_000_000)
    assert line.exit == 0
    line.close()


def test_silent_command_ends_at_the_deadline(client: KubeClient, running: str) -> None:
    """And not before there is something to say."""
    line = stream(client, running, "import time; time.sleep(60)")
    with pytest.raises(StreamLate):
        list(line.lines(time.monotonic() + 0.5))
    line.close()


class Ended:
    """A websocket that notes how it is ended."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.sock: object = None

    def close(self, timeout: float) -> None:
        """Say goodbye; where the other end did so first, the real one leaves the socket open."""
        self.steps.append(f"goodbye within {timeout} s")

    def shutdown(self) -> None:
        """Close the socket."""
        self.steps.append("socket closed")


def test_a_line_is_closed_once_and_its_socket_with_it(
    client: KubeClient, running: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever said goodbye first."""
    ended = Ended()
    monkeypatch.setattr(client, "websocket", lambda *_: ended)
    stream(client, running, "pass").close()
    assert ended.steps == ["goodbye within 1 s", "socket closed"]


def test_no_socket_is_left_where_the_command_ended_first(client: KubeClient, running: str) -> None:
    """The library itself closes it only where we say goodbye first."""
    line = stream(client, running, "pass")
    assert list(line.lines(time.monotonic() + 20)) == []
    assert line._socket.sock is not None
    line.close()
    assert line._socket.sock is None


def test_exec_that_is_refused_says_which_right(
    client: KubeClient, api: FakeApi, running: str
) -> None:
    """The client asks by GET, so the verb is get."""
    api.denied.add("get pods/exec")
    with pytest.raises(ApiError, match='cannot get resource "pods/exec"'):
        stream(client, running, "pass")
