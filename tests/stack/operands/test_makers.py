"""The operator's own pod, wherever it runs, is why a node has none of what the operator makes."""

from __future__ import annotations

import pytest

from pytest_gpu.gpu_node import Node
from pytest_gpu.stack.operands.chain import culprit_for
from pytest_gpu.stack.operands.roles import TOOLKIT
from pytest_gpu.stack.runtime import check_handler
from tests.stack.gpu.gpu_machine import cause, said
from tests.stack.kube.kube_machine import told
from tests.stack.operands.made_up_operands import CRASHED, READY, Object, container, log_path, pod
from tests.stack.operands.test_unknown_failures import without_handler
from tests.support.fake_evidence import FakeCluster, FakeNode, node_object

IMAGE = "nvcr.io/nvidia/gpu-operator:v25.3.4"
NO_IMAGE: Object = {
    "state": {"waiting": {"reason": "ImagePullBackOff", "message": "frob.example: no such host"}},
    "ready": False,
}
OOM: Object = {
    **CRASHED,
    "ready": False,
    "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
}
# Zap's JSON, as the operator's logger prints it.
LOG = """\
{"level":"info","ts":1768292133.1,"logger":"setup","msg":"starting manager"}
{"level":"error","ts":1768292133.4,"logger":"setup","msg":"problem running manager","error":"frob"}
"""


def operator(status: Object, where: str = "control-1", name: str = "gpu-operator-0") -> Object:
    """Return the operator's pod on some node."""
    made = pod(container(IMAGE), name=name, owner=("ReplicaSet", "x"), statuses={"main": status})
    made["spec"]["nodeName"] = where
    return made


def node(*pods: Object, elsewhere: dict[str, str] | None = None) -> Node:
    """Return a node without handler, and these pods; ``elsewhere`` are files of control-1."""
    kinds = ("daemonsets", "events", "resourceslices", "runtimeclasses", "clusterpolicies")
    objects = {"nodes": [node_object()], "pods": list(pods), **{kind: [] for kind in kinds}}
    folders = {path.rpartition("/")[0] for path in elsewhere or ()}
    other = FakeNode("control-1", files=elsewhere or {}, complete=["/", *folders])
    nodes = {"gpu-1": without_handler({}), "control-1": other}
    return Node("gpu-1", FakeCluster(nodes=nodes, objects=objects))


@pytest.mark.parametrize(
    ("status", "words", "advised"),
    [
        (NO_IMAGE, "ImagePullBackOff: frob.example: no such host", "imagePullSecrets"),
        (OOM, "is CrashLoopBackOff", "ran out of memory"),
    ],
    ids=["image", "memory"],
)
def test_an_operator_that_does_not_come_up_on_another_node(
    status: Object, words: str, advised: str
) -> None:
    """Its state and the kubelet's words are the evidence; no values of the toolkit are advised."""
    found = check_handler.no_gpu_handler(node(operator(status)))
    assert cause(found) == "operator/operand-fails"
    assert "pod gpu-stack/gpu-operator-0" in said(found)
    assert words in said(found)
    text = " ".join(told(found).split())
    assert advised in text
    assert "CONTAINERD_" not in text


@pytest.mark.parametrize("where", ["control-1", "gpu-1"])
def test_the_log_of_an_operator_is_read_where_it_runs(where: str) -> None:
    """If that node was visited, too."""
    made = operator({**CRASHED, "ready": False}, where)
    there = node(made, elsewhere={log_path(made, restarts=4): LOG})
    found = culprit_for(there, TOOLKIT)
    assert found is not None
    log = [each for each in found.evidence if each.source.startswith("log of pod")]
    assert [(each.line, "frob" in each.text) for each in log] == [(2, True)] * (where != "gpu-1")


@pytest.mark.parametrize(
    "status", [READY, {**READY, "restartCount": 9, "lastState": OOM["lastState"]}]
)
def test_an_operator_that_works_is_not_to_blame(status: Object) -> None:
    """Whatever its log said at an earlier start."""
    made = operator(status)
    there = node(made, elsewhere={log_path(made): LOG})
    assert culprit_for(there, TOOLKIT) is None
    found = check_handler.no_gpu_handler(there)
    assert cause(found) == "runtime/handler-not-configured"
    assert "frob" not in said(found)
