"""A run that a signal ends: SIGINT, SIGTERM or SIGHUP, at any moment, once or twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_gpu.cluster.daemon_pool import DaemonPool
from tests.cluster.api.fake_api import FakeApi, FakeServer
from tests.conftest import MakeCluster
from tests.support.runs import run_here

NODE = {
    "metadata": {"name": "gpu-1"},
    "status": {
        "capacity": {"nvidia.com/gpu": "1"},
        "conditions": [{"type": "Ready", "status": "True"}],
    },
}
WAITING = {"phase": "Pending", "startTime": "2026-11-21T10:00:00Z"}
HOPELESS = {
    "phase": "Pending",
    "containerStatuses": [{"state": {"waiting": {"reason": "ErrImageNeverPull"}}}],
}
LONGEST = 20.0
"""Seconds within which a run must end after a signal."""

INTERRUPTED = {signal.SIGINT: 2, signal.SIGTERM: 143, signal.SIGHUP: 129}
PROJECT = '''
import os
import urllib.request
import pytest
from pytest_gpu.run import interrupts

interrupts.GRACE = 1.0

def at(moment):
    """Tell the API server, which may hold the answer."""
    head = {{"Authorization": "Bearer secret-token"}}
    url = f"{url}/api/v1/nodes?at={{moment}}"
    urllib.request.urlopen(urllib.request.Request(url, headers=head)).read()

at("worker" if "PYTEST_XDIST_WORKER" in os.environ else "start")

def is_worker(config):
    return hasattr(config, "workerinput")

@pytest.fixture
def thing():
    yield
    at("teardown")

def pytest_collection(session):
    at("collection")

def pytest_sessionfinish(session):
    if not is_worker(session.config):
        at("finish")

def pytest_unconfigure(config):
    if not is_worker(config):
        at("unconfigure")
'''
TEST = """
from conftest import at

def test_it(gpu_node, thing):
    at("test")
"""
MOMENTS = {
    "pytest starts": "GET *at=start",
    "a worker starts": "GET *at=worker",
    "the cluster is opened": "GET /api/v1/nodes?limit*",
    "rights are checked": "POST *selfsubjectrulesreviews",
    "tests are collected": "GET *at=collection",
    "pods are created": "POST */pods",
    "pods are waited for": "GET *watch=true*",
    "nodes are visited": "GET */exec*",
    "a test runs": "GET *at=test",
    "a fixture is torn down": "GET *at=teardown",
    "the session finishes": "GET *at=finish",
    "pods are removed": "DELETE *",
    "plugins are unconfigured": "GET *at=unconfigure",
}
every_moment = pytest.mark.parametrize(
    "moment", [name for name in MOMENTS if name != "a worker starts"]
)
every_signal = pytest.mark.parametrize(
    "how", [signal.SIGINT, signal.SIGTERM], ids=lambda how: how.name
)


@pytest.fixture
def api() -> FakeApi:
    """Return a cluster with one node, on which no pod can start: its tests run at once."""
    api = FakeApi(trouble={"gpu-1": HOPELESS})
    api.put("nodes", json.loads(json.dumps(NODE)))
    api.put("namespaces", {"metadata": {"name": "pytest-gpu"}})
    return api


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A run in a process group of its own."""

    api: FakeApi
    process: subprocess.Popen[bytes]
    folder: Path

    def reach(self) -> None:
        """Wait until the server holds a request."""
        while not self.api.reached.wait(0.2):
            assert self.process.poll() is None, self.process.communicate()[0].decode()

    def send(self, how: signal.Signals, *, group: bool = False) -> None:
        """Send a signal: to the process, or to all of its group as a terminal does."""
        (os.killpg if group else os.kill)(self.process.pid, how)

    def hold(self, pattern: str) -> None:
        """Let the held request go on, and hold another one."""
        self.api.hold = pattern
        self.api.reached.clear()
        self.api.release.set()
        self.api.release = threading.Event()

    def ended(self, *, released: bool = True) -> tuple[int, str]:
        """Let the held request go on; return exit code and output."""
        if released:
            self.hold("")
        try:
            output = self.process.communicate(timeout=LONGEST)[0].decode()
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(self.process.communicate()[0].decode()) from None
        return self.process.returncode, output


Start = Callable[..., Child]


@pytest.fixture
def start(pytester: pytest.Pytester, api: FakeApi) -> Iterator[Start]:
    """Return a function that starts a run; the server holds the request of a moment."""
    children: list[Child] = []
    with FakeServer(api) as server:

        def start(moment: str, *args: str, test: str = TEST) -> Child:
            api.hold = MOMENTS[moment]
            prepare(api, pytester.path, moment)
            pytester.makeconftest(PROJECT.format(url=server.url))
            pytester.makepyfile(test_mine=test)
            (pytester.path / "tmp").mkdir()
            options = (
                f"--gpu-kubeconfig={server.kubeconfig(pytester.path)}",
                "--gpu-report=o.json",
            )
            children.append(_started(api, pytester.path, ["--gpu-cluster=fake", *options, *args]))
            return children[-1]

        yield start
        api.release.set()
        for child in children:
            with suppress(ProcessLookupError):
                os.killpg(child.process.pid, signal.SIGKILL)
            child.process.wait()


def _started(api: FakeApi, folder: Path, args: Sequence[str]) -> Child:
    # Whoever runs in the background of a script has been told to ignore Ctrl-C.
    argv = ["env", "--default-signal=INT,TERM,HUP", sys.executable, "-m", "pytest"]
    around = {k: value for k, value in os.environ.items() if not k.startswith("PYTEST_XDIST")}
    process = subprocess.Popen(
        [*argv, "test_mine.py", "-p", "no:randomly", "-p", "no:cacheprovider", *args],
        cwd=folder,
        env={**around, "TMPDIR": str(folder / "tmp")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    return Child(api=api, process=process, folder=folder)


def ours(api: FakeApi) -> list[str]:
    """Return the names of pods that a run created and did not remove."""
    return [
        pod["metadata"]["name"]
        for pod in api.of("pods")
        if "pytest-gpu/run" in (pod["metadata"].get("labels") or {})
    ]


def is_clean(child: Child, output: str) -> None:
    """Check that nothing is left, here and there, and that nobody sees a traceback."""
    assert "Traceback" not in output, output
    assert "INTERNALERROR" not in output, output
    assert ours(child.api) == [], output
    assert list((child.folder / "tmp").iterdir()) == [], output


def said(child: Child) -> int | None:
    """Return the exit code in the report, ``None`` without a report."""
    file = child.folder / "o.json"
    return json.loads(file.read_text())["run"]["exit_code"] if file.exists() else None


def prepare(api: FakeApi, folder: Path, moment: str) -> None:
    """Let pods start on an empty node, or not, as a moment needs it."""
    if moment == "pods are waited for":
        api.trouble["gpu-1"] = WAITING
    if moment == "nodes are visited":
        del api.trouble["gpu-1"]
        api.roots["gpu-1"] = folder


@every_signal
@every_moment
def test_a_signal_at_any_moment_leaves_nothing(
    start: Start, moment: str, how: signal.Signals
) -> None:
    """The exit code says which signal it was; a report says the same."""
    child = start(moment)
    child.reach()
    child.send(how)
    code, output = child.ended()
    is_clean(child, output)
    # The result of a run that has finished stays what its report says.
    is_over = moment == "plugins are unconfigured"
    assert code == (0 if is_over else INTERRUPTED[how]), output
    assert said(child) == code or (said(child) is None and not is_over)


FINALIZED = """
from conftest import at

class Thing:
    def __del__(self):
        at("test")

def test_it(gpu_node):
    thing = Thing()
    del thing
    at("after")
"""


@every_signal
@pytest.mark.parametrize("options", [(), ("-n2",)], ids=["one", "xdist"])
def test_a_signal_is_not_lost_while_an_object_is_finalized(
    start: Start, api: FakeApi, how: signal.Signals, options: tuple[str, ...]
) -> None:
    """Python drops the exception there; no other test begins."""
    child = start("a test runs", *options, test=FINALIZED)
    child.reach()
    child.send(how)
    child.hold("GET *at=after")
    code, output = child.ended(released=False)
    is_clean(child, output)
    assert code == INTERRUPTED[how], output


def test_a_terminal_that_is_closed_ends_a_run(start: Start) -> None:
    """SIGHUP."""
    child = start("a test runs")
    child.reach()
    child.send(signal.SIGHUP)
    code, output = child.ended()
    is_clean(child, output)
    assert (code, said(child)) == (129, 129)
    assert "!!! KeyboardInterrupt: SIGHUP !!!" in output


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a test runs", "a fixture is torn down"),
        ("a test runs", "the session finishes"),
        ("nodes are visited", "pods are removed"),
    ],
)
def test_a_second_signal_leaves_nothing_either(start: Start, first: str, second: str) -> None:
    """It ends what other plugins do at the end, and not the removal of pods."""
    child = start(first)
    child.reach()
    child.send(signal.SIGTERM)
    child.hold(MOMENTS[second])
    child.reach()
    child.send(signal.SIGINT)
    code, output = child.ended()
    is_clean(child, output)
    assert code == 143, output
    assert said(child) == 143


def test_what_does_not_go_away_is_told_soon_after_a_second_signal(
    start: Start, api: FakeApi
) -> None:
    """With the command that removes it; its removal was asked for before."""
    api.sticky = True
    child = start("a test runs")
    child.reach()
    child.send(signal.SIGINT)
    child.hold("DELETE *")
    child.reach()
    child.hold("GET *watch=true*")
    child.reach()
    child.send(signal.SIGINT)
    code, output = child.ended()
    assert code == 2, output
    assert "Traceback" not in output, output
    assert "ERROR: interrupted: what the run created may still be there; remove it with: " in output
    assert all("deletionTimestamp" in pod["metadata"] for pod in api.of("pods"))


def test_a_dead_api_server_keeps_no_run_from_ending(start: Start) -> None:
    """The first signal is enough while nothing was created."""
    child = start("the cluster is opened")
    child.reach()
    child.send(signal.SIGTERM)
    code, output = child.ended(released=False)
    is_clean(child, output)
    assert code == 143, output


def test_a_pod_of_a_late_answer_is_removed(start: Start, api: FakeApi) -> None:
    """The API server may create it after all others were deleted."""
    child = start("pods are created")
    child.reach()
    child.send(signal.SIGTERM)
    late, api.release = api.release, threading.Event()
    api.hold = "GET /api/v1/namespaces/pytest-gpu/pods*"
    api.reached.clear()
    child.reach()
    assert len(api.asked("DELETE *")) == 1
    late.set()
    code, output = child.ended()
    is_clean(child, output)
    assert (code, len(api.asked("POST */pods"))) == (143, 1)


WORKER = """
import os
from conftest import at

def test_it(gpu_node):
    try:
        at("test")
    finally:
        at(f"ended-{os.getpid()}")
"""


@pytest.mark.parametrize("everybody", [True, False], ids=["terminal", "controller"])
@every_signal
@pytest.mark.parametrize("moment", ["a worker starts", "nodes are visited", "a test runs"])
def test_workers_end_with_their_controller(
    start: Start, moment: str, how: signal.Signals, everybody: bool
) -> None:
    """A terminal's Ctrl-C reaches all processes, SIGTERM mostly one: each test ends in order."""
    child = start(moment, "-n2", test=WORKER)
    child.reach()
    child.send(how, group=everybody)
    code, output = child.ended()
    is_clean(child, output)
    assert code == INTERRUPTED[how], output
    assert said(child) in (None, code)
    if moment == "a test runs":
        assert len(child.api.asked("GET *at=ended*")) == 1


HANDLERS = """
import signal

def test_handlers():
    found = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    print("\\nHANDLERS", *[getattr(each, "__name__", None) or int(each) for each in found])
"""


def handlers_in(pytester: pytest.Pytester, *args: object) -> str:
    """Return the handlers of SIGINT, SIGTERM and SIGHUP in a test of a run in this process."""
    pytester.makepyfile(test_handlers=HANDLERS)
    result = run_here(pytester, "test_handlers.py", "-s", *args)
    result.assert_outcomes(passed=1)
    [line] = [line for line in result.outlines if line.startswith("HANDLERS")]
    return line.removeprefix("HANDLERS ")


@pytest.fixture
def handlers() -> Iterator[Any]:
    """Return a function that sets a handler; those of before are put back."""
    before = {each: signal.getsignal(each) for each in INTERRUPTED}
    for each, default in zip(INTERRUPTED, DEFAULT, strict=True):
        signal.signal(each, default)
    yield signal.signal
    for each, handler in before.items():
        signal.signal(each, handler)


DEFAULT: tuple[Any, ...] = (signal.default_int_handler, signal.SIG_DFL, signal.SIG_DFL)


def now() -> tuple[Any, ...]:
    """Return the handlers of this process."""
    return tuple(signal.getsignal(each) for each in INTERRUPTED)


def test_without_a_cluster_no_signal_is_handled(pytester: pytest.Pytester, handlers: Any) -> None:
    """Nobody pays who did not order."""
    assert handlers_in(pytester) == "default_int_handler 0 0"


def test_handlers_of_before_are_put_back(
    pytester: pytest.Pytester, make_cluster: MakeCluster, handlers: Any
) -> None:
    """The process may go on after pytest."""
    cluster = f"--gpu-cluster=path:{make_cluster('gpu-1')}"
    assert handlers_in(pytester, cluster) == "_handle _handle _handle"
    assert now() == DEFAULT


def test_handlers_of_others_stay(
    pytester: pytest.Pytester, make_cluster: MakeCluster, handlers: Any
) -> None:
    """``nohup`` ignores SIGHUP, the shell's ``&`` SIGINT; a project may have its own SIGTERM."""

    def own(number: int, frame: object) -> None:
        """Do nothing."""

    handlers(signal.SIGINT, signal.SIG_IGN)
    handlers(signal.SIGTERM, own)
    handlers(signal.SIGHUP, signal.SIG_IGN)
    cluster = f"--gpu-cluster=path:{make_cluster('gpu-1')}"
    assert handlers_in(pytester, cluster) == "1 own 1"
    assert now() == (signal.SIG_IGN, own, signal.SIG_IGN)


SETS_ONE = """
import signal

def own(number, frame): pass

def pytest_configure(): signal.signal(signal.SIGTERM, own)
"""


def test_a_handler_that_a_plugin_sets_later_stays(
    pytester: pytest.Pytester, make_cluster: MakeCluster, handlers: Any
) -> None:
    """During the run and after it."""
    pytester.makeconftest(SETS_ONE)
    cluster = f"--gpu-cluster=path:{make_cluster('gpu-1')}"
    assert handlers_in(pytester, cluster) == "_handle own _handle"
    assert signal.getsignal(signal.SIGTERM).__name__ == "own"  # type: ignore[union-attr]


def test_in_another_thread_no_signal_is_handled(
    pytester: pytest.Pytester, make_cluster: MakeCluster, handlers: Any
) -> None:
    """Only the main thread may set handlers: a run elsewhere goes on without."""
    cluster = f"--gpu-cluster=path:{make_cluster('gpu-1')}"
    with DaemonPool(1, "run") as pool:
        assert pool.submit(handlers_in, pytester, cluster).result() == "default_int_handler 0 0"
