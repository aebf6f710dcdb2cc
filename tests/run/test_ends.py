"""However a run ends, the process, ``run.exit_code`` and JUnit agree, as the docs' table says."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.conftest import MakeCluster, MakeSuite
from tests.run.test_final import RERUNS
from tests.support.runs import run_apart

QUIET = ("-W", "error", "-p", "no:randomly")
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "reports.md"
PASSES = "def test_it(gpu_node): pass\n"
FAILS = "def test_it(gpu_node): fail(finding(gpu_node))\n"
SUBTEST = (
    "def test_it(gpu_node, subtests):\n    with subtests.test(msg='one'): assert not gpu_node\n"
)
FIXTURE = "@pytest.fixture\ndef thing(gpu_node):\n{}\ndef test_it(thing): pass\n"
RERUN = "def test_it(gpu_node, request): assert request.config.attempt == 2\n"
BEGUN = """
import pathlib
import pytest

class Begun:
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report):
        yield
        if "driver" in report.nodeid:
            pathlib.Path("begun").touch()

def pytest_configure(config):
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Begun())
"""
"""Tells a worker that the controller knows that the test has begun."""
SIGNAL = """
import pathlib
import time
def test_it(gpu_node, request):
    deadline = time.monotonic() + 60
    while not pathlib.Path("begun").exists() and time.monotonic() < deadline: time.sleep(0.01)
    is_worker = hasattr(request.config, "workerinput")
    os.kill(os.getppid() if is_worker else os.getpid(), {})
    time.sleep(60)
"""
BUG = "def pytest_runtest_logfinish(nodeid):\n    if 'driver' in nodeid: raise RuntimeError\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """A way for a run to end; the driver's test is between two that pass."""

    driver: str = PASSES
    files: Mapping[str, str] = field(default_factory=dict)
    args: Sequence[str] = ()


ENDS = {
    "every node conforms": End(),
    "a requirement is not met": End(driver=FAILS),
    "a subtest fails": End(driver=SUBTEST),
    "something is unproven": End(driver="def test_it(gpu_node): unproven('x')\n"),
    "the same, with `--gpu-allow-unproven`": End(
        driver="def test_it(gpu_node): unproven('x')\n", args=["--gpu-allow-unproven"]
    ),
    "a test raises an unexpected exception": End(driver="def test_it(gpu_node): 1 / 0\n"),
    "a fixture fails": End(driver=FIXTURE.format("    1 / 0\n")),
    "a fixture fails in its tear-down": End(driver=FIXTURE.format("    yield\n    1 / 0\n")),
    "a test fails and passes in a rerun": End(driver=RERUN, files={"conftest.py": RERUNS}),
    "all nodes conform, a test without the marker fails": End(
        files={"test_own.py": "def test_own(): assert False\n"}
    ),
    "a failure, with `-x` or `--maxfail`": End(driver=FAILS, args=["-x"]),
    "a failure, with `--stepwise`": End(driver=FAILS, args=["--stepwise"]),
    "Ctrl-C": End(driver="def test_it(gpu_node): raise KeyboardInterrupt\n"),
    "SIGTERM": End(driver=SIGNAL.format(15), files={"conftest.py": BEGUN}),
    "SIGHUP": End(driver=SIGNAL.format(1), files={"conftest.py": BEGUN}),
    "`pytest.exit()` in a test": End(driver="def test_it(gpu_node): pytest.exit('enough')\n"),
    "`pytest.exit(returncode=7)` in a test": End(
        driver="def test_it(gpu_node): pytest.exit('enough', returncode=7)\n"
    ),
    "a worker of xdist crashes": End(driver="def test_it(gpu_node): os._exit(9)\n"),
    "a test file cannot be imported": End(files={"test_own.py": "import no_such_module\n"}),
    "a bug in a plugin (internal error)": End(files={"conftest.py": BUG}),
    "an exception in your hook `pytest_gpu_verdict`": End(
        files={"conftest.py": "def pytest_gpu_verdict(document): 1 / 0\n"}
    ),
    "wrong usage, or no GPU node": End(args=["--gpu-nodes=no-such-node"]),
    "`-k`, `-m` or the paths select no test": End(args=["-k", "no_such_test"]),
    "`--collect-only`": End(args=["--collect-only"]),
}
ONLY_WITH_WORKERS = {"a worker of xdist crashes"}


def table() -> dict[str, list[str]]:
    """Return the cells of the docs' table by their first one."""
    section = PAGE.read_text(encoding="utf-8").partition("## Exit codes\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.*) \|$", section, re.MULTILINE)[1:]
    return {cells[0]: cells[1:] for cells in (row.split(" | ") for row in rows)}


def test_the_table_has_a_row_for_every_end() -> None:
    """And no other."""
    assert list(table()) == list(ENDS)


def ended(
    pytester: pytest.Pytester, cluster: Path, args: Sequence[str]
) -> tuple[int, int | None, str]:
    """Run; return the code of the process, the one in the JSON, and JUnit's counts."""
    reports = ("--gpu-report=out.json", "--junit-xml=junit.xml")
    result = run_apart(pytester, f"--gpu-cluster=path:{cluster}", ".", *reports, *QUIET, *args)
    report, junit = pytester.path / "out.json", pytester.path / "junit.xml"
    said = json.loads(report.read_text())["run"]["exit_code"] if report.exists() else None
    return int(result.ret), said, counts(junit) if junit.exists() else "no file"


def counts(junit: Path) -> str:
    """Return failures, errors and skips; as many as there are elements."""
    [suite] = ElementTree.parse(junit).getroot().iter("testsuite")  # noqa: S314 - pytest wrote it
    told = {"failure": "failures", "error": "errors", "skipped": "skipped"}
    assert {kind: str(sum(1 for _ in suite.iter(kind))) for kind in told} == {
        kind: suite.get(name) for kind, name in told.items()
    }
    return " / ".join(suite.get(name, "") for name in told.values())


@pytest.mark.parametrize("what", ENDS)
def test_process_json_and_junit_agree(
    pytester: pytest.Pytester,
    make_cluster: MakeCluster,
    make_suite: MakeSuite,
    workers: list[str],
    what: str,
) -> None:
    """In one process and with workers."""
    code, junit, code_of_workers, junit_of_workers = table()[what]
    if not workers and what in ONLY_WITH_WORKERS:
        assert (code, junit) == ("-", "-")
        return
    end = ENDS[what]
    make_suite(hardware=PASSES, driver=end.driver, runtime=PASSES)
    for name, text in end.files.items():
        (pytester.path / name).write_text(text)
    told = (code_of_workers, junit_of_workers) if workers else (code, junit)
    real, said, counted = ended(pytester, make_cluster("gpu-1"), [*end.args, *workers])
    assert (str(real), counted) == told
    writes = real != pytest.ExitCode.USAGE_ERROR and what != "`--collect-only`"
    assert said == (real if writes else None)
