"""Random failures of a container: a log in any format with one nonsense error, and its state.

Formats: klog and its structured lines, logrus as text and JSON, zap's JSON of controller-runtime
(the operator), Go's own log package, what cobra and urfave/cli print at the end, a panic.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from tests.stack.operands.made_up_operands import Object

# Letters alone: no word of a language, and no number that looks like a stamp.
WORDS = st.text(alphabet="bcdfghjklmnpqrstvwxz", min_size=3, max_size=9)
NONSENSE = st.lists(WORDS, min_size=2, max_size=8).map(" ".join)
KLOG = "0113 08:15:33.104220       1 main.go:42] "
ISO = "2026-01-13T08:15:33Z"
GO = "2026/01/13 08:15:33 "
NOISE = (
    ("info", "Starting"),
    ("warning", "Ignoring error getting device memory: Not Supported"),
    ("warning", "Retrying to connect: attempt 1 failed"),
    ("info", "no error was found, all is fine"),
)
WITHOUT_LEVELS = tuple(each for each in NOISE if not each[1].startswith("Retrying"))
PANIC = """

goroutine 1 [running]:
main.main()
\t/build/cmd/main.go:142 +0x1d8
"""


@dataclass(frozen=True)
class Format:
    """How a program prints.

    Attributes:
        line: returns a line of a level.
        error: returns its error, from the nonsense.
        shown: returns what is to be quoted of it.
        goes_on: whether it prints more after its error.
        noise: what else it may print: a line without level that tells of a failure counts as one.
    """

    line: Callable[[str, str], str]
    error: Callable[[str], str]
    shown: Callable[[str], str] = str
    goes_on: bool = True
    noise: Sequence[tuple[str, str]] = NOISE


def _klog(level: str, text: str) -> str:
    return f"{level[0].upper()}{KLOG}{text}"


def _logrus(level: str, text: str) -> str:
    return f'time="{ISO}" level={level} msg="{text}"'


def _logrus_json(level: str, text: str) -> str:
    return json.dumps({"level": level, "msg": text, "time": ISO})


def _zap_json(level: str, text: str) -> str:
    return json.dumps({"level": level, "ts": 1768292133.1, "logger": "setup", "msg": text})


def _reconciler(text: str) -> str:
    where = {"controller": "clusterpolicy-controller", "namespace": "", "reconcileID": "5f-1"}
    said = {"level": "error", "ts": 1768292133.1, "msg": "Reconciler error", **where}
    return json.dumps({**said, "error": text})


def _go(_: str, text: str) -> str:
    return f"{GO}{text}"


FORMATS = (
    Format(_klog, lambda text: _klog("error", text)),
    Format(_klog, lambda text: _klog("fatal", text)),
    Format(_klog, lambda text: _klog("error", f'"bzz gnt" err="{text}"'), "bzz gnt: {}".format),
    Format(_klog, lambda text: f"Error: {text}", goes_on=False),
    Format(_klog, lambda text: f"panic: {text}{PANIC}", "panic: {}".format, goes_on=False),
    Format(_logrus, lambda text: _logrus("error", text)),
    Format(_logrus, lambda text: _logrus("fatal", text)),
    Format(_logrus, lambda text: f"panic: {text}{PANIC}", "panic: {}".format, goes_on=False),
    Format(_logrus_json, lambda text: _logrus_json("error", text)),
    Format(_logrus_json, lambda text: _logrus_json("fatal", text)),
    Format(_zap_json, lambda text: _zap_json("error", text)),
    Format(_zap_json, _reconciler, "Reconciler error: {}".format),
    Format(_go, lambda text: _go("", f"Error: {text}"), noise=WITHOUT_LEVELS),
    Format(_go, lambda text: _go("", text), goes_on=False, noise=WITHOUT_LEVELS),
    Format(_go, lambda text: f"panic: {text}{PANIC}", "panic: {}".format, goes_on=False),
)

BACK_OFF: Object = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}}
STATES: tuple[Object, ...] = (
    BACK_OFF,
    {"terminated": {"exitCode": 1, "reason": "Error"}},
    {"terminated": {"exitCode": 139, "reason": "Error"}},
)


@dataclass(frozen=True)
class Failure:
    """How an operand fails: the log of its last run, where the error stands, and its state.

    Attributes:
        log: the whole log.
        line: the number of the line that says why.
        text: what is to be quoted of it.
        words: the nonsense in it.
        state: the container's state.
        restarts: how often it was started again.
    """

    log: str
    line: int
    text: str
    words: str
    state: Object
    restarts: int

    @property
    def status(self) -> Object:
        """The status of the container that fails."""
        return {"state": self.state, "ready": False, "restartCount": self.restarts}


@st.composite
def failures(draw: st.DrawFn) -> Failure:
    """Return a failure in one of the formats, with noise around the line."""
    form = draw(st.sampled_from(FORMATS))
    noise = st.lists(st.sampled_from(form.noise), max_size=4)
    words, after = draw(NONSENSE), draw(noise) if form.goes_on else []
    # The first line of all is said once only: said again, it would be a new start.
    lines = [form.line("info", "Version v1.2.3"), *(form.line(*each) for each in draw(noise))]
    return Failure(
        log="\n".join([*lines, form.error(words), *(form.line(*each) for each in after), ""]),
        line=len(lines) + 1,
        text=form.shown(words),
        words=words,
        state=draw(st.sampled_from(STATES)),
        restarts=draw(st.integers(min_value=0, max_value=40)),
    )
