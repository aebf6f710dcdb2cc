"""What the suite's own pod tells of CUDA: driver functions that end, hang, or compile nothing."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_gpu.stack.pods import check_suite_pod
from tests.stack.kube.kube_machine import Machine, cause, report, suite_pod, told

PTX = "cuModuleLoadData: {} ({})"


def miscomputes(**cuda: Any) -> tuple[str | None, str]:
    """Return the cause and the evidence of a pod in which CUDA reported this."""
    seen = suite_pod(gpu=report(cuda={"init": 0, "count": 1, **cuda}))
    found = check_suite_pod.miscomputes(Machine(outcomes={"pod": seen}).node())
    return cause(found), told(found) if found else ""


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (221, "PTX JIT compiler library not found"),
        (222, "the provided PTX was compiled with an unsupported toolchain."),
        (223, "PTX JIT compilation was disabled"),
    ],
)
def test_a_driver_that_does_not_compile(number: int, words: str) -> None:
    """By the number of the error, whatever its words; they are the evidence."""
    found, evidence = miscomputes(compute=PTX.format(words, number))
    assert found == "runtimeclass-pod/ptx-is-not-compiled"
    assert words in evidence


def test_another_error_of_the_same_function() -> None:
    """Near miss: code for another GPU is not about the compiler."""
    said = PTX.format("no kernel image is available for execution on the device", 209)
    assert miscomputes(compute=said)[0] == "runtimeclass-pod/computes-wrongly"


@pytest.mark.parametrize(
    ("how", "compute"),
    [
        ("died", "the process that computed died in cuCtxCreate"),
        ("hung", "cuInit did not return within 60 s"),
    ],
)
def test_a_driver_that_gives_no_answer(how: str, compute: str) -> None:
    """The step in which it ended is the evidence; without one, it computed wrongly."""
    found, evidence = miscomputes(**{how: "cuInit"}, compute=compute)
    assert found == "runtimeclass-pod/cuda-gives-no-answer"
    assert compute in evidence
    assert miscomputes(compute=compute)[0] == "runtimeclass-pod/computes-wrongly"


def test_a_driver_that_computes() -> None:
    """The repaired twin."""
    assert miscomputes(compute="ok") == (None, "")
