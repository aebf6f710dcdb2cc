"""What a run creates, and that it goes: labels, deadlines, removal, leftovers of others."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pytest_gpu.cluster.api.answers import ApiError
from pytest_gpu.cluster.api.client import KubeClient
from pytest_gpu.cluster.api.login import open_client
from pytest_gpu.cluster.api.run_marks import new_run
from pytest_gpu.cluster.api.run_objects import RunObjects, wait_for_pods
from pytest_gpu.cluster.api.sweep import sweep
from pytest_gpu.cluster.recording.owner import is_dead, this_process
from tests.cluster.api.fake_api import FakeApi, FakeServer

POD = {"metadata": {"name": "pod"}, "spec": {"nodeName": "gpu-1", "containers": []}}


@pytest.fixture
def api() -> FakeApi:
    """Return an API server's knowledge, with the namespace."""
    api = FakeApi()
    api.put("namespaces", {"metadata": {"name": "pytest-gpu"}})
    return api


@pytest.fixture
def client(api: FakeApi, tmp_path: Path) -> Iterator[KubeClient]:
    """Return a client of a server that knows it."""
    with FakeServer(api) as server:
        client = open_client("current", kubeconfig=server.kubeconfig(tmp_path))
        yield client
        client.close()


@pytest.fixture
def objects(client: KubeClient) -> RunObjects:
    """Return the objects of a new run."""
    return RunObjects(client, new_run(client, "pytest-gpu", 600, create=True))


def test_everything_is_marked(objects: RunObjects, api: FakeApi) -> None:
    """By whom, by which run, until when."""
    objects.create_pod(POD)
    (pod,) = api.of("pods")
    head = pod["metadata"]
    assert head["namespace"] == "pytest-gpu"
    assert head["labels"]["app.kubernetes.io/managed-by"] == "pytest-gpu"
    assert head["labels"]["pytest-gpu/run"] == objects.run.id
    assert head["annotations"]["pytest-gpu/owner"] == this_process()
    deadline = datetime.fromisoformat(head["annotations"]["pytest-gpu/deadline"])
    assert timedelta(0) < deadline - datetime.now(UTC) <= timedelta(seconds=600)
    assert 0 < pod["spec"]["activeDeadlineSeconds"] <= 600


def test_priority_class_is_used_where_it_is(client: KubeClient, api: FakeApi) -> None:
    """The shipped manifest makes it; without it pods go without."""
    assert new_run(client, "pytest-gpu", 60, create=True).priority == ""
    api.put("priorityclasses", {"metadata": {"name": "pytest-gpu"}})
    run = new_run(client, "pytest-gpu", 60, create=True)
    RunObjects(client, run).create_pod(POD)
    assert api.of("pods")[0]["spec"]["priorityClassName"] == "pytest-gpu"


def test_only_ones_own_is_removed(objects: RunObjects, client: KubeClient, api: FakeApi) -> None:
    """By label, in one request for each kind."""
    other = RunObjects(client, new_run(client, "pytest-gpu", 600, create=True))
    other.create_pod({**POD, "metadata": {"name": "other"}})
    objects.create_pod(POD)
    assert objects.remove_all() == ()
    assert [pod["metadata"]["name"] for pod in api.of("pods")] == ["other"]


def test_what_does_not_go_is_named(objects: RunObjects, api: FakeApi) -> None:
    """After the deadline, and not before."""
    objects.create_pod(POD)
    api.sticky = True
    told: list[str] = []
    assert objects.remove_all(within=0.5, tell=told.append) == ("pods/pod",)
    assert told[0] == "1 pods left"


def test_what_goes_late_is_waited_for(objects: RunObjects, api: FakeApi) -> None:
    """A pod takes a moment to end."""
    objects.create_pod(POD)
    api.sticky = True
    threading.Timer(0.4, lambda: api.drop("pods", "pytest-gpu/pod")).start()
    assert objects.remove_all(within=20) == ()


def test_waiting_ends_when_all_are_done(objects: RunObjects, api: FakeApi) -> None:
    """Changes are seen as they come; a pod that somebody deletes is not waited for."""
    api.trouble["gpu-1"] = {"phase": "Pending"}
    for name in ("a", "b"):
        objects.create_pod({**POD, "metadata": {"name": name}})
    done = {**api.objects["pods"]["pytest-gpu/a"], "status": {"phase": "Succeeded"}}
    timers = [
        threading.Timer(0.2, lambda: api.put("pods", done, "MODIFIED")),
        threading.Timer(0.4, lambda: api.drop("pods", "pytest-gpu/b")),
    ]
    for timer in timers:
        timer.start()
    states: list[int] = []
    seen = wait_for_pods(
        objects,
        ["a", "b"],
        lambda pod: pod["status"]["phase"] == "Succeeded",
        20,
        lambda now: states.append(len(now)),
    )
    assert set(seen) == {"a"}
    assert states[0] == 2


def test_waiting_ends_at_the_deadline(objects: RunObjects, api: FakeApi) -> None:
    """With the last state that was seen."""
    api.trouble["gpu-1"] = {"phase": "Pending"}
    objects.create_pod(POD)
    seen = wait_for_pods(objects, ["pod"], lambda pod: False, 0.2)
    assert seen["pod"]["status"]["phase"] == "Pending"


def test_refusal_to_list_is_no_empty_list(objects: RunObjects, api: FakeApi) -> None:
    """Nobody looked: that is no proof that all is gone."""
    api.denied.add("list pods")
    with pytest.raises(ApiError, match="forbidden"):
        objects.remove_all()


def leftover(api: FakeApi, run: str, owner: str = "", phase: str = "Running") -> None:
    """Put a pod of another run, with its deadline in the future."""
    labels = {"app.kubernetes.io/managed-by": "pytest-gpu", "pytest-gpu/run": run}
    notes = {"pytest-gpu/deadline": "2099-01-01T00:00:00Z", "pytest-gpu/owner": owner}
    head = {"name": run, "namespace": "pytest-gpu", "labels": labels, "annotations": notes}
    api.put("pods", {"metadata": head, "spec": {}, "status": {"phase": phase}})


def test_dead_owner_and_ended_pods_are_swept(objects: RunObjects, api: FakeApi) -> None:
    """A run on this machine whose process is gone is over, whatever its deadline."""
    leftover(api, "killed", f"{this_process()}9")
    leftover(api, "alive", this_process())
    leftover(api, "elsewhere", "0123456789ab.1.1")
    leftover(api, "ended", "0123456789ab.1.1", "Failed")
    lines = list(sweep(objects, None))
    assert {pod["metadata"]["name"] for pod in api.of("pods")} == {"alive", "elsewhere"}
    assert len([line for line in lines if line.startswith("removed: ")]) == 2
    assert all("kubectl delete" in line for line in lines if line.startswith("not removed"))


def test_the_list_of_all_pods_shows_whether_anything_is_to_be_swept(
    objects: RunObjects, api: FakeApi
) -> None:
    """Pods of this run and of others are no leftovers; without the list, nobody knows."""
    objects.create_pod(POD)
    api.put("pods", {"metadata": {"name": "web", "namespace": "pytest-gpu"}})
    clean = api.of("pods")
    leftover(api, "ended", "0123456789ab.1.1", "Failed")
    elsewhere = {"name": "x", "namespace": "other", "labels": {"pytest-gpu/run": "y"}}
    asked = len(api.requests)
    assert list(sweep(objects, [*clean, {"metadata": elsewhere}])) == []
    assert len(api.requests) == asked
    for known in (None, api.of("pods")):
        assert [line[:8] for line in sweep(objects, known)] == ["removed:"]
        leftover(api, "ended", "0123456789ab.1.1", "Failed")


def test_things_of_others_are_never_swept(objects: RunObjects, api: FakeApi) -> None:
    """Without our labels nothing is ours, whatever it is called."""
    api.put("pods", {"metadata": {"name": "visit-x", "namespace": "pytest-gpu"}, "spec": {}})
    assert list(sweep(objects, None)) == []
    assert len(api.of("pods")) == 1


@pytest.mark.parametrize(
    ("name", "run", "gone"),
    [
        ("pytest-gpu-0a1b2c3d", "0a1b2c3d", True),
        ("production", "0a1b2c3d", False),
        ("team-production", "production", False),
    ],
)
def test_labels_alone_make_no_namespace_ours(
    client: KubeClient, api: FakeApi, name: str, run: str, gone: bool
) -> None:
    """Whoever can label a namespace must not get it deleted by an admin's next run."""
    labels = {"app.kubernetes.io/managed-by": "pytest-gpu", "pytest-gpu/run": run}
    api.drop("namespaces", "/pytest-gpu")
    api.put("namespaces", {"metadata": {"name": name, "labels": labels}})
    list(sweep(RunObjects(client, new_run(client, "pytest-gpu", 600, create=True)), None))
    assert (api.of("namespaces") == []) is gone


def test_owner_is_dead_only_when_that_is_certain() -> None:
    """The same place, and no such process any more."""
    code = "from pytest_gpu.cluster.recording.owner import this_process; print(this_process())"
    argv = [sys.executable, "-c", code]
    gone = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()
    assert is_dead(gone)
    assert not is_dead(this_process())
    assert not is_dead(f"0123456789ab.{os.getpid()}.1")
    assert not is_dead("")
