"""What a hostile node does: it talks, it changes its answers, it hangs up, its crictl prints."""

from __future__ import annotations

import itertools
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.hostile.stub_node import END, OUT, RAW, Answers, Honest, Said, as_line

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


def half(asked: Mapping[str, Any], honest: Honest) -> Said:
    """Say half of the truth, and hang up in the middle of an answer."""
    said = [*honest.reply(asked)]
    yield from said[: len(said) // 2]
    channel, line = said[len(said) // 2]
    yield channel, line[: len(line) // 2]
    yield END, b""


def twice(asked: Mapping[str, Any], honest: Honest) -> Said:
    """Say every answer twice."""
    said = [*honest.reply(asked)]
    yield from said[:-1]
    yield from said


def never_done(asked: Mapping[str, Any], honest: Honest) -> Said:
    """Say the truth, but never that it was all."""
    for answer in honest.answers(asked):
        yield OUT, as_line({"done": HUGE} if "done" in answer else answer)
    time.sleep(20)


def frame(first: int, data: bytes, length: int | None = None) -> bytes:
    """Return a message of a websocket; its length may be another one than it says."""
    return bytes([first, 127]) + struct.pack(">Q", len(data) if length is None else length) + data


def fragments(*_: object) -> Said:
    """Send a message whose last part never comes."""
    yield RAW, frame(0x02, b"\x01" + JUNK)
    while True:
        yield RAW, frame(0x00, JUNK)


def giant(*_: object) -> Said:
    """Send a message of 4 EiB."""
    yield RAW, frame(0x82, b"\x01", 1 << 62)
    while True:
        yield RAW, JUNK


def slow_frame(*_: object) -> Said:
    """Send a message byte by byte."""
    yield RAW, frame(0x82, b"\x01", 1 << 20)
    while True:
        yield RAW, b"x"
        time.sleep(0.2)


def of_kind(kind: str, change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    """Return a change of the answers of one kind."""
    return lambda answer: change(answer) if kind in answer else answer


def changed_part(kind: str, **parts: Any) -> Callable[[dict[str, Any]], Any]:
    """Return a change of parts of the answers of one kind."""
    return of_kind(kind, lambda answer: answer | parts)


def in_entries(key: str, value: Any) -> Callable[[dict[str, Any]], Any]:
    """Return a change of one value in all metadata."""

    def change(answer: dict[str, Any]) -> dict[str, Any]:
        if isinstance(answer.get("entry"), dict):
            answer["entry"] = answer["entry"] | {key: value}
        entries = answer.get("entries")
        if isinstance(entries, dict):
            answer["entries"] = {name: entry | {key: value} for name, entry in entries.items()}
        return answer

    return change


def nvml(change: Callable[[Any], Any]) -> Callable[[], Honest]:
    """Return a node whose NVML answers are changed."""
    return lambda: Changes(
        of_kind("nvml", lambda answer: answer | {"nvml": change(answer["nvml"])})
    )


def deep(levels: int) -> Any:
    """Return a map in a map in a map."""
    found: Any = {}
    for _ in range(levels):
        found = {"a": found}
    return found


def many_paths(asked: Mapping[str, Any], honest: Honest) -> Said:
    """List directories without end."""
    for number in itertools.count():
        names = {f"{number}-{at}": {"kind": "file"} for at in range(10_000)}
        yield OUT, as_line({"list": f"/{number}", "entries": names})


def many_files(asked: Mapping[str, Any], honest: Honest) -> Said:
    """Send files without end."""
    data = "eHh4" * (1 << 19)
    for number in itertools.count():
        yield OUT, as_line({"read": f"/{number}", "entry": {"kind": "file"}, "data": data})


def many_outputs(asked: Mapping[str, Any], honest: Honest) -> Said:
    """Send outputs of commands without end."""
    for number in itertools.count():
        yield OUT, as_line({"run": ["a", str(number)], "exit": 0, "stdout": "\x1b" * (1 << 20)})


def wide(*_: object) -> Said:
    """Send a line in which every character takes four bytes of memory."""
    yield OUT, '{"error": "\U0001f600'.encode() + b"x" * (31 << 20) + b'"}\n'
    yield END, b""
