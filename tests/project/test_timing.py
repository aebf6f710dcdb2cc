"""The average that is printed counts every process, and each of them once."""

from __future__ import annotations

import re

import pytest

from tests.support.runs import QUIET, run_apart

CONFTEST = f"""
import sys
sys.path.insert(0, {str(__file__.rpartition("/tests/")[0])!r})
from tests.support.timing import Processor

def pytest_configure(config):
    config.pluginmanager.register(Processor())
"""

BUSY = """
import subprocess, sys, time

BURN = "import time\\nwhile time.process_time() < 1: pass"

def test_here():
    end = time.process_time() + 1
    while time.process_time() < end: pass

def test_child():
    subprocess.run([sys.executable, "-c", BURN], check=True)
"""


@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=["inline", "xdist"])
def test_processor_time_of_all_processes_is_counted_once(
    pytester: pytest.Pytester, workers: list[str]
) -> None:
    """One second in a test and one in its child; starting pytest takes less than two more."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(BUSY)
    output = run_apart(pytester, *QUIET, *workers).stdout.str()
    line = re.search(r"processor time: ([\d.]+) s, 2 tests, (\d+) ms on average", output)
    assert line, output
    assert 2 <= float(line[1]) < 8
    assert int(line[2]) == pytest.approx(float(line[1]) * 500, abs=30)


def test_nothing_is_printed_where_no_test_ran(pytester: pytest.Pytester) -> None:
    """There is no average."""
    pytester.makeconftest(CONFTEST)
    assert "processor time" not in run_apart(pytester, *QUIET).stdout.str()
