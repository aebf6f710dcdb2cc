"""Nodes that are hostile in one thing each, by name: what they say to the pod and to the ssh door."""

from __future__ import annotations

import itertools
import json
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from tests.hostile.stub_node import END, ERR, OUT, RAW, Answers, Honest, Said, as_line
from tests.support.hostile_text import HOSTILE

HUGE = 10**400

HANGING = frozenset(
    {
        *("drip", "drip of lines", "drip of errors", "silence", "never done", "no hello"),
        *("a message that drips", "endless pings", "endless empty messages"),
    }
)
"""Those that only a deadline ends."""
JUNK = b"x" * (1 << 16)


class Talks(Honest):
    """Says something of its own to every line of questions."""

    def __init__(self, say: Callable[[Mapping[str, Any], Honest], Said]) -> None:
        super().__init__()
        self._say = say

    def reply(self, asked: Mapping[str, Any]) -> Said:
        """Say it."""
        return self._say(asked, Honest())


class Changes(Honest):
    """Changes its true answers before it sends them; what is no answer any more is sent, too."""

    def __init__(self, change: Callable[[dict[str, Any]], Any]) -> None:
        super().__init__()
        self._change = change

    def answers(self, asked: Mapping[str, Any]) -> Answers:
        """Return the answers to a survey changed, those to a shell true."""
        found = super().answers(asked)
        if asked.keys() == {"round", "run"}:
            return found
        return [each if "done" in each else self._change(dict(each)) for each in found]


class Greets(Honest):
    """Says hello in a way of its own."""

    def __init__(self, hello: Callable[[], Said]) -> None:
        super().__init__()
        self._hello = hello

    def hello(self) -> Said:
        """Say hello, or not."""
        return self._hello()


class Ends(Honest):
    """Hangs up after the first questions, with a status of its own."""

    def __init__(self, status: bytes) -> None:
        super().__init__()
        self._status = status

    def reply(self, asked: Mapping[str, Any]) -> Said:
        """Hang up."""
        yield END, b""

    def status(self) -> bytes:
        """Return that status."""
        return self._status


class Prints(Honest):
    """Its crictl prints something of its own where a word is in its arguments."""

    def __init__(self, word: str, how: Mapping[str, Any]) -> None:
        super().__init__()
        self._word = word
        self._how = how

    def command(self, argv: Sequence[str]) -> Mapping[str, Any]:
        """Return how a command of a sandbox ends."""
        true = super().command(argv)
        return {**true, **self._how} if self._word in argv else true


def says(*parts: tuple[int, bytes], wait: float = 0.0) -> Callable[..., Said]:
    """Return what says these parts once, and waits."""

    def say(*_: object) -> Said:
        yield from parts
        time.sleep(wait)

    return say


def forever(channel: int, part: bytes, wait: float = 0.0) -> Callable[..., Said]:
    """Return what says a part again and again."""

    def say(*_: object) -> Said:
        while True:
            yield channel, part
            time.sleep(wait)

    return say


def before(*parts: tuple[int, bytes]) -> Callable[..., Said]:
    """Return what says these parts, then the truth."""

    def say(asked: Mapping[str, Any], honest: Honest) -> Said:
        yield from parts
        yield from honest.reply(asked)

    return say


def _half(asked: Mapping[str, Any], honest: Honest) -> Said:
    said = [*honest.reply(asked)]
    yield from said[: len(said) // 2]
    channel, line = said[len(said) // 2]
    yield channel, line[: len(line) // 2]
    yield END, b""


def _twice(asked: Mapping[str, Any], honest: Honest) -> Said:
    said = [*honest.reply(asked)]
    yield from said[:-1]
    yield from said


def _never_done(asked: Mapping[str, Any], honest: Honest) -> Said:
    for answer in honest.answers(asked):
        yield OUT, as_line({"done": HUGE} if "done" in answer else answer)
    time.sleep(20)


def _frame(first: int, data: bytes, length: int | None = None) -> bytes:
    return bytes([first, 127]) + struct.pack(">Q", len(data) if length is None else length) + data


def _fragments(*_: object) -> Said:
    yield RAW, _frame(0x02, b"\x01" + JUNK)
    while True:
        yield RAW, _frame(0x00, JUNK)


def _giant(*_: object) -> Said:
    yield RAW, _frame(0x82, b"\x01", 1 << 62)
    while True:
        yield RAW, JUNK


def _slow_frame(*_: object) -> Said:
    yield RAW, _frame(0x82, b"\x01", 1 << 20)
    while True:
        yield RAW, b"x"
        time.sleep(0.2)


def _of(kind: str, change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    return lambda answer: change(answer) if kind in answer else answer


def _with(kind: str, **parts: Any) -> Callable[[dict[str, Any]], Any]:
    return _of(kind, lambda answer: answer | parts)


def _in_entries(key: str, value: Any) -> Callable[[dict[str, Any]], Any]:
    def change(answer: dict[str, Any]) -> dict[str, Any]:
        if isinstance(answer.get("entry"), dict):
            answer["entry"] = answer["entry"] | {key: value}
        entries = answer.get("entries")
        if isinstance(entries, dict):
            answer["entries"] = {name: entry | {key: value} for name, entry in entries.items()}
        return answer

    return change


def _nvml(change: Callable[[Any], Any]) -> Callable[[], Honest]:
    return lambda: Changes(_of("nvml", lambda answer: answer | {"nvml": change(answer["nvml"])}))


def _deep(levels: int) -> Any:
    found: Any = {}
    for _ in range(levels):
        found = {"a": found}
    return found


def _many_paths(asked: Mapping[str, Any], honest: Honest) -> Said:
    for number in itertools.count():
        names = {f"{number}-{at}": {"kind": "file"} for at in range(10_000)}
        yield OUT, as_line({"list": f"/{number}", "entries": names})


def _many_files(asked: Mapping[str, Any], honest: Honest) -> Said:
    data = "eHh4" * (1 << 19)
    for number in itertools.count():
        yield OUT, as_line({"read": f"/{number}", "entry": {"kind": "file"}, "data": data})


def _many_outputs(asked: Mapping[str, Any], honest: Honest) -> Said:
    for number in itertools.count():
        yield OUT, as_line({"run": ["a", str(number)], "exit": 0, "stdout": "\x1b" * (1 << 20)})


TALKS: Mapping[str, Callable[..., Said]] = {
    "garbage before the answers": before((OUT, b"\x1b[31m\x9b2J\r\n\xff\xfe\n{}\n[]\nnull\n7\n")),
    "errors before the answers": before((ERR, HOSTILE.encode(errors="replace"))),
    "every answer twice": _twice,
    "half an answer": _half,
    "endless line": forever(OUT, JUNK),
    "endless line of brackets": forever(OUT, b"[" * (1 << 16)),
    "endless lines": forever(OUT, b"x" * 1000 + b"\n"),
    "endless empty lines": forever(OUT, b"\n" * (1 << 16)),
    "endless objects": forever(OUT, b'{"error": "no"}\n' * 1000),
    "endless errors": forever(ERR, JUNK),
    "endless errors in lines": forever(ERR, b"no\n" * 10_000),
    "endless paths": _many_paths,
    "endless files": _many_files,
    "endless outputs": _many_outputs,
    "drip": forever(OUT, b" ", 0.2),
    "drip of lines": forever(OUT, b"{}\n", 0.2),
    "drip of errors": forever(ERR, b"x", 0.2),
    "silence": says(wait=20),
    "never done": _never_done,
    "a line of 3,000,000 brackets": says((OUT, b"[" + b"{}," * 2_900_000 + b"{}]\n")),
    "many brackets": says(
        (OUT, b"[" * 3_000_000 + b"\n"), (OUT, b"[" * 500_000 + b"\n"), (END, b"")
    ),
    "a deep line": says((OUT, b'{"run":' * 100_000 + b"\n"), (END, b"")),
    "a number of 5000 digits": says((OUT, b'{"run": ' + b"1" * 5000 + b"}\n"), (END, b"")),
    "a wide line": says(
        (OUT, '{"error": "\U0001f600'.encode() + b"x" * (31 << 20) + b'"}\n'), (END, b"")
    ),
    "no object": says((OUT, b'[]\n7\n"x"\nnull\n'), (END, b"")),
    "an error with escapes": says((OUT, as_line({"error": HOSTILE})), (END, b"")),
    "errors with escapes at the end": says((ERR, HOSTILE.encode(errors="replace")), (END, b"")),
}

FRAMES: Mapping[str, Callable[..., Said]] = {
    "a message in endless fragments": _fragments,
    "a message of 4 EiB": _giant,
    "a message that drips": _slow_frame,
    "a message of text that is no UTF-8": says((RAW, _frame(0x81, b"\x01\xff\xfe")), (END, b"")),
    "an unknown kind of message": says((RAW, _frame(0x83, b"\x01x")), (END, b"")),
    "a control message that is too long": says((RAW, _frame(0x89, JUNK)), (END, b"")),
    "endless pings": forever(RAW, b"\x89\x00" * 1000),
    "endless empty messages": forever(RAW, _frame(0x82, b"") * 1000),
    "endless messages on an unknown channel": forever(200, JUNK),
    "no messages at all": says((RAW, b"HTTP/1.1 500 No\r\n\r\n" * 100), (END, b"")),
}

HELLOS: Mapping[str, Callable[[], Said]] = {
    "no hello": says(wait=20),
    "endless greeting": forever(OUT, b"Welcome! \x1b[31m" * 1000 + b"\n"),
    "endless greeting without an end": forever(OUT, JUNK),
    "endless errors for a greeting": forever(ERR, JUNK),
    "hello that is no object": says((OUT, b'["hello"]\n'), (END, b"")),
    "a greeting with escapes": says((ERR, HOSTILE.encode(errors="replace")), (END, b"")),
}

STATUSES: Mapping[str, bytes] = {
    "no JSON": b"nonsense \x1b[31m",
    "a list": b"[]",
    "a number": b"7",
    "null": b"null",
    "empty": b"",
    "deep": b"[" * 100_000,
    "a failure without details": b'{"status": "Failure"}',
    "a message that is a list": b'{"status": "Failure", "message": ["a"], "details": 7}',
    "a message with escapes": json.dumps({"status": "Failure", "message": HOSTILE}).encode(),
    "an exit code of 400 digits": json.dumps(
        {"details": {"causes": [{"reason": "ExitCode", "message": str(HUGE)}]}}
    ).encode(),
}

CHANGES: Mapping[str, Callable[[dict[str, Any]], Any]] = {
    "times of 400 digits": _in_entries("mtime", HUGE),
    "times that are no number": _in_entries("mtime", "nan"),
    "sizes of 400 digits": _in_entries("size", HUGE),
    "modes that are lists": _in_entries("mode", [7]),
    "kinds that do not exist": _in_entries("kind", "hole"),
    "answers that are null": lambda answer: None,
    "answers that are lists": lambda answer: [answer],
    "answers that are numbers": lambda answer: HUGE,
    "files that are no base64": _with("read", data="no base64!"),
    "files that are numbers": _with("read", data=7),
    "files of 3 MiB": _with("read", data="eHh4" * (1 << 20)),
    "files that were cut": _with("read", truncated=True),
    "files with escapes in their errors": _with("read", data=None, error=HOSTILE),
    "links that are a list": _with("read", links=["a"]),
    "links to numbers": _with("read", links={"/a": 7, "b": "..", "/c\0": "/"}),
    "paths that are lists": _of("read", lambda answer: answer | {"read": ["/a"], "real": None}),
    "listings that are lists": _with("list", entries=["a"]),
    "listings of null": _with("list", entries={"a": None}),
    "listings with names that lead out": _with("list", entries={"../../x": {"kind": "file"}}),
    "commands that are texts": _of("run", lambda answer: answer | {"run": "crictl info"}),
    "commands that are numbers": _of("run", lambda answer: answer | {"run": 7}),
    "exit codes that are texts": _with("run", exit="0"),
    "exit codes of 400 digits": _with("run", exit=HUGE),
    "exit codes that are true": _with("run", exit=True),
    "output of 5 MiB": _with("run", stdout="x" * (5 << 20)),
    "output that is a list": _with("run", stdout=["a"]),
    "durations of 400 digits": _with("run", duration=HUGE),
    "ELF files that are lists": _with("elf", summary=[]),
    "ELF versions that are numbers": _with("elf", summary={"versions": 3}),
    "ELF files that need numbers": _with("elf", summary={"needed": 3, "machine": None}),
}

NVML: Mapping[str, Callable[[Any], Any]] = {
    "a list": lambda found: [found],
    "a number": lambda found: HUGE,
    "empty": lambda found: {},
    "deep": lambda found: found | {"devices": _deep(500)},
    "devices that are a text": lambda found: found | {"devices": "GPU"},
    "devices that are null": lambda found: found | {"devices": [None]},
    "devices that are numbers": lambda found: found | {"devices": [HUGE]},
    "an init that is a list": lambda found: found | {"init": []},
    "an error that is a text": lambda found: found | {"init": {"error": "none"}},
    "a driver version that is a list": lambda found: found | {"driver_version": [5]},
    "a library that is a number": lambda found: found | {"library": 7},
    "everything twice as large": lambda found: found | {"more": "x" * (2 << 20)},
}


def hostile_nodes() -> Mapping[str, Callable[[], Honest]]:
    """Return all hostile nodes by name."""
    return {
        **{name: partial(Talks, say) for name, say in (TALKS | FRAMES).items()},
        **{name: partial(Greets, hello) for name, hello in HELLOS.items()},
        **{f"status: {name}": partial(Ends, status) for name, status in STATUSES.items()},
        **{name: partial(Changes, change) for name, change in CHANGES.items()},
        **{f"NVML: {name}": _nvml(change) for name, change in NVML.items()},
    }
