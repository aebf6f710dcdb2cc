"""Signals that end a run: SIGTERM and SIGHUP do what Ctrl-C does, so that the run cleans up.

pytest itself handles Ctrl-C alone: SIGTERM, which CI systems, ``timeout`` and ``kubectl delete
pod`` send, would end Python at once. The handlers are there from pytest's command line to its end,
only with ``--gpu-cluster``, only in the main thread, and only where nobody else has a handler.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import contextmanager
from types import FrameType

import pytest

from pytest_gpu.cluster.daemon_pool import DaemonPool
from pytest_gpu.text.visible import visible

GRACE = 10.0
"""Seconds that a signal leaves to the removal of what the run created."""

Handler = Callable[[int, FrameType | None], object]

DEFAULTS: Mapping[signal.Signals, Handler | signal.Handlers] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
}
"""Handlers that are replaced; a run in the background (SIG_IGN) and other plugins keep theirs."""

_POLL = 0.1


class Interrupts:
    """The signals of one run, and what they do to it; a plugin of pytest.

    The first one raises KeyboardInterrupt. In a worker of xdist it is the only one that counts:
    the controller kills a worker that takes too long. A second one ends what other plugins do at
    the end, but not the removal of what the run created. ``result`` is the exit code of a session
    that has finished.
    """

    def __init__(self) -> None:
        self.first: int | None = None
        self.result: int | None = None
        self.handles = False
        self._is_worker = False
        self._is_over = False
        self._finishing = False
        self._hurried = False
        self._is_lost = False

    @property
    def code(self) -> int:
        """The exit code of an interrupted run: pytest's own, or the shell's for a signal."""
        if self.first in (None, signal.SIGINT) or self._is_worker:
            return int(pytest.ExitCode.INTERRUPTED)
        assert self.first is not None
        return 128 + self.first

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Repeat a signal whose exception was lost, last: pytest has a hook of its own for these.

        Python drops what is raised while an object is finalized.
        """
        before = sys.unraisablehook

        def hook(lost: sys.UnraisableHookArgs) -> None:
            if isinstance(lost.exc_value, KeyboardInterrupt) and self.first is not None:
                self._repeat(self.first)
            else:
                before(lost)

        def put_back() -> None:
            if sys.unraisablehook is hook:
                sys.unraisablehook = before

        sys.unraisablehook = hook
        config.add_cleanup(put_back)

    def _repeat(self, number: int) -> None:
        """Send a signal to the main thread again, once the object is gone."""
        self._is_lost = True
        again = threading.Timer(_POLL, signal.pthread_kill, (threading.main_thread().ident, number))
        again.daemon = True
        again.start()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> Generator[None, object, object]:
        """Return the exit code of the signal; a late one ends without a traceback."""
        self._is_worker = hasattr(config, "workerinput")
        try:
            code = yield
        except KeyboardInterrupt:
            self._is_over = True
            if not self._is_worker:
                sys.stderr.write(visible("\ngpu: interrupted at the end of the run\n"))
            return self.code if self.result is None else self.result
        return self.code if code == pytest.ExitCode.INTERRUPTED else code

    def settle(self, session: pytest.Session) -> None:
        """Give a session that was interrupted the exit code of its signal."""
        if session.exitstatus == pytest.ExitCode.INTERRUPTED or self._hurried:
            session.exitstatus = self.code

    def finish(self, job: Callable[[], str]) -> str | None:
        """Return what a job returns, ``None`` if a signal came and the job took too long after it.

        The job runs in a thread of its own: a signal does not end it, nor does a dead server keep
        the run from ending.
        """
        self._finishing = True
        try:
            with DaemonPool(1, "gpu-end") as pool:
                ending = pool.submit(job)
                self._wait(ending)
                return ending.result() if ending.done() else None
        finally:
            self._finishing = False

    def _wait(self, ending: Future[str]) -> None:
        """Wait for the end of the run; after a signal only for a while."""
        deadline: float | None = time.monotonic() + GRACE if self._is_over else None
        while not ending.done() and (deadline is None or time.monotonic() < deadline):
            try:
                wait([ending], _POLL)
            except KeyboardInterrupt:  # somebody else handles the signal
                self._hurried = True
            if deadline is None and self._hurried:
                deadline = time.monotonic() + GRACE

    def install(self) -> Callable[[], None]:
        """Handle the signals; return what puts the handlers of before back."""
        if threading.current_thread() is not threading.main_thread():
            return lambda: None
        ours: Handler = self._handle
        taken = [each for each, default in DEFAULTS.items() if signal.getsignal(each) == default]
        for each in taken:
            signal.signal(each, ours)
        self.handles = signal.SIGTERM in taken

        def put_back() -> None:
            for each in taken:
                if signal.getsignal(each) == ours:
                    signal.signal(each, DEFAULTS[each])

        return put_back

    def _handle(self, number: int, frame: FrameType | None) -> None:
        is_first = self.first is None or self._is_lost
        self._is_lost = False
        if self.first is None:
            self.first = number
        if self._finishing:
            self._hurried = True
        elif not self._is_over and (is_first or not self._is_worker):
            raise KeyboardInterrupt(*([] if number == signal.SIGINT else [_name(number)]))


INTERRUPTS_KEY = pytest.StashKey[Interrupts]()


@contextmanager
def starting(config: pytest.Config) -> Iterator[None]:
    """Handle signals from now until pytest has cleaned up.

    Within the block pytest starts, which nobody else would end without a traceback.
    """
    interrupts = interrupts_of(config)
    config.pluginmanager.register(interrupts, "gpu-interrupts")
    config.add_cleanup(interrupts.install())
    try:
        yield
    except KeyboardInterrupt:
        sys.stderr.write(visible("gpu: interrupted while pytest was starting\n"))
        raise SystemExit(interrupts.code) from None


def interrupts_of(config: pytest.Config) -> Interrupts:
    """Return the signals of a run."""
    return config.stash.setdefault(INTERRUPTS_KEY, Interrupts())


def _name(number: int) -> str:
    return signal.Signals(number).name
