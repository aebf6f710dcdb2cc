"""What an operand says about itself: from its logs, else from Kubernetes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_gpu.causes import Evidence
from pytest_gpu.evidence import Entry
from pytest_gpu.stack.operands.logs import LOG_LIMIT, MAX_LOGS, log_paths
from pytest_gpu.stack.operands.operands import cluster_operands, operands_of
from pytest_gpu.stack.operands.words import logged_by, words_of
from tests.stack.operands.made_up_operands import (
    CRASHED,
    Object,
    container,
    log_path,
    node_with,
    pod,
    warning,
    workload,
)
from tests.support.fake_evidence import FakeNode

TOOL = container("nvcr.io/nvidia/k8s/container-toolkit:v1.17.8")
STAMP = "2026-01-13T08:15:33.104220781Z stderr F "
WHERE = "log of pod gpu-stack/x-7k2vn, container main"
FATAL = 'time="2026-01-13T08:15:33Z" level=fatal msg="unable to load /etc/containerd/config.toml"'


def _words(made: Object, files: dict[str, str] | None = None, *events: Object) -> list[Evidence]:
    """Return the words of a node's only operand."""
    node = node_with(made, files=files, events=events)
    [operand] = operands_of(node)
    return list(words_of(node, operand))


def crashed(**status: object) -> Object:
    """Return a pod whose container is in a crash loop."""
    return pod(TOOL, statuses={"main": {**CRASHED, "ready": False, **status}})


@pytest.mark.parametrize(
    "log",
    [
        f"{STAMP}starting\n{STAMP}{FATAL}\n{STAMP}level=info msg=bye\n",
        f"starting\n{FATAL}\nlevel=info msg=bye\n",
        "\n".join(json.dumps({"log": f"{line}\n"}) for line in ("starting", FATAL)),
    ],
    ids=["CRI", "kubectl-logs", "docker"],
)
def test_the_log_of_the_run_that_crashed_says_why(log: str) -> None:
    """In whatever format the file was written; with the line's number."""
    made = crashed()
    [words] = _words(made, {log_path(made, restarts=4): log, log_path(made, restarts=3): "other"})
    text = "unable to load /etc/containerd/config.toml"
    assert words == Evidence(source=WHERE, line=2, text=text)


def test_without_the_last_log_the_one_before_speaks() -> None:
    """The kubelet has just made an empty file for the next run."""
    made = crashed()
    files = {log_path(made, restarts=4): "", log_path(made, restarts=3): FATAL}
    [words] = _words(made, files)
    assert words.source == f"{WHERE}, previous run"


def test_a_log_that_was_just_rotated_is_read_where_it_was_before() -> None:
    """The newest of the rotated files; older ones are packed."""
    made = crashed()
    path = log_path(made, restarts=4)
    files = {
        path: "",
        f"{path}.20260113-081533": "level=fatal msg=older",
        f"{path}.20260114-101010": FATAL,
        f"{path}.20260115-101010.gz": "packed",
        log_path(made, restarts=3): "level=fatal msg=before",
    }
    [words] = _words(made, files)
    assert words == Evidence(source=WHERE, line=1, text=FATAL.split('"')[3])


def test_the_log_of_an_init_container_is_read_too() -> None:
    """It is the one that fails; what waits for it says nothing."""
    waits = {"state": {"waiting": {"reason": "PodInitializing"}}, "ready": False}
    first = container("gpu-operator-validator:1", name="driver-validation")
    made = pod(
        TOOL,
        inits=[first],
        statuses={"main": waits, "driver-validation": {**CRASHED, "ready": False}},
    )
    files = {log_path(made, "driver-validation", 4): "level=error msg='no nvidia-smi'"}
    [words] = _words(made, files)
    assert "driver-validation" in words.source


def test_a_container_that_cannot_start_has_the_kubelets_words() -> None:
    """Its old log is of runs that have nothing to do with it."""
    message = 'Error: secret "pull" not found\x1b[31m'
    broken = {"state": {"waiting": {"reason": "CreateContainerConfigError", "message": message}}}
    made = pod(TOOL, statuses={"main": {**broken, "ready": False, "restartCount": 2}})
    [words] = _words(made, {log_path(made, restarts=2): FATAL})
    assert words.source == "pod gpu-stack/x-7k2vn, container main"
    assert words.text == 'CreateContainerConfigError: Error: secret "pull" not found'


def test_the_termination_message_is_read_like_a_log() -> None:
    """It may be the end of the log, or the words of the container runtime."""
    message = (
        "failed to create containerd task: failed to create shim task: OCI runtime create failed: "
        "runc create failed: unable to start container process: error during container init: "
        "error running prestart hook #0: exit status 1, stdout: , stderr: Auto-detected mode as "
        "'legacy'\nnvidia-container-cli: initialization error: nvml error: driver not loaded\n"
        ": unknown"
    )
    ended = {"terminated": {"exitCode": 128, "reason": "StartError", "message": message}}
    [words] = _words(crashed(lastState=ended))
    assert words.source == "pod gpu-stack/x-7k2vn, container main, when it ended"
    assert words.text.endswith("nvml error: driver not loaded")
    assert len(words.text) <= 240


def test_recent_warnings_come_last_and_old_ones_not_at_all() -> None:
    """A FailedMount names what nobody else does."""
    waits = {"state": {"waiting": {"reason": "ContainerCreating"}}, "ready": False}
    made = pod(TOOL, statuses={"main": waits}, phase="Pending")
    events = [warning(made, "FailedMount", "no configmap"), warning(made, "BackOff", "x", 90)]
    [words] = _words(made, None, *events)
    assert words.text == "FailedMount: no configmap"


def test_a_controller_without_pods_has_its_last_words() -> None:
    """It tries again ever more seldom, so the last warning may be old; its age is told."""
    makes = workload(pod(TOOL))
    events = [
        warning(makes, "FailedCreate", "exceeded quota: pods", minutes=22),
        warning(makes, "FailedCreate", "older", minutes=50),
    ]
    node = node_with(daemonsets=[makes], events=events)
    [words] = words_of(node, operands_of(node)[0])
    assert words.source == "event of daemonset gpu-stack/x, 22 min ago"
    assert words.text == "FailedCreate: exceeded quota: pods"


def test_a_condition_speaks_where_no_event_does() -> None:
    """Events are gone after an hour; the condition stays as long as what it tells."""
    failure = {
        "type": "ReplicaFailure",
        "status": "True",
        "reason": "FailedCreate",
        "message": 'pods "x" is forbidden: violates PodSecurity "restricted:latest"',
    }
    past = {"type": "Available", "status": "True", "reason": "a", "message": "fine"}
    makes = workload(pod(TOOL), "Deployment", status={"conditions": [past, failure]})
    node = node_with(deployments=[makes])
    [operand] = cluster_operands(node.cluster)
    [words] = words_of(node, operand)
    assert words.source == "condition ReplicaFailure of deployment gpu-stack/x"
    assert words.text.startswith("FailedCreate: pods")


def test_an_evicted_operand_has_the_kubelets_reason() -> None:
    """It has no container left to ask."""
    gone: dict[str, Any] = {
        "phase": "Failed",
        "reason": "Evicted",
        "message": "The node was low on memory.\n",
    }
    [words] = _words(pod(TOOL, containerStatuses=[], **gone))
    assert words.text == "Evicted: The node was low on memory."


def test_a_ready_operand_says_nothing() -> None:
    """Whatever its log is full of: retries at boot, warnings, a crash before this run."""
    made = pod(TOOL, statuses={"main": {"restartCount": 1, "lastState": CRASHED["lastState"]}})
    files = {log_path(made, restarts=1): FATAL, log_path(made): FATAL}
    assert _words(made, files) == []
    [asked] = logged_by(node_with(made, files=files), made)
    assert asked.source == WHERE


class _Cut(FakeNode):
    """A node of whose files only the end was read."""

    def entry(self, path: str) -> Entry | None:
        """Return an entry with the size of the whole file."""
        found = super().entry(path)
        return replace(found, size=LOG_LIMIT + 1) if found else None


def test_the_end_of_a_long_log_has_no_line_numbers() -> None:
    """And no first line, which was cut."""
    made = crashed()
    log = "r msg=cut level=error\nlevel=error msg=why\nlevel=info msg=x"
    cut = _Cut(files={log_path(made, restarts=4): log}, complete=["/"])
    node = node_with(made, evidence=cut)
    [words] = words_of(node, operands_of(node)[0])
    assert (words.line, words.text) == (None, "why")


def test_logs_are_collected_of_operands_only() -> None:
    """Not of a user's pod whose image is NVIDIA's; of each container, and of its last two runs."""
    users = pod(container("nvcr.io/nvidia/tritonserver:25.08-py3"), name="triton")
    first = container("gpu-operator-validator:1", name="driver-validation")
    made = pod(TOOL, inits=[first], statuses={"driver-validation": {"restartCount": 2}})
    paths = log_paths(node_with(users, made).cluster, "gpu-1")
    assert paths == (
        log_path(made),
        log_path(made, "driver-validation", 2),
        log_path(made, "driver-validation", 1),
    )
    assert log_paths(node_with(users, made).cluster, "gpu-2") == ()


def test_so_many_logs_are_collected_those_that_fail_first() -> None:
    """A node with very many operands costs no more."""
    many = [pod(TOOL, name=f"x-{n:03}", owner=("DaemonSet", f"x{n}")) for n in range(MAX_LOGS)]
    paths = log_paths(node_with(*many, crashed()).cluster, "gpu-1")
    assert len(paths) == MAX_LOGS
    assert paths[:2] == (log_path(crashed(), restarts=4), log_path(crashed(), restarts=3))


NONSENSE = st.from_regex(r"[a-z]{2,12}( [a-z]{2,12}){0,8}", fullmatch=True)
FORMATS = (
    "E0113 08:15:33.104220       1 main.go:173] {}",
    "F0113 08:15:33.104220       1 main.go:173] {}",
    'time="2026-01-13T08:15:33Z" level=error msg="{}"',
    'time=2026-01-13T08:15:33.103Z level=ERROR msg="{}" Version=4.4.2',
    '{{"level":"error","ts":"2026-01-13T08:15:33Z","msg":"{}"}}',
    "2026/01/13 08:15:33 ERROR: {}",
)
NOISE = (
    "I0113 08:15:30.000001       1 main.go:356] Retrieving plugins.",
    'level=WARN msg="Ignoring error getting device memory: Not Supported" source=dcgm-exporter',
    "W0113 08:15:31.000001       1 client.go:9] failed to reach the API server, retrying",
)


@given(
    words=NONSENSE,
    said=st.sampled_from(FORMATS),
    before=st.lists(st.sampled_from(NOISE), max_size=9),
    after=st.lists(st.sampled_from(NOISE), max_size=9),
    init=st.booleans(),
)
def test_words_that_nobody_knows_are_quoted_as_they_are(
    words: str, said: str, before: list[str], after: list[str], *, init: bool
) -> None:
    """In every format, amid noise, with the line's number; a healthy one with them says nothing."""
    broken = {**CRASHED, "ready": False, "restartCount": 0}
    first = container("gpu-operator-validator:1", name="first")
    name = "first" if init else "main"
    log = "\n".join((*before, said.format(words), *after))
    made = pod(TOOL, inits=[first], statuses={name: broken})
    [found] = _words(made, {log_path(made, name): log})
    assert (found.text, found.line) == (words, len(before) + 1)
    healthy = pod(TOOL, inits=[first])
    old = warning(healthy, "BackOff", words, minutes=90)
    assert _words(healthy, {log_path(healthy, name): log}, old) == []
