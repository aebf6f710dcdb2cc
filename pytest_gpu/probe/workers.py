"""Work in children that can be killed or abandoned: one that hangs or dies loses one answer.

A read from a dead file server or a call into a driver can block where no signal arrives (D state).
Such a child holds nothing but its own pipe; it is killed, and left behind if that fails.
"""

import json
import os
import select
import signal
import time
from typing import Any, Callable, Deque, Dict, Iterable, Iterator, List, Optional

Work = Dict[str, Any]
Answer = Dict[str, Any]
Note = Callable[[Answer], None]

MAX_LOSSES = 8
"""Lost children after which the rest of the work is given up."""

_NOTE = "note"


class Lost(Exception):  # noqa: N818 - what happened to a child
    """A child died, or did not answer in time; ``late`` says which."""

    def __init__(self, late: bool, text: str) -> None:
        super().__init__(text)
        self.late = late


class Child:
    """A process that answers a list of work, one JSON line each, notes in between."""

    def __init__(self, work: Iterable[Work], answer: Callable[[Work, Note], Answer]) -> None:
        self._handle, there = os.pipe()
        self._rest = b""
        self.pid = os.fork()
        if self.pid == 0:
            _serve(work, answer, there)
        os.close(there)

    def line(self, patience: float) -> Answer:
        """Return the next line within ``patience`` seconds.

        Raises:
            Lost: there was none.
        """
        until = time.monotonic() + patience
        while b"\n" not in self._rest:
            ready, _, _ = select.select([self._handle], [], [], max(0, until - time.monotonic()))
            if not ready:
                raise Lost(True, f"gave no answer within {patience:g} s")
            part = os.read(self._handle, 1 << 16)
            if not part:
                raise Lost(False, f"the process that read it died ({self._end()})")
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\n")
        found: Answer = json.loads(line.decode("ascii"))
        return found

    def close(self) -> None:
        """End the child, if it can be ended."""
        self._end(kill=True)
        os.close(self._handle)

    def _end(self, kill: bool = False) -> str:
        """Return how the child ended, waiting a moment for it; it is reaped once."""
        for _ in range(50):
            if self.pid == 0:
                return "reaped"
            if kill:
                _signal(self.pid)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return _words(status)
            time.sleep(0.01)
        return "cannot be killed"


def _serve(
    work: Iterable[Work], answer: Callable[[Work, Note], Answer], handle: int
) -> None:  # pragma: no cover - in a child without coverage
    try:
        os.setsid()
        empty = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(empty, standard)
        for item in work:
            _write(handle, answer(item, lambda note: _write(handle, {_NOTE: note})))
    finally:
        os._exit(0)


def _write(handle: int, value: Answer) -> None:
    data = memoryview(json.dumps(value).encode("ascii") + b"\n")
    while data:
        data = data[os.write(handle, data) :]


def answers(
    work: Deque[Work],
    answer: Callable[[Work, Note], Answer],
    patience: Callable[[Work], float],
    lost: Callable[[Work, Lost, Optional[Answer]], Answer],
) -> Iterator[Answer]:
    """Yield an answer for every piece of work, in order; more work may be added meanwhile.

    ``lost`` makes the answer if a child was lost, from the last note it sent.
    """
    losses = 0
    while work and losses < MAX_LOSSES:
        batch = list(work)
        child = Child(batch, answer)
        try:
            for item in batch:
                note: List[Optional[Answer]] = [None]
                try:
                    found = _next(child, patience(item), note)
                except Lost as loss:
                    losses += 1
                    work.popleft()
                    yield lost(item, loss, note[0])
                    break
                work.popleft()
                yield found
        finally:
            child.close()
    while work:
        reason = f"not read: {losses} processes were lost before it"
        yield lost(work.popleft(), Lost(False, reason), None)


def _next(child: Child, patience: float, note: List[Optional[Answer]]) -> Answer:
    until = time.monotonic() + patience
    while True:
        found = child.line(max(0.0, until - time.monotonic()))
        if set(found) != {_NOTE}:
            return found
        note[0] = found[_NOTE]


def _signal(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        return


def _words(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"signal {os.WTERMSIG(status)}"
    return f"exit code {os.WEXITSTATUS(status)}"
