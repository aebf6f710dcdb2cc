"""The probe's conversation: a line of questions in, a line for each answer out."""

import argparse
import json
import platform
import signal
from collections import deque
from typing import IO, Any, Callable, Deque, Dict, Iterator, List, Optional

from . import commands, elf, files, gpus
from .host import MODES, Host
from .paths import Root
from .workers import Answer, Lost, Note, Work, answers

READ_LIMIT = 1 << 20
"""Bytes of one file, unless a question says otherwise."""

PATTERN_LIMIT = 1 << 16
"""Bytes of one file that a pattern found."""

PATIENCE = 5.0
"""Seconds for one access to the file system."""

GRACE = 5.0
"""Seconds beyond a command's own time within which its answer must be there."""

COMMAND_TIME = 10.0
NVML_TIME = 20.0


class Probe:
    """Answers rounds of questions about one node; ``left`` are the bytes it may still send."""

    def __init__(self, root: Root, host: Host, left: int) -> None:
        self.root = root
        self.host = host
        self.left = left

    def round(self, asked: Dict[str, Any]) -> Iterator[Answer]:
        """Yield the answers to one line of questions; files that patterns find come last."""
        work: Deque[Work] = deque(_work(asked))
        limits = {item["what"]: item["limit"] for item in work if item["kind"] == "glob"}
        for answer in answers(work, self.answer, _patience, _lost):
            limit = limits.get(answer.get("glob"), PATTERN_LIMIT)
            paths: List[str] = answer.get("paths", [])
            work.extend({"kind": "read", "what": path, "limit": limit} for path in paths)
            yield self._within(answer)
        yield {"done": asked.get("round")}

    def answer(self, item: Work, note: Note) -> Answer:
        """Return the answer to one question; nothing is raised."""
        try:
            return self._answer(item, note)
        except Exception as error:
            return _failed(item, f"{type(error).__name__}: {error}")

    def _answer(self, item: Work, note: Note) -> Answer:
        kind, what = item["kind"], item["what"]
        looks: Dict[str, Callable[[], Answer]] = {
            "run": lambda: commands.run(what, item["timeout"], self.host),
            "nvml": lambda: {"nvml": gpus.ask(what, self.host, note)},
            "list": lambda: files.listing(self.root, what),
            "stat": lambda: files.look(self.root, what),
            "glob": lambda: files.matches(self.root, what),
            "elf": lambda: self._elf(what),
            "read": lambda: files.read(self.root, what, item["limit"]),
            "tail": lambda: files.read(self.root, what, item["limit"], tail=True),
        }
        return looks[kind]()

    def _elf(self, path: str) -> Answer:
        answer: Answer = {"elf": path}
        place = files.place_of(self.root, path, answer)
        if place is not None and answer["entry"]["kind"] != "file":
            answer["error"] = "EINVAL: is not a regular file"
        elif place is not None:
            try:
                answer["summary"] = elf.summary(place.here)
            except ValueError as error:  # that no kernel can start it is an answer, too
                answer["summary"] = {"machine": "none", "error": str(error)}
            except OSError as error:
                answer["error"] = str(error)
        return answer

    def _within(self, answer: Answer) -> Answer:
        """Return an answer, without its bytes if the node has sent as many as it may."""
        size = len(answer.get("data", ""))
        if size > self.left:
            del answer["data"]
            answer["error"] = "EFBIG: the node has sent as many bytes as it may"
        self.left -= min(size, self.left)
        return answer


def _work(asked: Dict[str, Any]) -> Iterator[Work]:
    """Yield the pieces of one round, listings first, NVML last."""
    for kind in ("list", "stat", "glob", "read", "tail", "elf", "run"):
        for given in asked.get(kind) or ():
            yield _piece(kind, given)
    if asked.get("nvml") is not None:
        given = asked["nvml"]
        what = list(given.get("libraries") or ())
        yield {"kind": "nvml", "what": what, "timeout": given.get("timeout", NVML_TIME)}


def _piece(kind: str, given: Any) -> Work:
    if kind == "run":
        timeout = given.get("timeout", COMMAND_TIME)
        return {"kind": kind, "what": list(given["argv"]), "timeout": timeout}
    if isinstance(given, dict):
        what = given["pattern" if kind == "glob" else "path"]
        return {"kind": kind, "what": what, "limit": given.get("limit", READ_LIMIT)}
    return {"kind": kind, "what": given, "limit": PATTERN_LIMIT}


def _patience(item: Work) -> float:
    if item["kind"] == "run":
        return float(item["timeout"]) + GRACE
    return float(item["timeout"]) if item["kind"] == "nvml" else PATIENCE


def _lost(item: Work, loss: Lost, note: Optional[Answer]) -> Answer:
    """Return what is known if the child that worked on it was lost."""
    if item["kind"] == "nvml" and loss.late:
        known: Answer = note or {"library": None, "init": {"error": None, "message": ""}}
        return {"nvml": dict(known, hung=True)}
    answer = _failed(item, str(loss))
    if item["kind"] == "run" and loss.late:
        answer.update(exit=commands.TIMED_OUT, timeout=True)
    return answer


def _failed(item: Work, text: str) -> Answer:
    what = None if item["kind"] == "nvml" else item["what"]
    return {item["kind"]: what, "error": text}


def _hello() -> Answer:
    return {"hello": 1, "python": platform.python_version(), "machine": platform.machine()}


def _options(argv: List[str]) -> Any:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", default="/", help="where the node's / is mounted here")
    parser.add_argument("--enter", choices=MODES, default="here", help="how to enter the node")
    parser.add_argument("--pid", type=int, default=1, help="a process in the node's namespaces")
    parser.add_argument("--bytes", type=int, default=20 << 20, help="most bytes of files to send")
    parser.add_argument(
        "--deadline", type=int, default=600, help="seconds after which the probe ends"
    )
    return parser.parse_args(argv)


def main(argv: List[str], questions: IO[bytes], out: IO[bytes]) -> None:
    """Answer rounds of questions until one says ``end``, the stream ends, or time is up."""
    options = _options(argv)
    signal.alarm(options.deadline)
    host = Host(options.enter, options.root, options.pid)
    pid = options.pid if options.enter == "namespaces" else None
    probe = Probe(Root(options.root, pid), host, options.bytes)
    _send(out, _hello())
    for line in iter(questions.readline, b""):
        try:
            asked = json.loads(line.decode("utf-8"))
            if asked.get("end"):
                return
            for answer in probe.round(asked):
                _send(out, answer)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            _send(out, {"error": f"these are not questions: {error!r}"})


def _send(out: IO[bytes], answer: Answer) -> None:
    out.write(json.dumps(answer).encode("ascii") + b"\n")
    out.flush()
