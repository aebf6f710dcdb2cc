"""Operands that fail with words that nobody knows, in healthy recordings: whole verdicts.

What a node cannot do without fails it at its layer, with exactly that line; what only watches it is
noted as latent, never silent. Of an operand that works the same words mean nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from pytest_gpu.cluster.recording.recorded import open_recording
from pytest_gpu.run.node_face import GpuNode
from pytest_gpu.stack.kube.objects import name_of, namespace_of
from pytest_gpu.stack.operands import roles as r
from pytest_gpu.stack.operands.logs import path_of_log
from pytest_gpu.stack.operands.operands import Operand, operands_of
from pytest_gpu.stack.operands.state import containers_in
from tests.samples.sample_copy import SampleCopy
from tests.samples.variants_kinds import k3s_agent
from tests.stack.operands.made_up_failures import Failure, failures
from tests.stack.operands.made_up_operands import READY, Object
from tests.stack.operands.test_driver_container import NAME, Cluster, driver_pod
from tests.support import yaml_text
from tests.support.judging import judge

Change = Callable[[SampleCopy], None]


def same(copy: SampleCopy) -> None:
    """Leave a sample as it is."""


WITH_OPERATOR: Mapping[str, tuple[str, Change]] = {
    "kubeadm": ("healthy-kubeadm", same),
    "rke2": ("healthy-rke2", same),
    "k3s": ("healthy-rke2", k3s_agent),
    "k8s-snap": ("healthy-k8s-snap", same),
}
FAMILIES = {
    **WITH_OPERATOR,
    "eks": ("healthy-eks", same),
    "cdi": ("healthy-cdi", same),
}
"""A healthy sample, and what makes another distribution of it."""

LATENT = {
    r.TOOLKIT: "runtime/operand-fails",
    r.GFD: "device-plugin/operand-fails",
    r.DCGM: "device-plugin/operand-fails",
    r.VALIDATOR: "device-plugin/operand-fails",
}
"""What is noted of a node that works while these fail."""

FEW = settings(
    max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class Family:
    """A copy of a healthy recording in which one operand's pod is changed at a time."""

    def __init__(self, name: str, factory: pytest.TempPathFactory) -> None:
        sample, change = FAMILIES[name]
        self.copy = SampleCopy(sample, factory.mktemp(name))
        change(self.copy)
        self.pods = self.copy.folder / "kubernetes/pods.yaml"
        self.healthy = self.pods.read_text()
        self.events = self.copy.folder / "kubernetes/events.yaml"
        with open_recording(self.copy.folder, "copy") as cluster:
            self.taken = cluster.taken
            self.operands = operands_of(GpuNode(self.copy.node.name, cluster))

    def operand(self, role: str) -> Operand:
        """Return the running operand of a role."""
        return next(e for e in self.operands if e.role == role and e.state == "Running")

    def change(self, operand: Operand, log: str, number: int, **status: Any) -> str:
        """Set the status of an operand's main container and one of its logs; return its name."""
        items = yaml_text.load(self.healthy)["items"]
        [pod] = (each for each in items if _path(each) == _path(operand.pod))
        main = next(each for each in containers_in(pod) if not each.init)
        [told] = (e for e in pod["status"]["containerStatuses"] if e["name"] == main.name)
        told.update(status)
        self.pods.write_text(yaml_text.dump({"apiVersion": "v1", "kind": "List", "items": items}))
        path = self.copy.node / f"files{path_of_log(pod, main, number)}"
        path.parent.mkdir(parents=True, exist_ok=True)
        for old in path.parent.iterdir():
            old.unlink()
        path.write_text(log)
        return main.name

    def old_event(self, operand: Operand, text: str) -> None:
        """Add a warning about an operand's pod of an hour ago."""
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": "old.1", "namespace": operand.namespace},
            "type": "Warning",
            "reason": "BackOff",
            "message": text,
            "lastTimestamp": (self.taken - timedelta(hours=1)).isoformat(),
            "involvedObject": {
                "kind": "Pod",
                "name": operand.object_name,
                "namespace": operand.namespace,
            },
        }
        events = {"apiVersion": "v1", "kind": "List", "items": [event]}
        self.events.write_text(yaml_text.dump(events))

    def verdict(self) -> Mapping[str, Any]:
        """Return the verdict on the GPU node."""
        with open_recording(self.copy.folder, "copy") as cluster:
            [node] = judge(cluster)["nodes"]
        assert isinstance(node, dict)
        return node


def _path(pod: Object | Any) -> tuple[str, str]:
    return namespace_of(pod), name_of(pod)


@pytest.fixture(scope="module")
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Family:
    """Return a copy of one family's healthy recording."""
    return Family(request.param, tmp_path_factory)


EVERY = pytest.mark.parametrize("family", FAMILIES, indirect=True)
OPERATED = pytest.mark.parametrize("family", WITH_OPERATOR, indirect=True)


def failing(family: Family, operand: Operand, failure: Failure) -> tuple[object, ...]:
    """Let an operand fail; return its line as evidence: source, number, text."""
    name = family.change(operand, failure.log, failure.restarts, **failure.status)
    where = f"log of {operand.name}, container {name}"
    return where, failure.line, failure.text


def lines(finding: Mapping[str, Any]) -> list[tuple[object, ...]]:
    """Return the evidence of a finding."""
    return [(each["source"], each["line"], each["text"]) for each in finding["evidence"]]


@EVERY
@FEW
@given(failure=failures())
def test_a_device_plugin_that_fails(family: Family, failure: Failure) -> None:
    """Its layer fails, and its own line is quoted, whatever the distribution."""
    operand = family.operand(r.DEVICE_PLUGIN)
    said = failing(family, operand, failure)
    node = family.verdict()
    assert (node["verdict"], node["layer"]) == ("fails", "device-plugin")
    assert node["cause"] == "device-plugin/not-running"
    assert said in lines(node)


@OPERATED
@pytest.mark.parametrize("role", LATENT)
@FEW
@given(failure=failures())
def test_an_operand_that_fails_on_a_node_that_works(
    family: Family, role: str, failure: Failure
) -> None:
    """It is noted with its line; pods still get their GPUs, so the node conforms."""
    operand = family.operand(role)
    said = failing(family, operand, failure)
    node = family.verdict()
    assert node["verdict"] == "conforms"
    [latent] = node["latent"]
    assert latent["cause"] == LATENT[role]
    assert said in lines(latent)


@OPERATED
@pytest.mark.parametrize("role", [r.DEVICE_PLUGIN, *LATENT])
@FEW
@given(failure=failures())
def test_the_same_words_of_an_operand_that_works(
    family: Family, role: str, failure: Failure
) -> None:
    """In the log of an earlier run and in an old event: green, nothing noted."""
    operand = family.operand(role)
    ended = {"terminated": {"exitCode": 1, "reason": "Error"}}
    family.change(operand, failure.log, 0, **{**READY, "restartCount": 1, "lastState": ended})
    family.old_event(operand, failure.text)
    node = family.verdict()
    assert (node["verdict"], node["latent"]) == ("conforms", [])


@FEW
@given(failure=failures())
def test_a_driver_container_that_fails(
    tmp_path_factory: pytest.TempPathFactory, failure: Failure
) -> None:
    """On a node without driver: the layer driver, with its own line."""
    cluster = Cluster("no-driver", tmp_path_factory.mktemp("driver"))
    cluster.enabled()
    made = driver_pod(failure.state)
    made["status"]["containerStatuses"][0]["restartCount"] = failure.restarts
    cluster.add("pods", made)
    cluster.log(failure.log, failure.restarts)
    node = cluster.verdict()
    assert (node["layer"], node["cause"]) == ("driver", "driver/operand-fails")
    where = f"log of pod gpu-operator/{NAME}, container nvidia-driver-ctr"
    assert (where, failure.line, failure.text) in lines(node)
