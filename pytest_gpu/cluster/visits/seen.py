"""A node's evidence while it is visited: the probe's answers, one after the other."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pytest_gpu.cluster.recording.copying import write_paths
from pytest_gpu.cluster.recording.listing import Listing
from pytest_gpu.cluster.recording.recorded_node import RecordedNode
from pytest_gpu.cluster.recording.recorder import NodeRecorder
from pytest_gpu.cluster.recording.view import UNKNOWN, Recorded, View
from pytest_gpu.cluster.visits import budget, sent
from pytest_gpu.errors import GpuError, NotInEvidence
from pytest_gpu.evidence import CommandResult, Door, ElfSummary, Entry

Answer = Mapping[str, Any]

MAX_NOTES = 100
MAX_NOTE = 500
MAX_REASON = 4000
"""Notes that are kept, characters of each, and of all of them with the door."""

MAX_ENTRIES = 30_000
"""Paths of one visit; the probe lists 20,000 of a directory."""


class SeenNode(RecordedNode):
    """The look-ups of a recorded node, over answers that are kept in memory.

    ``notes`` say what could not be read, one line each, in the order of the answers.
    """

    def __init__(self, name: str, door: Door) -> None:
        super().__init__(name, (), _no_other)
        self.door = door
        self.view = View()
        self.commands: tuple[CommandResult, ...] = ()
        self.notes: list[str] = []
        self._contents: dict[str, bytes] = {}
        self._answers: Mapping[str, Any] | None = None
        self._round = _Round()
        self._settled = 0
        self._budget = budget.Budget()

    def take(self, answer: Answer) -> None:
        """Take in one answer; look-ups show it after :meth:`settle`.

        A compromised node may send anything: invalid answers are noted.

        Raises:
            GpuError: the answers name more paths than any visit needs.
        """
        try:
            self._take(answer)
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
            self.note(f"an answer is invalid: {error!r}")
        if self._settled + len(self._round.entries) > MAX_ENTRIES:
            raise GpuError(f"cut off after {MAX_ENTRIES} paths, more than any visit needs")

    def note(self, text: str) -> None:
        """Note what could not be read."""
        if len(self.notes) < MAX_NOTES:
            self.notes.append(text[:MAX_NOTE])

    def _take(self, answer: Answer) -> None:
        take = next((self._takers()[kind] for kind in answer if kind in self._takers()), None)
        if take is None:
            if "error" in answer:
                self.note(str(answer["error"]))
            return
        for link, target in (answer.get("links") or {}).items():
            raw = {"kind": "symlink", "target": target}
            self._add_entry(sent.entry_of(link, raw))
        if answer.get("error") and "run" not in answer:
            what = next(iter(answer.values()))
            self.note(f"{what or 'NVML'}: {answer['error']}")
        take(answer)

    def settle(self) -> None:
        """Add the answers so far to what is known."""
        done, self._round = self._round, _Round()
        self.commands += tuple(done.commands)
        self._settled += len(done.entries)
        listing = Listing(entries=tuple(done.entries), complete=tuple(done.complete))
        files = {path: path for path in done.contents}
        self.view.overlay(Recorded(listing=listing, files=files, elves=done.elves))
        for path, content in done.contents.items():
            self._contents[self.view.resolve(path) or path] = content
        for path in done.absent:
            real = self.view.resolve(path, last=False) or path
            if self.view.kind(real) == UNKNOWN:
                self.view.absent.add(real)

    def read(self, path: str) -> bytes | None:
        """Return a regular file's bytes, ``None`` if it is proven that there is none.

        Raises:
            NotInEvidence: it was not collected, or was too long to be sent.
        """
        real = self.view.resolve(path)
        if real is None:
            return None
        if real in self._contents:
            return self._contents[real]
        if self.view.kind(real) in (UNKNOWN, "file"):
            raise NotInEvidence(self.name, f"file {path}")
        return None

    def whole(self, name: str) -> Mapping[str, Any] | None:
        """Return NVML's answers; nothing else is complete while a visit goes on."""
        return self._answers if name == "nvml.json" else None

    def save(self, writer: NodeRecorder) -> None:
        """Write everything known, redacted, with notes as the door's reason; close the writer."""
        said = "; ".join(self.notes)[:MAX_REASON]
        writer.add_door(replace(self.door, reason=self.door.reason or said))
        write_paths(self, writer)
        for result in self.commands:
            writer.add_command(result)
        if self._answers is not None:
            writer.add_nvml(self._answers)
        writer.close()

    def _takers(self) -> Mapping[str, Callable[[Answer], object]]:
        return {
            "read": self._take_file,
            "tail": self._take_file,
            "list": self._take_list,
            "stat": self._take_entry,
            "elf": self._take_elf,
            "run": self._take_command,
            "nvml": self._take_nvml,
            "glob": self._take_matches,
        }

    def _take_matches(self, answer: Answer) -> None:
        if answer.get("truncated"):
            self.note(f"{answer['glob']}: too many paths match, and not all were read")

    def _take_entry(self, answer: Answer) -> str:
        """Take what the answer says about the path itself; return the path without links."""
        path = next(str(answer[k]) for k in ("read", "tail", "list", "stat", "elf") if k in answer)
        real = str(answer.get("real") or path)
        if answer.get("absent"):
            self._budget.spend(budget.NAMES, len(real))
            self._round.absent.append(real)
        else:
            self._add_entry(sent.entry_of(real, answer.get("entry")))
        return real

    def _add_entry(self, found: Entry | None) -> None:
        if found is not None:
            self._budget.spend(budget.NAMES, len(found.path) + len(found.target or ""))
            self._round.entries.append(found)

    def _take_file(self, answer: Answer) -> None:
        path = self._take_entry(answer)
        if "data" not in answer:
            return
        try:
            content = base64.b64decode(answer["data"], validate=True)
        except (binascii.Error, TypeError, ValueError):
            self.note(f"{path}: the answer is not base64")
            return
        if len(content) > budget.MAX_FILE or (answer.get("truncated") and "read" in answer):
            size = min(len(content), budget.MAX_FILE)
            self.note(f"{path}: is longer than {size} bytes, and was left out")
        else:
            self._budget.spend(budget.FILES, len(content))
            self._round.contents[path] = content

    def _take_list(self, answer: Answer) -> None:
        folder = self._take_entry(answer)
        entries = answer.get("entries")
        if not isinstance(entries, dict):
            return
        base, whole = folder.rstrip("/"), True
        for name, raw in entries.items():
            found = sent.entry_of(f"{base}/{name}", raw)
            whole = whole and (found is not None or not sent.is_plain(f"{base}/{name}"))
            self._add_entry(found)
        if not whole:
            self.note(f"{folder}: its listing is invalid")
        elif answer.get("truncated"):
            self.note(f"{folder}: has more than {len(entries)} names, and the others were left out")
        else:
            self._round.complete.append(folder)

    def _take_elf(self, answer: Answer) -> None:
        self._take_entry(answer)
        summary = answer.get("summary")
        if isinstance(summary, dict):
            self._budget.spend(budget.ELF, len(json.dumps(summary)))
            self._round.elves.append(sent.elf_of(str(answer["elf"]), summary))

    def _take_command(self, answer: Answer) -> None:
        argv = sent.texts_of(answer["run"])
        code = answer.get("exit")
        if answer.get("error") or not sent.is_whole(code) or code in sent.NOT_STARTED:
            self.note(f"{' '.join(argv)}: {answer.get('error') or f'exit code {code}'}")
            return
        stdout, stderr = (
            sent.text_of(answer.get("stdout", "")),
            sent.text_of(answer.get("stderr", "")),
        )
        if len(stdout) + len(stderr) > budget.MAX_OUTPUT:
            self.note(
                f"{' '.join(argv)}: cut off after {budget.MAX_OUTPUT >> 20} MiB, and was left out"
            )
            return
        self._budget.spend(budget.OUTPUT, len(stdout) + len(stderr) + sum(map(len, argv)))
        if answer.get("timeout"):
            stderr = f"{stderr}\ndid not end in time and was killed".lstrip()
        result = CommandResult(
            argv=argv,
            exit=code,
            stdout=stdout,
            stderr=stderr,
            duration=sent.seconds_of(answer.get("duration") or 0.0),
        )
        self._round.commands.append(result)

    def _take_nvml(self, answer: Answer) -> None:
        if not isinstance(answer["nvml"], dict):
            return
        if trouble := budget.nvml_trouble(answer["nvml"]):
            self.note(trouble)
        else:
            self._answers = answer["nvml"]


class _Round:
    """What the answers of one round say."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.complete: list[str] = []
        self.absent: list[str] = []
        self.contents: dict[str, bytes] = {}
        self.elves: list[ElfSummary] = []
        self.commands: list[CommandResult] = []


def _no_other(name: str) -> RecordedNode:
    raise NotInEvidence(name, "anything")
