"""The ways in which tests run pytest."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.support.runs import run_apart, run_here


@pytest.mark.parametrize("run", [run_here, run_apart])
def test_a_file_that_changed_within_a_second_is_read_again(
    pytester: pytest.Pytester, run: Callable[[pytest.Pytester], pytest.RunResult]
) -> None:
    """It has the same size, and nearly the same time."""
    for word, passed in (("True", 1), ("None", 0)):
        file = pytester.makepyfile(test_it=f"def test_it():\n    assert {word}\n")
        os.utime(file, (1_700_000_000, 1_700_000_000))
        run(pytester).assert_outcomes(passed=passed, failed=1 - passed)
