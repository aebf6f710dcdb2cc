"""How an operand's container ended is evidence, and decides the advice where no words do."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pytest_gpu.causes import Evidence, Finding
from pytest_gpu.stack.operands.chain import culprit_for
from pytest_gpu.stack.operands.roles import DEVICE_PLUGIN, TOOLKIT
from pytest_gpu.stack.operands.telling import advice_of
from pytest_gpu.stack.pods import check_plugin_pod
from tests.stack.kube.kube_machine import Machine
from tests.stack.kube.kube_machine import told as all_of
from tests.stack.operands.made_up_operands import (
    Object,
    log_path,
    node_with,
    warning,
    workload,
)
from tests.stack.operands.test_chain import operand
from tests.stack.operands.test_change import BY_POLICY, HELM, POLICY
from tests.stack.pods.test_check_plugin import down

BACK_OFF = "back-off 5m0s restarting failed container=main pod=x-7k2vn_gpu-stack(uid)"
WHERE = "pod gpu-stack/toolkit-x1, container main"


def ended(code: int, reason: str = "Error", restarts: int = 12) -> Object:
    """Return the status of a container that waits to be started again after it ended so."""
    return {
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": BACK_OFF}},
        "lastState": {"terminated": {"exitCode": code, "reason": reason}},
        "restartCount": restarts,
        "ready": False,
    }


def judged(
    status: Object, log: str = "", events: Sequence[tuple[str, str]] = ()
) -> tuple[tuple[Evidence, ...], str]:
    """Return what is said of a toolkit whose container has this status, and what is advised."""
    made = operand(TOOLKIT, main=status)
    files = {log_path(made, restarts=status.get("restartCount", 0)): log}
    found = [warning(made, *each) for each in events]
    node = node_with(made, files=files, events=found, daemonsets=[])
    culprit = culprit_for(node, TOOLKIT)
    assert culprit is not None
    return culprit.evidence, "\n".join(step.shown for step in advice_of(node, culprit.fault))


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (ended(137, "OOMKilled", 40), "ended with exit code 137 (OOMKilled), started again 40"),
        (ended(1, restarts=1), "ended with exit code 1 (Error)"),
        (ended(0, "Completed", 6), "ended with exit code 0 (Completed), started again 6 times"),
        (
            {
                "state": {"terminated": {"exitCode": 143, "reason": "Error"}},
                "ready": False,
                "restartCount": 0,
            },
            "ended with exit code 143 (Error)",
        ),
    ],
)
def test_exit_code_reason_and_restarts_stand_before_the_words(status: Object, text: str) -> None:
    """With the line of the log after them, and without the kubelet's words on its back-off."""
    back_off = [("BackOff", "Back-off restarting failed container main in pod toolkit-x1")]
    evidence, _ = judged(status, "level=error msg=why\n", back_off)
    state, end, words = evidence
    assert state.text.startswith("is ")
    assert (end.source, end.text[: len(text)]) == (WHERE, text)
    assert words.text == "why"


def test_what_never_ran_has_not_ended() -> None:
    """Its last run was of another configuration."""
    missing = {"reason": "CreateContainerConfigError", "message": 'configmap "x" not found'}
    status = {**ended(1), "state": {"waiting": missing}}
    evidence, advice = judged(status, "level=error msg=old\n")
    assert "ended with" not in str(evidence)
    assert "configmap x, which does not exist in the namespace gpu-stack" in advice
    assert "kubectl logs" not in advice


@pytest.mark.parametrize(
    ("code", "reason", "log", "said"),
    [
        (137, "OOMKilled", "Starting Plugins.\n", "ran out of memory"),
        (137, "Error", "", "137 is SIGKILL"),
        (143, "Error", "", "143 SIGTERM"),
        (143, "Error", "Starting Plugins.\n", "143 SIGTERM"),
        (139, "Error", "", "The program itself crashed"),
        (134, "Error", "level=info msg=up\n", "The program itself crashed"),
        (3, "Error", "", "without a word on why"),
        (3, "Error", "level=error msg='frob the glim'\n", "No cause is known for this message"),
        (143, "Error", "level=error msg='open /a/b: permission denied'\n", "does not allow"),
    ],
)
def test_the_exit_code_decides_the_advice_where_no_words_do(
    code: int, reason: str, log: str, said: str
) -> None:
    """A signal from outside, a crash, or silence; known words come first."""
    _, advice = judged(ended(code, reason), log.replace("'", '"'))
    assert said in advice
    assert advice.count("kubectl logs") == (reason != "OOMKilled")


SURVIVED = """\
E0113 08:15:32.104220       1 reflector.go:158] dial tcp 10.96.0.1:443: connection refused
I0113 08:15:41.104220       1 main.go:99] Registered device plugin with the kubelet
"""


@pytest.mark.parametrize("code", [137, 143])
def test_an_error_that_it_survived_is_not_why_it_was_stopped(code: int) -> None:
    """Without work after it, or where the program ended by itself, the error counts."""
    evidence, advice = judged(ended(code), SURVIVED)
    assert evidence[-1].text == "Registered device plugin with the kubelet"
    assert "143 SIGTERM" in advice
    alone = SURVIVED.partition("\n")[0] + "\nI0113 08:15:33.1 1 main.go:9] Shutting down\n"
    for status, log in ((ended(code), alone), (ended(1), SURVIVED)):
        evidence, advice = judged(status, log)
        assert "connection refused" in evidence[-1].text
        assert "name resolution" in advice


def lacking(name: str, policy: Object) -> str:
    """Return the advice for a device plugin that lacks a ConfigMap."""
    missing = {"reason": "CreateContainerConfigError", "message": f'configmap "{name}" not found'}
    status: Object = {"state": {"waiting": missing}, "ready": False, "restartCount": 0}
    made = operand(DEVICE_PLUGIN, main=status)
    daemonset = workload(made, name=DEVICE_PLUGIN, metadata=BY_POLICY)
    node = node_with(made, daemonsets=[daemonset], clusterpolicies=[policy])
    culprit = culprit_for(node, DEVICE_PLUGIN)
    assert culprit is not None
    return "\n".join(step.shown for step in advice_of(node, culprit.fault))


def test_a_name_that_the_operator_was_told_is_corrected_there() -> None:
    """Only if it is that one: another ConfigMap is of somebody else."""
    told = {**POLICY, "spec": {"devicePlugin": {"config": {"name": "slices"}}}}
    assert "told that name in devicePlugin.config.name" in lacking("slices", told)
    assert "kubectl edit clusterpolicy policy-a" in lacking("slices", told)
    by_helm = {**told, "metadata": {**POLICY["metadata"], **HELM}}
    assert "--set devicePlugin.config.name=NAME" in lacking("slices", by_helm)
    for advice in (lacking("other", told), lacking("slices", POLICY)):
        assert "configmaps,secrets" in advice
        assert "devicePlugin" not in advice


def plugin(restarts: int, status: Object) -> Machine:
    """Return a node whose device plugin has this status."""
    return down(statuses=[{"name": "main", **status, "restartCount": restarts}])


def found(machine: Machine) -> Finding:
    """Return what is found of the plugin's pod."""
    finding = check_plugin_pod.not_running(machine.node())
    assert finding is not None
    return finding


def test_a_plugin_is_told_like_any_other_operand() -> None:
    """How it ended, not the back-off; the command for its log once."""
    finding = found(plugin(22, ended(137, "OOMKilled", 22)))
    texts = [each.text for each in finding.evidence]
    assert texts[1] == "ended with exit code 137 (OOMKilled), started again 22 times"
    assert not [each for each in texts if "back-off" in each]
    assert all_of(found(plugin(3, ended(1)))).count("kubectl logs") == 1
