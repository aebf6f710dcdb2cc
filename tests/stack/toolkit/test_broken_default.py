"""Where the broken handler is the default one, no pod starts at all: that comes first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from pytest_gpu.causes import Finding, title_of
from pytest_gpu.gpu_node import Node
from pytest_gpu.looks import first_of
from pytest_gpu.stack.toolkit import check_executable, check_libraries, check_programs
from tests.stack.containerd.test_merge import CONFIG
from tests.stack.runtime.runtime_machine import HEALTHY, HOOK, HOST, LIBC, NVIDIA, Machine
from tests.stack.runtime.test_check_runtime import toolkit_daemonset
from tests.support.told import full

LEAD = "No pod starts here, the default runtime is broken: "
SECTION = '[plugins."io.containerd.grpc.v1.cri".containerd]\ndefault_runtime_name = "{}"\n'
PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/sbin", "/bin")
CHECKS: tuple[Callable[[Node], Finding | None], ...] = (
    check_programs.handler_without_type,
    check_programs.binary_missing,
    check_programs.half_installed,
    check_executable.not_executable,
    check_executable.damaged,
    check_executable.wrong_architecture,
    check_programs.no_low_level_runtime,
    check_libraries.interpreter_missing,
)


def machine(default: str) -> Machine:
    """Return a node with a default runtime, whose toolkit an operator manages."""
    made = Machine(files={CONFIG: HEALTHY + SECTION.format(default)}, objects=toolkit_daemonset())
    made.listed = PATH
    made.loaded = {"containerd": {"defaultRuntimeName": default, "runtimes": {"nvidia": {}}}}
    return made


def without(made: Machine, *paths: str) -> None:
    """Take programs away from a node."""
    made.binaries = [each for each in made.binaries if each not in paths]


def gone(made: Machine) -> None:
    """Take the NVIDIA runtime away."""
    without(made, NVIDIA)


def not_executable(made: Machine) -> None:
    """Let nobody execute the NVIDIA runtime."""
    made.modes = {NVIDIA: 0o644}


def of_arm(made: Machine) -> None:
    """Let the NVIDIA runtime be one of another processor."""
    made.elf[NVIDIA] = replace(made.elf[NVIDIA], machine="aarch64")


def no_runc(made: Machine) -> None:
    """Take runc away, which the NVIDIA runtime starts."""
    made.host = {path: text for path, text in HOST.items() if path != "/usr/bin/runc"}
    made.host["/proc/4700/environ"] = "PATH=/usr/bin\0"


def no_type(made: Machine) -> None:
    """Let the handler have no type."""
    text = made.files[CONFIG]
    kind = 'runtime_type = "io.containerd.runc.v2"\n'
    head, name, tail = text.partition("runtimes.nvidia]\n")
    made.files = {CONFIG: head + name + tail.replace(kind, "", 1)}


BROKEN: Mapping[str, Callable[[Machine], None]] = {
    "runtime/binary-missing": gone,
    "runtime/binary-not-executable": not_executable,
    "runtime/binary-wrong-architecture": of_arm,
    "runtime/no-low-level-runtime": no_runc,
    "runtime/handler-without-type": no_type,
}


def found(made: Machine) -> Finding | None:
    """Return what the suite finds first, with all its values."""
    finding = first_of(made.node(), *CHECKS)
    return full(finding) if finding else None


@pytest.mark.parametrize("cause", BROKEN)
def test_a_broken_default_is_the_headline(cause: str) -> None:
    """The cause stays; title and evidence say that it concerns every pod."""
    made = machine("nvidia")
    BROKEN[cause](made)
    finding = found(made)
    assert finding is not None
    assert finding.cause == cause
    assert title_of(finding).startswith(LEAD)
    assert finding.evidence[0].text == 'default_runtime_name = "nvidia"'
    assert finding.evidence[0].line is not None


@pytest.mark.parametrize("cause", BROKEN)
def test_a_handler_that_pods_ask_for_by_name_is_not(cause: str) -> None:
    """Where runc is the default, other pods start."""
    made = machine("runc")
    BROKEN[cause](made)
    finding = found(made)
    assert finding is not None
    assert (finding.cause, finding.lead) == (cause, "")


def test_a_part_that_only_gpu_containers_need_is_not() -> None:
    """The hook is started for containers that ask for GPUs."""
    made = machine("nvidia")
    without(made, HOOK)
    finding = found(made)
    assert finding is not None
    assert (finding.cause, finding.lead) == ("runtime/toolkit-half-installed", "")


def test_the_running_containerd_knows_its_default() -> None:
    """It was started with another one than its file names now."""
    made = machine("nvidia")
    made.files = {CONFIG: HEALTHY + SECTION.format("runc")}
    gone(made)
    finding = found(made)
    assert finding is not None
    assert finding.lead
    assert finding.evidence[0].text == "default runtime: nvidia"
    assert "crictl" in finding.evidence[0].source


def test_a_healthy_default_is_fine() -> None:
    """The repaired twin."""
    assert LIBC in machine("nvidia").elf
    assert found(machine("nvidia")) is None
