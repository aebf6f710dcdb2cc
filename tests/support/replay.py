"""A recording that answers the survey's questions like the probe on a node would."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any

from pytest_gpu.cluster.recording.recorded_node import RecordedNode
from pytest_gpu.errors import NotInEvidence
from pytest_gpu.evidence import Entry


class Replay:
    """A stream whose other end is a recorded node; ``rounds`` are the questions it got."""

    complaint = ""

    def __init__(self, node: RecordedNode) -> None:
        self.node = node
        self.rounds: list[dict[str, Any]] = []
        self.closed = False
        self._lines: list[bytes] = []

    def send(self, line: bytes) -> None:
        """Take one line of questions."""
        asked = json.loads(line)
        if not asked.get("end"):
            self.rounds.append(asked)
            answers = [*self._answers(asked), {"done": asked["round"]}]
            self._lines += [json.dumps(answer).encode() for answer in answers]

    def lines(self, deadline: float) -> Iterator[bytes]:
        """Yield the answers that are due."""
        while self._lines:
            yield self._lines.pop(0)

    def close(self) -> None:
        """Note that it was closed."""
        self.closed = True

    def _answers(self, asked: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        yield from (self._list(path) for path in asked["list"])
        yield from (self._path("stat", path) for path in asked["stat"])
        matches = [path for each in asked["glob"] for path in self._matches(each["pattern"])]
        read = dict.fromkeys([*(each["path"] for each in asked["read"]), *matches])
        yield from (self._read(path) for path in read)
        yield from (self._read(each["path"]) for each in asked["tail"])
        yield from (self._elf(path) for path in asked["elf"])
        yield from (self._run(each["argv"]) for each in asked["run"])
        if "nvml" in asked and (found := self.node.whole("nvml.json")) is not None:
            yield {"nvml": found}

    def _path(self, kind: str, path: str) -> dict[str, Any]:
        follow = kind != "stat"
        view = self.node.view
        real = view.resolve(path, last=follow) or path
        answer: dict[str, Any] = {kind: path, "real": real, "links": self._links(path, last=follow)}
        try:
            found = self.node.entry(real)
        except NotInEvidence:
            return {kind: path, "error": "EACCES: nobody recorded it", "links": answer["links"]}
        return answer | ({"entry": _raw(found)} if found else {"absent": True})

    def _links(self, path: str, *, last: bool) -> dict[str, str]:
        """Return the links on the way, as the walk of the probe meets them."""
        found: dict[str, str] = {}
        for _ in range(40):
            steps = [*reversed(PurePosixPath(path).parents), PurePosixPath(path)]
            for step in steps if last else steps[:-1]:
                if target := self.node.view.links.get(str(step)):
                    found[str(step)] = target
                    rest = PurePosixPath(path).relative_to(step)
                    joined = PurePosixPath(self.node.view.resolve(str(step)) or "/") / rest
                    path = str(joined)
                    break
            else:
                break
        return found

    def _list(self, path: str) -> dict[str, Any]:
        answer = self._path("list", path)
        try:
            names = self.node.names(path)
        except NotInEvidence:
            return answer | {"error": "EACCES: nobody listed it"}
        if names is not None:
            base = answer["real"]
            entries = {name: self.node.entry(f"{base}/{name}") for name in names}
            answer["entries"] = {name: _raw(found) for name, found in entries.items() if found}
        return answer

    def _read(self, path: str) -> dict[str, Any]:
        answer = self._path("read", path)
        if "entry" in answer:
            try:
                content = self.node.read(path) or b""
            except NotInEvidence:
                return answer | {"error": "EACCES: nobody read it"}
            answer["data"] = base64.b64encode(content).decode()
        return answer

    def _elf(self, path: str) -> dict[str, Any]:
        answer = self._path("elf", path)
        try:
            found = self.node.elf(path)
        except NotInEvidence:
            return answer | {"error": "is not an ELF file"}
        if found:
            answer["summary"] = {
                "machine": found.machine,
                "interpreter": found.interpreter,
                "needed": list(found.needed),
                "versions": {key: list(names) for key, names in found.versions.items()},
                "defines": list(found.defines),
            }
        return answer

    def _run(self, argv: list[str]) -> dict[str, Any]:
        for result in self.node.commands:
            if list(result.argv) == argv:
                said = {"stdout": result.stdout, "stderr": result.stderr}
                return {"run": argv, "exit": result.exit, "duration": result.duration, **said}
        return {"run": argv, "exit": 127, "error": "ENOENT: nobody ran it"}

    def _matches(self, pattern: str) -> list[str]:
        view = self.node.view
        found = [""]
        for part in pattern.strip("/").split("/"):
            found = [
                f"{base}/{name}"
                for base in found
                for name in view.names(view.resolve(base or "/") or "/") or _guess(view, base)
                if fnmatchcase(name, part)
            ]
        return found


def _guess(view: Any, base: str) -> list[str]:
    """Return what is known below a directory that nobody listed whole."""
    real = (view.resolve(base or "/") or "/").rstrip("/")
    known = {*view.files, *view.entries, *view.directories}
    below = [path[len(real) + 1 :] for path in known if path.startswith(f"{real}/")]
    return sorted({path.split("/")[0] for path in below})


def _raw(entry: Entry | None) -> dict[str, Any]:
    assert entry is not None
    keys = ("kind", "mode", "mtime", "size", "target")
    found = {key: getattr(entry, key) for key in keys if getattr(entry, key) is not None}
    return found | ({"device": list(entry.device)} if entry.device else {})
