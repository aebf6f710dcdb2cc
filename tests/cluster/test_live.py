"""``--gpu-cluster=CONTEXT`` from end to end, against a small API server and machines in folders."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from pytest_gpu.cluster.recording.recorded import open_recording
from pytest_gpu.cluster.recording.samples import sample_path
from pytest_gpu.cluster.visits import all_nodes
from pytest_gpu.layers import Layer
from pytest_gpu.run.suite import questions
from tests.cluster.api.fake_api import FakeApi, FakeServer
from tests.probe.fake_machine import build, with_nvml
from tests.support.runs import run_here

LIBRARY = "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.550.144.03"
RESOURCES = ("pods", "daemonsets", "runtimeclasses", "nodes", "configmaps")
QUIET = ("-p", "no:cacheprovider", "-p", "no:randomly")

pytestmark = pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("cc") is None,
    reason="needs root, for mknod(2), and a C compiler, for a mock of NVML",
)

Run = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the root of a healthy machine; tests must not change it."""
    root = tmp_path_factory.mktemp("live") / "machine"
    with open_recording(sample_path("healthy-kubeadm"), "healthy") as cluster:
        build(cluster.node("gpu-1"), root)
    with_nvml(root, LIBRARY, "550.144.03", 0xCA)
    return root


@pytest.fixture
def api(machine: Path) -> FakeApi:
    """Return an API server's knowledge: a healthy cluster with two nodes of that machine."""
    api = FakeApi(roots={"gpu-1": machine, "gpu-2": machine})
    with open_recording(sample_path("healthy-kubeadm"), "healthy") as cluster:
        for resource in RESOURCES:
            for thing in cluster.objects(resource):
                api.put(resource, json.loads(json.dumps(thing)))
    node = next(each for each in api.of("nodes") if each["metadata"]["name"] == "gpu-1")
    other = json.loads(json.dumps(node).replace("gpu-1", "gpu-2"))
    for name in [each["metadata"]["name"] for each in api.of("nodes")]:
        api.drop("nodes", f"/{name}")
    api.put("nodes", node)
    api.put("nodes", other)
    api.put("namespaces", {"metadata": {"name": "pytest-gpu"}})
    return api


@pytest.fixture
def server(api: FakeApi) -> Iterator[FakeServer]:
    """Return the running server."""
    with FakeServer(api) as server:
        yield server


@pytest.fixture
def run(pytester: pytest.Pytester, server: FakeServer) -> Run:
    """Return a function that runs the suite against that server, up to the driver."""

    def run(*args: str) -> tuple[int, dict[str, Any], str]:
        kubeconfig = server.kubeconfig(pytester.path)
        report = pytester.path / "out.json"
        options = (f"--gpu-kubeconfig={kubeconfig}", f"--gpu-report={report}", *QUIET)
        result = run_here(pytester, "--gpu-cluster=fake", "--gpu-layers=driver", *options, *args)
        document = json.loads(report.read_text()) if report.exists() else {}
        return int(result.ret), document, result.stdout.str() + result.stderr.str()

    return run


def ours(api: FakeApi) -> list[str]:
    """Return the names of what a run created and did not remove."""
    return [
        thing["metadata"]["name"]
        for kind in ("pods", "namespaces")
        for thing in api.of(kind)
        if "pytest-gpu/run" in (thing["metadata"].get("labels") or {})
    ]


def test_healthy_cluster_conforms_and_is_left_clean(run: Run, api: FakeApi) -> None:
    """Every node visited through a pod of its own, all removed, few requests."""
    code, document, output = run()
    assert code == 0, output
    assert {node["name"]: node["verdict"] for node in document["nodes"]} == {
        "gpu-1": "conforms",
        "gpu-2": "conforms",
    }
    assert len(api.asked("POST */pods")) == 2
    assert len(api.asked("GET *exec*")) == 2
    assert ours(api) == []


def test_every_request_says_who_asks(run: Run, api: FakeApi) -> None:
    """Reviews, lists, watches, pods and exec: one name in the API server's audit log."""
    assert run()[0] == 0
    assert api.asked("GET *exec*")
    assert api.agents == {f"pytest-gpu/{version('pytest-gpu')}"}


def test_requests_do_not_grow_with_watching(run: Run, api: FakeApi) -> None:
    """Two requests for a node; all others are for the cluster."""
    run()
    about_nodes = [each for each in api.requests if "visit-" in each or "POST */pods" in each]
    assert len(about_nodes) <= 4
    assert len(api.requests) - len(about_nodes) <= 25


def test_pods_are_as_small_and_short_lived_as_can_be(run: Run, api: FakeApi) -> None:
    """Labels, a deadline, no token, read-only host, no scheduler, every taint tolerated."""
    run()
    pod = next(
        thing for _, event, kind, thing in api.changes if (event, kind) == ("DELETED", "pods")
    )
    head, spec = pod["metadata"], pod["spec"]
    assert head["labels"]["app.kubernetes.io/managed-by"] == "pytest-gpu"
    assert head["labels"]["pytest-gpu/run"]
    assert 0 < spec["activeDeadlineSeconds"] < 3600
    assert spec["automountServiceAccountToken"] is False
    assert spec["nodeName"] in ("gpu-1", "gpu-2")
    assert spec["tolerations"] == [{"operator": "Exists"}]
    (container,) = spec["containers"]
    assert all(
        mount.get("readOnly") for mount in container["volumeMounts"] if mount["name"] != "tmp"
    )


def test_nothing_is_created_for_collect_only(run: Run, api: FakeApi) -> None:
    """Looking at what would run changes nothing."""
    code, _, output = run("--collect-only")
    assert (code, "gpu-2" in output) == (0, True)
    assert api.asked("POST */pods") == []


def test_read_only_creates_nothing_at_all(run: Run, api: FakeApi) -> None:
    """Not even a review of rights; nodes stay unproven, and the way out is named."""
    code, document, _ = run("--gpu-read-only")
    assert code == 1
    assert {request.split()[0] for request in api.requests} == {"GET"}
    reasons = [each["reason"] for each in document["nodes"][0]["unproven"]]
    assert any(
        "--gpu-read-only" in reason and "--gpu-node-shell=ssh" in reason for reason in reasons
    )


def test_only_nodes_with_tests_are_visited(run: Run, api: FakeApi) -> None:
    """``-k`` and paths choose nodes, too."""
    assert run("-k", "gpu-2")[0] == 0
    assert len(api.asked("POST */pods")) == 1


USERS = """
def test_driver(gpu_node):
    assert gpu_node.driver.version == "550.144.03"
def test_sandbox(crictl_sandbox):
    raise AssertionError("there is no crictl")
"""


def test_users_tests_without_a_layer_have_their_nodes_visited(
    run: Run, api: FakeApi, pytester: pytest.Pytester
) -> None:
    """They are outside the ladder, yet see the same; what is unproven is an error in one line."""
    file = pytester.makepyfile(test_mine=USERS)
    code, document, output = run(str(file), "-k", "gpu-2")
    assert (code, document["run"]["exit_code"], document["nodes"]) == (1, 1, []), output
    assert "1 passed" in output
    assert "1 error" in output
    assert "Unproven: no sandbox was tried: no crictl on this node" in output
    assert len(api.asked("POST */pods")) == 1
    assert ours(api) == []


def test_workers_judge_the_same_evidence(run: Run, api: FakeApi) -> None:
    """With xdist the controller visits once for all."""
    code, document, output = run("-n2")
    assert code == 0, output
    assert [node["verdict"] for node in document["nodes"]] == ["conforms", "conforms"]
    assert len(api.asked("POST */pods")) == 2
    assert ours(api) == []


def test_recording_of_a_live_run_is_judged_the_same(
    run: Run, pytester: pytest.Pytester, api: FakeApi, machine: Path, tmp_path: Path
) -> None:
    """The spool is a recording: kept, it says the same tomorrow."""
    broken = tmp_path / "broken"
    subprocess.run(["/bin/cp", "-a", str(machine), str(broken)], check=True)
    (broken / "dev/nvidia0").unlink()
    api.roots["gpu-2"] = broken
    code, live, output = run("--gpu-record=kept.tar.gz")
    assert code == 1, output
    again = pytester.path / "again.json"
    run_here(
        pytester,
        "--gpu-cluster=path:kept.tar.gz",
        "--gpu-layers=driver",
        f"--gpu-report={again}",
        *QUIET,
    )
    recorded = json.loads(again.read_text())
    assert recorded["nodes"] == live["nodes"]
    assert live["nodes"][1]["cause"] == "driver/device-nodes-missing"
    assert live["nodes"][0]["verdict"] == "conforms"
    with open_recording(pytester.path / "kept.tar.gz", "kept") as cluster:
        assert cluster.asked == questions(Layer.DRIVER)


def test_recording_of_chosen_nodes_is_judged_the_same(
    run: Run, pytester: pytest.Pytester, api: FakeApi
) -> None:
    """The node that was not chosen has no evidence, and is not asked for any."""
    code, live, output = run("--gpu-nodes=gpu-2", "--gpu-record=kept")
    assert code == 0, output
    report = pytester.path / "again.json"
    options = ("--gpu-layers=driver", f"--gpu-report={report}", *QUIET)
    again = run_here(pytester, "--gpu-cluster=path:kept", *options)
    assert again.ret == 0, again.stdout.str()
    assert json.loads(report.read_text())["nodes"] == live["nodes"]
    assert [node["name"] for node in live["nodes"]] == ["gpu-2"]


TROUBLE: Mapping[str, Mapping[str, Any]] = {
    "ErrImageNeverPull": {
        "phase": "Pending",
        "containerStatuses": [
            {"state": {"waiting": {"reason": "ErrImageNeverPull", "message": "no such image"}}}
        ],
    },
    "OutOfpods": {"phase": "Failed", "reason": "OutOfpods", "message": "Node has no free pods"},
}


@pytest.mark.parametrize("reason", TROUBLE)
def test_node_without_a_running_pod_is_unproven_in_words(
    run: Run, api: FakeApi, reason: str
) -> None:
    """It says nothing about the GPU; the other node is judged."""
    api.trouble["gpu-1"] = TROUBLE[reason]
    code, document, _ = run()
    first, second = document["nodes"]
    assert (code, first["verdict"], second["verdict"]) == (1, "unproven", "conforms")
    assert any(reason in each["reason"] for each in first["unproven"])
    assert ours(api) == []


NO_IMAGE = {
    "phase": "Pending",
    "startTime": "2026-11-21T10:00:00Z",
    "containerStatuses": [
        {"state": {"waiting": {"reason": "ErrImagePull", "message": "no such host"}}}
    ],
}


def test_missing_image_is_told_first_with_its_option(
    run: Run, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, while the kubelet tries again; in the summary before what follows from it."""
    monkeypatch.setattr(all_nodes, "NO_IMAGE_TIME", 0.5)
    api.trouble["gpu-1"] = NO_IMAGE
    _, _, output = run()
    why = "there is no image python:3-slim on this node; --gpu-image=IMAGE names another: "
    early, _, late = output.partition("= GPU conformance =")
    assert f"gpu: gpu-1: {why}ErrImagePull: no such host\n" in early
    _, _, unproven = late.partition("unproven (neither passed nor failed):")
    assert " ".join(unproven.split()).startswith(f"the node was not visited: {why}")


def test_image_that_is_still_being_pulled_is_named(run: Run, api: FakeApi) -> None:
    """A registry that does not answer: no pull has failed yet."""
    creating = [{"state": {"waiting": {"reason": "ContainerCreating"}}}]
    api.trouble["gpu-1"] = {**NO_IMAGE, "containerStatuses": creating}
    api.pulling = True
    _, document, _ = run("--gpu-timeout=1")
    reasons = [each["reason"] for each in document["nodes"][0]["unproven"]]
    named = r"the image python:3-slim was not pulled within \d+ s; --gpu-image=IMAGE names another"
    assert any(re.search(named, reason) for reason in reasons)


def test_policy_that_forbids_the_pod_is_named(run: Run, api: FakeApi) -> None:
    """An admission policy is no fault of the node."""
    text = 'pods "x" is forbidden: violates PodSecurity "baseline:latest": privileged'
    api.refusals["gpu-1"] = (403, text)
    _, document, _ = run()
    reasons = [each["reason"] for each in document["nodes"][0]["unproven"]]
    assert any("PodSecurity" in reason for reason in reasons)


def test_secret_of_a_live_cluster_is_nowhere(run: Run, api: FakeApi, tmp_path: Path) -> None:
    """Not in what is judged, printed, reported or recorded: it goes before any of these."""
    pod = json.loads(json.dumps(api.of("pods")[0]))
    pod["metadata"]["name"] = "planted"
    pod["spec"]["containers"][0]["env"] = [{"name": "DB_PASS", "value": "s3cr3t-of-the-pod"}]
    api.put("pods", pod)
    api.refusals["gpu-1"] = (403, "webhook http://me:s3cr3t-of-the-hook@hook denied it")
    _, document, output = run(f"--gpu-record={tmp_path / 'kept'}")
    kept = [path.read_text() for path in (tmp_path / "kept").rglob("*") if path.is_file()]
    assert any("planted" in text for text in kept)
    assert "<redacted>@hook" in json.dumps(document)
    assert [text for text in (*kept, json.dumps(document), output) if "s3cr3t" in text] == []


@pytest.mark.parametrize("right", ["create pods", "list pods", "get pods/exec"])
def test_missing_right_is_named_and_nothing_is_created(run: Run, api: FakeApi, right: str) -> None:
    """Once in the header, with what it is for; no node fails because of it."""
    api.denied.add(right)
    code, document, output = run()
    assert code == 1
    assert f"this user may not {right} in the namespace pytest-gpu" in output
    assert {node["verdict"] for node in document["nodes"]} == {"unproven"}
    assert ours(api) == []


@pytest.mark.parametrize("options", [(), ("--gpu-read-only",)], ids=["reviewed", "read-only"])
def test_missing_right_to_list_is_named(run: Run, api: FakeApi, options: Sequence[str]) -> None:
    """With what it is for; what it is for is optional."""
    api.denied |= {"list statefulsets", "list nvidiadrivers"}
    _, document, output = run(*options)
    told = " ".join(output.split())
    assert "this user may not list statefulsets.apps in the whole cluster (why a work" in told
    assert "this user may not list nvidiadrivers.nvidia.com in the whole cluster" in told
    assert document["causes"] == []


def test_without_the_right_to_list_nodes_nothing_is_tested(run: Run, api: FakeApi) -> None:
    """One line says what is missing."""
    api.denied.add("list nodes")
    code, _, output = run()
    assert code == 4
    assert "this user may not list nodes in the whole cluster: finding GPU nodes" in output


def test_without_the_right_to_watch_pods_are_listed(run: Run, api: FakeApi) -> None:
    """It takes a little longer, that is all."""
    api.denied.add("watch pods")
    assert run()[0] == 0


def test_without_the_right_to_delete_collections_single_objects_are_deleted(
    run: Run, api: FakeApi
) -> None:
    """What can be cleaned up is cleaned up."""
    api.denied.add("deletecollection pods")
    assert run()[0] == 0
    assert ours(api) == []


def test_failing_to_clean_up_fails_the_run(run: Run, api: FakeApi) -> None:
    """It says what is left and the one command that removes it."""
    api.denied |= {"deletecollection pods", "delete pods"}
    code, document, output = run()
    assert document["run"]["exit_code"] == code == 1
    assert {node["verdict"] for node in document["nodes"]} == {"conforms"}
    assert "ERROR: what the run created could not be removed" in output
    assert "kubectl delete pods -n pytest-gpu -l pytest-gpu/run=" in output


def test_missing_namespace_is_made_for_the_run(run: Run, api: FakeApi) -> None:
    """By users who may; it is gone afterwards."""
    api.drop("namespaces", "/pytest-gpu")
    api.put("serviceaccounts", {"metadata": {"name": "default"}})
    code, _, output = run()
    assert code == 0, output
    (created,) = [
        thing
        for _, event, kind, thing in api.changes
        if kind == "namespaces" and event == "ADDED" and thing["metadata"]["name"] != "pytest-gpu"
    ]
    assert created["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "privileged"
    assert api.of("namespaces") == []


def test_all_visits_every_node_and_lists_the_others(run: Run, api: FakeApi, tmp_path: Path) -> None:
    """A node without any sign and without an NVIDIA function is no GPU node."""
    (tmp_path / "plain/sys/bus/pci/devices").mkdir(parents=True)
    api.roots["cpu-1"] = tmp_path / "plain"
    ready = [{"type": "Ready", "status": "True"}]
    api.put("nodes", {"metadata": {"name": "cpu-1"}, "status": {"conditions": ready}})
    code, _, output = run("--gpu-nodes=all")
    assert code == 0, output
    assert "not a GPU node: cpu-1" in output
    assert len(api.asked("POST */pods")) == 3


def test_ctrl_c_in_the_middle_leaves_nothing(
    pytester: pytest.Pytester, server: FakeServer, api: FakeApi
) -> None:
    """Pods that never start are waited for, interrupted, and removed."""
    pending = {"phase": "Pending", "startTime": "2026-11-21T10:00:00Z"}
    api.trouble |= {"gpu-1": pending, "gpu-2": pending}
    kubeconfig = server.kubeconfig(pytester.path)
    # Whoever runs in the background of a script has been told to ignore Ctrl-C.
    run = ["env", "--default-signal=INT", sys.executable, "-m", "pytest"]
    command = [*run, "--gpu-cluster=current", *QUIET]
    process = subprocess.Popen(
        [*command, f"--gpu-kubeconfig={kubeconfig}"],
        cwd=pytester.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    deadline = time.monotonic() + 30
    while len(api.asked("GET *watch=true*")) == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=60)[0].decode()
    assert process.returncode == pytest.ExitCode.INTERRUPTED, output
    assert len(api.asked("POST */pods")) == 2
    assert ours(api) == []


def test_leftovers_of_a_dead_run_are_swept(run: Run, api: FakeApi) -> None:
    """Those of a run that may still go on are left alone, and told."""
    past, future = "2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"
    for name, deadline in (("old", past), ("other", future)):
        labels = {"app.kubernetes.io/managed-by": "pytest-gpu", "pytest-gpu/run": name}
        notes = {"pytest-gpu/deadline": deadline}
        head = {"name": name, "namespace": "pytest-gpu", "labels": labels, "annotations": notes}
        api.put("pods", {"metadata": head, "spec": {}, "status": {"phase": "Running"}})
    code, _, output = run()
    assert code == 0
    assert ours(api) == ["other"]
    assert "removed: 1 object of an earlier run (old)" in output
    assert "not removed: 1 object of an earlier run (other)" in output
