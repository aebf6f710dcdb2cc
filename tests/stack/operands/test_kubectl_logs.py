"""Logs that were recorded as the output of ``kubectl logs``."""

from __future__ import annotations

import shlex

import pytest

from pytest_gpu.causes import Evidence
from pytest_gpu.evidence import CommandResult
from pytest_gpu.stack.operands.operands import operands_of
from pytest_gpu.stack.operands.words import words_of
from tests.stack.operands.made_up_operands import (
    CRASHED,
    Object,
    container,
    log_path,
    node_with,
    pod,
)
from tests.support.fake_evidence import FakeNode

TOOLKIT = container("nvcr.io/nvidia/k8s/container-toolkit:v1.17.8", name="toolkit")
SIDECAR = container("nvcr.io/nvidia/k8s/container-toolkit:v1.17.8", name="watch")
LOG = "I0113 08:15:33.1 1 main.go:1] starting\nE0113 08:15:34.2 1 main.go:9] zork is not blue\n"
STAMPED = "".join(f"2026-01-13T08:15:33.104220781Z {line}\n" for line in LOG.splitlines())


def crashed(name: str = "x-7k2vn") -> Object:
    """Return a pod whose first container is in a crash loop."""
    return pod(TOOLKIT, SIDECAR, name=name, statuses={"toolkit": {**CRASHED, "ready": False}})


def words(
    made: Object, *printed: tuple[str, str, int], files: dict[str, str] | None = None
) -> list[Evidence]:
    """Return the words of the only operand: commands are (line, output, exit code)."""
    commands = [
        CommandResult(argv=tuple(shlex.split(line)), exit=code, stdout=text)
        for line, text, code in printed
    ]
    there = FakeNode(files=files or {}, complete=["/"], commands=commands)
    node = node_with(made, evidence=there)
    [operand] = operands_of(node)
    return [each for each in words_of(node, operand) if each.source.startswith("log of")]


@pytest.mark.parametrize("previous", [False, True], ids=["latest", "previous"])
@pytest.mark.parametrize("text", [LOG, STAMPED], ids=["plain", "timestamps"])
def test_both_places_are_judged_alike(text: str, *, previous: bool) -> None:
    """The kubelet's file and what kubectl printed: the same line, number and source."""
    made = crashed()
    flag = " --previous" if previous else ""
    command = f"kubectl logs x-7k2vn -n gpu-stack -c toolkit{flag}"
    by_file = words(made, files={log_path(made, "toolkit", 3 if previous else 4): text})
    by_command = words(made, (command, text, 0))
    assert by_file == by_command
    [said] = by_command
    assert (said.line, "zork is not blue" in said.text) == (2, True)
    assert said.source.endswith(", previous run") is previous


@pytest.mark.parametrize(
    "line",
    [
        "kubectl logs -n gpu-stack x-7k2vn",
        "/usr/local/bin/kubectl --context=lab -n gpu-stack logs pod/x-7k2vn toolkit",
        "kubectl --kubeconfig /etc/k.conf logs x-7k2vn --container=toolkit --timestamps",
        "kubectl logs x-7k2vn --namespace gpu-stack --tail 50 --previous=false",
    ],
)
def test_a_call_is_understood_as_kubectl_understands_it(line: str) -> None:
    """Flags in any place; without a container, the first one of the pod."""
    [said] = words(crashed(), (line, LOG, 0))
    assert "zork" in said.text


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("kubectl logs x-7k2vn -n gpu-stack -c watch", 0),
        ("kubectl logs x-7k2vn -n other -c toolkit", 0),
        ("kubectl logs x-7k2vx -n gpu-stack -c toolkit", 0),
        ("kubectl logs x-7k2vn -n gpu-stack -c toolkit", 1),
        ("kubectl logs -l app=x -n gpu-stack", 0),
        ("kubectl logs x-7k2vn -n gpu-stack --all-containers", 0),
        ("kubectl describe pod logs x-7k2vn -n gpu-stack", 0),
        ("kubectl logs", 0),
        ("cat logs x-7k2vn", 0),
    ],
)
def test_what_is_not_this_containers_log_says_nothing_about_it(line: str, code: int) -> None:
    """Another container, namespace or pod; a call that failed; several containers mixed."""
    assert words(crashed(), (line, LOG, code)) == []


def test_lines_of_a_part_of_a_log_have_no_numbers() -> None:
    """Nobody knows how many lines stood before."""
    [said] = words(crashed(), ("kubectl logs x-7k2vn -n gpu-stack --tail=20", LOG, 0))
    assert said.line is None


def test_the_kubelets_file_comes_first() -> None:
    """It holds the run that its name says; a command may be older."""
    made = crashed()
    file = {log_path(made, "toolkit", 4): "E0113 08:15:34.2 1 main.go:9] later\n"}
    [said] = words(made, ("kubectl logs x-7k2vn -n gpu-stack", LOG, 0), files=file)
    assert "later" in said.text
