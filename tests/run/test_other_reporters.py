"""Beside plugins that print in their own way: header, progress and verdicts are still there.

``make test-plugins`` runs beside the real ones.
"""

from __future__ import annotations

import re

import pytest

from tests.conftest import MakeCluster, MakeSuite
from tests.support.runs import run_here

OWN_REPORTER = """
import pytest

class Own(pytest.TerminalReporter):
    def pytest_sessionstart(self, session):
        super().pytest_sessionstart(session)

    def pytest_runtest_logstart(self, nodeid, location):
        pass

    def pytest_runtest_logfinish(self, nodeid):
        self._tw.write("[bar]")

@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    old = config.pluginmanager.getplugin("terminalreporter")
    config.pluginmanager.unregister(old)
    config.pluginmanager.register(Own(old.config), "terminalreporter")
"""


@pytest.fixture
def output(pytester: pytest.Pytester, make_cluster: MakeCluster, make_suite: MakeSuite) -> str:
    """Return what a run prints with a terminal reporter of another plugin."""
    make_suite(
        hardware="def test_a(gpu_node):\n    pass",
        driver="def test_b(gpu_node):\n    pass",
    )
    pytester.makepyfile(own_reporter=OWN_REPORTER)
    pytester.syspathinsert()
    cluster = make_cluster("gpu-1")
    arguments = (f"--gpu-cluster=path:{cluster}", "-p", "own_reporter", ".")
    return run_here(pytester, *arguments).stdout.str()


def test_the_header_is_printed_when_another_plugin_asks_early(output: str) -> None:
    """pytest-sugar asks for it in the hook in which we open the cluster."""
    assert re.search(r"^gpu: cluster:\s+path:", output, re.MULTILINE)
    assert re.search(r"^gpu: 1 node: gpu-1", output, re.MULTILINE)


def test_progress_starts_a_line_where_another_plugin_left_one_open(output: str) -> None:
    """Its bar is written past pytest's own count of open lines."""
    assert "[bar]" in output
    assert re.search(r"^gpu: climbing driver", output, re.MULTILINE)


def test_the_verdicts_are_printed_by_another_reporter(output: str) -> None:
    """Table and last line."""
    assert re.search(r"^gpu-1 .*ok 1/1 +ok 1/1", output, re.MULTILINE)
    assert re.search(r"^1 node: conforms", output, re.MULTILINE)
