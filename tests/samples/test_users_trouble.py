"""Users' pods in trouble on whole nodes that conform: noted; and sandboxes that lack a part."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_gpu.cluster.recording.recorded import open_recording
from tests.samples.sample_copy import SampleCopy
from tests.support.judging import judge

Object = dict[str, Any]

ASKS = {"resources": {"limits": {"nvidia.com/gpu": "1"}, "requests": {"nvidia.com/gpu": "1"}}}
SAMPLES = {
    "healthy-k8s-snap": ("192-18-132-31", "2025-11-21T06:40:00Z"),
    "healthy-rke2": ("rke2-agent-1", "2026-02-10T09:12:00Z"),
}
"""The node of a sample, and a time some hours before it was taken."""


def judged(sample: str, folder: Path, objects: Mapping[str, Object]) -> Object:
    """Return the verdict on the node of a sample with one more object of each kind."""
    (folder / "kubernetes").mkdir()
    (folder / "recording.yaml").write_text(f"base: sample:{sample}\nformat: 1\nsuite: 0.1.0\n")
    for resource, thing in objects.items():
        made = {"apiVersion": "v1", "kind": "List", "items": [thing]}
        (folder / "kubernetes" / f"{resource}.yaml").write_text(json.dumps(made))
    with open_recording(folder, f"path:{folder}") as cluster:
        [found] = judge(cluster)["nodes"]
    return dict(found)


def pod(node: str, status: Object, **spec: Any) -> Object:
    """Return a user's pod with this status of its container."""
    told = {"name": "main", "ready": False, "restartCount": 6, **status}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "llm-z1", "namespace": "ml", "uid": "99990"},
        "spec": {
            "nodeName": node,
            "runtimeClassName": "nvidia",
            "containers": [{"name": "main", "image": "app:1", **ASKS}],
            **spec,
        },
        "status": {"phase": "Running", "containerStatuses": [told]},
    }


WAITS = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}}
RUNS = {"state": {"running": {}}, "ready": True}


def refused(node: str, _: str) -> dict[str, Object]:
    """A container that is not started, in words that nobody knows."""
    said = {"exitCode": 128, "reason": "StartError", "message": "runc: zorp denied the glim"}
    return {"pods": pod(node, {"state": WAITS, "lastState": {"terminated": said}})}


def init_crash(node: str, _: str) -> dict[str, Object]:
    """An init container with a GPU that ends with an error."""
    made = pod(node, {"state": {"waiting": {"reason": "PodInitializing"}}})
    made["spec"]["initContainers"] = [{"name": "warm", "image": "app:1", **ASKS}]
    ended = {"terminated": {"exitCode": 1, "reason": "Error", "message": "secret words"}}
    warm = {"name": "warm", "ready": False, "restartCount": 8, "state": WAITS, "lastState": ended}
    made["status"] |= {"phase": "Pending", "initContainerStatuses": [warm]}
    return {"pods": made}


def terminating(node: str, early: str) -> dict[str, Object]:
    """A deleted pod that runs on."""
    made = pod(node, RUNS)
    made["metadata"]["deletionTimestamp"] = early
    return {"pods": made}


def podless(_: str, __: str) -> dict[str, Object]:
    """A workload whose pods a quota refuses."""
    why = 'pods "llm-x" is forbidden: exceeded quota: gpus, requested: requests.nvidia.com/gpu=1'
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": why}
    template = {"spec": {"containers": [{"name": "main", "image": "app:1", **ASKS}]}}
    made = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": "llm-6f5", "namespace": "ml"},
        "spec": {"replicas": 2, "template": template},
        "status": {"replicas": 0, "conditions": [failure]},
    }
    return {"replicasets": made}


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize(
    ("trouble", "cause", "words"),
    [
        (refused, "users-pods-not-started", "zorp denied the glim"),
        (init_crash, "users-pods-crash", "ended with exit code 1 (Error)"),
        (terminating, "users-pods-do-not-end", "but still runs: main"),
        (podless, "users-workloads-without-pods", "exceeded quota: gpus"),
    ],
)
def test_trouble_of_users_is_noted_where_the_node_conforms(
    sample: str, trouble: Any, cause: str, words: str, tmp_path: Path
) -> None:
    """It is latent with the words of who refused; what a container itself said is not read."""
    found = judged(sample, tmp_path, trouble(*SAMPLES[sample]))
    assert (found["verdict"], found["cause"]) == ("conforms", None)
    assert [each["cause"] for each in found["latent"]] == [f"runtimeclass-pod/{cause}"]
    assert words in json.dumps(found["latent"])
    assert "secret words" not in json.dumps(found)


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_users_pod_that_runs_is_nothing_to_note(sample: str, tmp_path: Path) -> None:
    """The repaired twin."""
    found = judged(sample, tmp_path, {"pods": pod(SAMPLES[sample][0], RUNS)})
    assert (found["verdict"], found["latent"]) == ("conforms", [])


def inside(copy: SampleCopy, old: str, new: str) -> tuple[str, str | None]:
    """Return verdict and cause when the sandbox prints something else."""
    copy.edit(copy.node / "outcomes/sandbox.yaml", lambda text: text.replace(old, new))
    with open_recording(copy.folder, copy.spec) as cluster:
        [found] = judge(cluster)["nodes"]
    return found["verdict"], found["cause"]


@pytest.mark.parametrize("sample", ["healthy-eks", "healthy-kubeadm", "healthy-cdi"])
def test_a_sandbox_that_lacks_one_of_several_gpus(sample: str, tmp_path: Path) -> None:
    """All are asked for: by the variable, and by the name of a CDI device."""
    assert inside(SampleCopy(sample, tmp_path), "/dev/nvidia1", "") == (
        "fails",
        "sandbox/host-has-what-is-missing",
    )


@pytest.mark.parametrize("sample", ["healthy-eks", "healthy-kubeadm"])
def test_a_sandbox_with_libraries_of_another_driver(sample: str, tmp_path: Path) -> None:
    """The host's own are of the version that its module has."""
    assert inside(SampleCopy(sample, tmp_path), ".so.550.", ".so.535.") == (
        "fails",
        "sandbox/libraries-of-another-driver",
    )
