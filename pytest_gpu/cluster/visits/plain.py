"""A node without Python: plain commands answer the probe's questions, as far as they can.

``find``, ``head`` and ``stat`` do what the probe would; ELF files and NVML stay unknown.
"""

from __future__ import annotations

import base64
import json
import posixpath
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from pytest_gpu.cluster.visits.bounded import Output
from pytest_gpu.cluster.visits.visit import StreamLate

Answer = dict[str, Any]

LOOK_TIME = 10.0
"""Seconds for one command that reads the file system."""

BATCH = 100
"""Files that one command reads."""

READ_MANY = """\
limit=$1
shift
for file; do
    if [ -f "$file" ] && [ -r "$file" ]; then
        printf 'yes %s\\n' "$file"
        head -c "$limit" -- "$file" | base64
    else
        printf 'no %s\\n' "$file"
    fi
    echo
done"""
"""Reads the files that are its arguments; nothing is inserted into the script."""

MISSING, LATE = 127, 124
"""Exit codes of timeout(1): there is no such command; it did not end in time."""

_WITHOUT_PYTHON = "ENOSYS: the node has no Python to read it with"
_FORMAT = "%p\\0%y\\0%m\\0%T@\\0%s\\0%l\\0"
_FIELDS = 6
_KINDS = {
    "f": "file",
    "d": "directory",
    "l": "symlink",
    "c": "char",
    "b": "block",
    "s": "socket",
    "p": "fifo",
}
_DEVICES = ("char", "block")
_TWO_NUMBERS = re.compile(r"[0-9a-f]{1,8} [0-9a-f]{1,8}")
_GONE = ("No such file or directory", "Not a directory", "No such process")


Run = Callable[[Sequence[str], float], Output]


class PlainStream:
    """Takes the place of a probe: takes its questions, gives its answers.

    Args:
        run: runs an argument list on the node within a number of seconds.
        close: ends what was started for that.
    """

    complaint = ""

    def __init__(self, run: Run, close: Callable[[], object]) -> None:
        self._run = run
        self._close = close
        self._answers: Iterator[Answer] = iter([{"hello": 1, "python": None}])

    def send(self, line: bytes) -> None:
        """Take one line of questions."""
        asked = json.loads(line)
        self._answers = iter(()) if asked.get("end") else self._round(asked)

    def lines(self, deadline: float) -> Iterator[bytes]:
        """Yield answers; each is worked out when it is needed.

        Raises:
            StreamLate: the deadline passed.
        """
        for answer in self._answers:
            if time.monotonic() > deadline:
                raise StreamLate("the node's commands took too long")
            yield json.dumps(answer).encode()

    def close(self) -> None:
        """Forget the questions, and end what was started for them."""
        self._answers = iter(())
        self._close()

    def _round(self, asked: Mapping[str, Any]) -> Iterator[Answer]:
        yield from (self._list(path) for path in asked.get("list") or ())
        if paths := list(asked.get("stat") or ()):
            yield from self._stat(paths)
        for each in asked.get("glob") or ():
            found = self._matches(each["pattern"])
            yield {"glob": each["pattern"], "paths": found, "truncated": False}
            for start in range(0, len(found), BATCH):
                yield from self._read_many(found[start : start + BATCH], each["limit"])
        for kind in ("read", "tail"):
            files = asked.get(kind) or ()
            yield from (self._read(kind, each["path"], each["limit"]) for each in files)
        yield from ({"elf": path, "error": _WITHOUT_PYTHON} for path in asked.get("elf") or ())
        yield from (self._command(**each) for each in asked.get("run") or ())
        if asked.get("nvml") is not None:
            yield {"nvml": None, "error": _WITHOUT_PYTHON}
        yield {"done": asked["round"]}

    def _list(self, path: str) -> Answer:
        # The dot makes find follow a link, and shows that it was find who answered.
        argv = ["find", f"{path.rstrip('/')}/.", "-maxdepth", "1"]
        done = self._run([*argv, "-printf", _FORMAT], LOOK_TIME)
        entries = self._entries(done.stdout)
        named = {posixpath.basename(each): entry for each, entry in entries.items()}
        itself = named.pop(".", None)
        if done.code != 0 and not named:
            return {"list": path, **_trouble(done)}
        if itself is None:
            return {"list": path, "error": done.said or "no answer"}
        return {"list": path, "entries": named, "truncated": done.code != 0 and not named}

    def _stat(self, paths: list[str]) -> Iterator[Answer]:
        done = self._run(["find", *paths, "-maxdepth", "0", "-printf", _FORMAT], LOOK_TIME)
        entries = self._entries(done.stdout)
        errors = done.stderr.decode(errors="replace").splitlines()
        for path in paths:
            about = [line for line in errors if f"'{path}'" in line]
            if entries.get(path):
                yield {"stat": path, "entry": entries[path]}
            elif any(gone in line for line in about for gone in _GONE):
                yield {"stat": path, "absent": True}
            else:
                yield {"stat": path, "error": " ".join(about) or done.said or "no answer"}

    def _entries(self, printed: bytes) -> dict[str, Answer | None]:
        """Return metadata by path, ``None`` where what was printed makes no sense."""
        fields = printed.decode(errors="surrogateescape").split("\0")[:-1]
        rows = zip(*[iter(fields)] * _FIELDS, strict=False)
        found = {row[0]: _entry(row) for row in rows if row[1] in _KINDS}
        if len(fields) % _FIELDS:
            found["/"] = None  # half a row: what it was about is not known
        devices = [path for path, each in found.items() if each and each["kind"] in _DEVICES]
        for path, numbers in self._device_numbers(devices):
            found[path] = {**(found[path] or {}), "device": numbers}
        return found

    def _device_numbers(self, paths: list[str]) -> Iterator[tuple[str, list[int]]]:
        if not paths:
            return
        done = self._run(["stat", "-c", "%t %T", "--", *paths], LOOK_TIME)
        lines = done.stdout.decode(errors="replace").splitlines()
        if len(lines) == len(paths):
            for path, line in zip(paths, lines, strict=True):
                if _TWO_NUMBERS.fullmatch(line):
                    yield path, [int(number, 16) for number in line.split()]

    def _read(self, kind: str, path: str, limit: int) -> Answer:
        argv = ["tail", "-c", str(limit)] if kind == "tail" else ["head", "-c", str(limit + 1)]
        done = self._run([*argv, "--", path], LOOK_TIME)
        if done.code != 0:
            return {kind: path, **_trouble(done)}
        data = base64.b64encode(done.stdout[:limit]).decode()
        truncated = kind == "read" and len(done.stdout) > limit
        return {kind: path, "data": data, "truncated": truncated}

    def _read_many(self, paths: list[str], limit: int) -> Iterator[Answer]:
        argv = ["sh", "-c", READ_MANY, "sh", str(limit), *paths]
        parts = self._run(argv, LOOK_TIME * 2).stdout.split(b"\n\n")
        for path, part in zip(paths, parts, strict=False):
            head, _, data = part.partition(b"\n")
            if head == f"yes {path}".encode(errors="surrogateescape"):
                yield {"read": path, "data": b"".join(data.split()).decode(), "truncated": False}
            else:
                yield {"read": path, "error": "cannot be read"}

    def _command(self, argv: list[str], timeout: float) -> Answer:
        began = time.monotonic()
        done = self._run(argv, timeout)
        answer: Answer = {
            "run": argv,
            "exit": done.code,
            "stdout": done.stdout.decode(errors="replace"),
            "stderr": done.stderr.decode(errors="replace"),
            "duration": round(time.monotonic() - began, 3),
        }
        if done.code == MISSING:
            answer["error"] = done.said or "there is no such command"
        return answer | ({"timeout": True} if done.code == LATE else {})

    def _matches(self, pattern: str) -> list[str]:
        found = [""]
        for part in pattern.strip("/").split("/"):
            found = [path for base in found for path in self._below(base, part)]
        return found

    def _below(self, base: str, part: str) -> list[str]:
        if not any(sign in part for sign in "*?["):
            return [f"{base}/{part}"]  # reading it shows whether it exists
        names: Mapping[str, Any] = self._list(base or "/").get("entries") or {}
        return sorted(f"{base}/{name}" for name in names if fnmatchcase(name, part))


def _entry(row: tuple[str, ...]) -> Answer | None:
    _, kind, mode, mtime, size, target = row
    try:
        found: Answer = {
            "kind": _KINDS[kind],
            "mode": int(mode, 8),
            "mtime": float(mtime),
            "size": int(size),
        }
    except ValueError:
        return None
    return found | ({"target": target} if kind == "l" else {})


def _trouble(done: Output) -> Answer:
    if any(gone in done.said for gone in _GONE):
        return {"absent": True}
    return {"error": done.said or f"exit code {done.code}"}
