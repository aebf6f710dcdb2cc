"""The list of what is unproven says what helps, for every reason that the suite gives."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_gpu.errors import NotInEvidence
from pytest_gpu.report.next_steps import next_step, with_next_step
from pytest_gpu.stack.kubelet.containerd import CRI_O

ROOT = Path(__file__).parents[2]
FOLDERS = ("pytest_gpu", "conformance", "fixtures")
RAISED = frozenset({"Unproven", "unproven"})

FROM_ELSEWHERE = {
    "pytest_gpu/causes.py": "the reason of a user's own test",
    "pytest_gpu/cluster/visits/node_shell.py": "what a door says, which is a GpuError of its own",
    "pytest_gpu/stack/sandbox/check_sandbox.py": "SandboxRun.inconclusive, tested below",
    "pytest_gpu/stack/sandbox/refused_control.py": "the same",
    "pytest_gpu/stack/runtime/check_serving.py": "the constant CRI_O, tested below",
    "pytest_gpu/stack/kubelet/containerd.py": "the constant CRI_O, tested below",
    "pytest_gpu/stack/containerd/config_file.py": "a LimitError, tested below",
    "pytest_gpu/stack/containerd/templates.py": "a LimitError, tested below",
    "pytest_gpu/stack/toolkit/own_config.py": "a LimitError, tested below",
}
"""Modules that pass on a reason that is made elsewhere."""

PASSED_ON = frozenset({"", "x: x", "the control sandbox: x"})
"""What is seen of such a reason."""


def reasons() -> Iterator[tuple[str, str]]:
    """Yield file and text of each reason in the source; a value in it is ``x``."""
    for path in (each for folder in FOLDERS for each in (ROOT / folder).rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            name = getattr(call.func, "id", "") if isinstance(call, ast.Call) else ""
            if isinstance(call, ast.Call) and name in RAISED and call.args:
                yield str(path.relative_to(ROOT)), _text(call.args[0])


def _text(argument: ast.expr) -> str:
    if isinstance(argument, ast.JoinedStr):
        return "".join(
            str(v.value) if isinstance(v, ast.Constant) else "x" for v in argument.values
        )
    return str(argument.value) if isinstance(argument, ast.Constant) else ""


def test_every_reason_of_the_suite_has_a_next_step() -> None:
    """It stands in the reason, or the list adds it."""
    found = list(reasons())
    assert len(found) > 50
    bare = [
        (file, text)
        for file, text in found
        if not (next_step(text) or "; " in text or "--gpu-" in text)
        and not (file in FROM_ELSEWHERE and text in PASSED_ON)
    ]
    assert bare == []


@pytest.mark.parametrize(
    ("reason", "helps"),
    [
        (str(NotInEvidence("gpu-1", "/etc/os-release")), "add it to the recording"),
        ("no sandbox was tried: --gpu-read-only creates nothing", "leave out that option"),
        ("the node was not visited: nobody tried", "--gpu-node-shell"),
        ("/etc/containerd/config.toml: it is nested too deeply", "shorten the file"),
        ("/etc/containerd/config.toml: it is longer than 4 MiB", "shorten the file"),
        (CRI_O, "runtimeclass-pod"),
        ("the kernel module nvidia is not loaded", "what the driver layer tells"),
        ("crictl images failed with exit code 1: no such flag", "--gpu-crictl"),
    ],
)
def test_the_step_fits_the_reason(reason: str, helps: str) -> None:
    """It stands after the reason."""
    told = with_next_step(reason)
    assert told.startswith(f"{reason}; ")
    assert helps in told.removeprefix(reason)


@pytest.mark.parametrize(
    "reason",
    [
        "no crictl on this node; --gpu-crictl=FILE copies one there",
        "an image could not be pulled: x; --gpu-image=IMAGE names another",
        "my own test could not decide",
    ],
)
def test_a_reason_that_tells_it_itself_or_is_a_users_stays(reason: str) -> None:
    """Nothing is told twice, and nothing is made up."""
    assert with_next_step(reason) == reason
