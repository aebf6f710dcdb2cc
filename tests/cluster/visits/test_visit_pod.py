"""The pod that visits a node: nobody in the cluster can swap what runs in it."""

from __future__ import annotations

import json

from pytest_gpu.cluster.visits.probe_app import BOOTSTRAP, probe_app, sent_app
from pytest_gpu.cluster.visits.visit_pod import probe_command, visit_pod
from pytest_gpu.stack.pods.pod_object import PodPlan, gpu_pod

PINNED = f"registry.example.com/python:3-slim@sha256:{'a' * 64}"


def test_the_probe_comes_from_this_process_only() -> None:
    """No volume comes from the cluster; the program is what is sent over standard input."""
    pod = visit_pod("gpu-1", "ab12", PINNED)
    sources = [sorted(set(volume) - {"name"}) for volume in pod["spec"]["volumes"]]
    assert sources == [["hostPath"], ["emptyDir"]]
    assert "envFrom" not in json.dumps(pod)
    words = probe_command(60)
    assert words[words.index("-c") + 1] == BOOTSTRAP
    assert sent_app() == b"%d\n" % len(probe_app()) + probe_app()


def test_the_pod_can_do_nothing_in_the_cluster() -> None:
    """It has no token; the node's files cannot be written through it by mistake."""
    spec = visit_pod("gpu-1", "ab12", PINNED)["spec"]
    assert spec["automountServiceAccountToken"] is False
    (container,) = spec["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    (host,) = (mount for mount in container["volumeMounts"] if mount["name"] == "host")
    assert host["readOnly"] is True


def test_every_pod_gets_the_image_as_it_was_pinned() -> None:
    """A digest stays a digest."""
    plan = PodPlan(name="p", node="gpu-1", image=PINNED, program="", resource="nvidia.com/gpu")
    for pod in (visit_pod("gpu-1", "ab12", PINNED), gpu_pod(plan)):
        assert {each["image"] for each in pod["spec"]["containers"]} == {PINNED}
