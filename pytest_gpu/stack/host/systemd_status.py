"""What ``systemctl status`` says of a unit: its state, how it ended, and its last log lines.

Source: systemd ``src/systemctl/systemctl-show.c`` (``print_status_info``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_gpu.causes import Evidence
from pytest_gpu.evidence import CommandResult

_LOG_WORDS = 6
"""Month, day, time, host, program with its PID, and the message."""

_AUTO_RESTART = "Active: activating (auto-restart)"

_ERROR = re.compile(r"[EF]\d{4} |panic: |Error: ")
"""How a line begins that says why a program ends: klog's levels, Go's panic, cobra."""

_COUNTER = re.compile(r"restart counter is at (?P<count>\d{1,9})\.")
_EXIT = re.compile(r"\((?P<how>code=[^()]{1,200})\)")
_EXITED = re.compile(r"Main process exited, (?P<how>code=.{1,200})")
_SECONDS_AGO = re.compile(r"; \d{1,3}m?s ago$")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitStatus:
    """The lines of one ``systemctl status``, with what they say.

    Attributes:
        source: the command.
        lines: all lines without the spaces around them.
    """

    source: str
    lines: Sequence[str]

    @property
    def restarts(self) -> bool:
        """Whether the unit has ended by itself and waits for systemd to start it again."""
        return any(
            each.text.startswith("Active: activating (auto-restart)") for each in self._state
        )

    @property
    def just_started(self) -> bool:
        """Whether the unit runs, and was started less than a minute ago."""
        running = (each.text for each in self._state if "(running)" in each.text)
        return any(_SECONDS_AGO.search(text) for text in running)

    @property
    def counter(self) -> int:
        """How often systemd has started it again since somebody last started it by hand."""
        count = 0
        for _, who, text in self._log():
            match = _COUNTER.search(text) if who == "systemd" else None
            count = int(match["count"]) if match else 0 if text.startswith("Stopping ") else count
        return count

    @property
    def exit(self) -> str:
        """How its main process ended, such as ``code=exited, status=1/FAILURE``, or empty."""
        ended = [match["how"] for each in self._main if (match := _EXIT.search(each.text))]
        logged = [match["how"] for _, _, text in self._log() if (match := _EXITED.search(text))]
        return next(iter([*ended, *reversed(logged)]), "")

    @property
    def last_words(self) -> Evidence | None:
        """The last error that its program logged, else its last line; ``None`` without any."""
        own = [(at, text) for at, who, text in self._log() if who != "systemd"]
        errors = [(at, text) for at, text in own if _ERROR.match(text)]
        return next((self._line(at) for at, _ in reversed(errors or own)), None)

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """Its state, how its main process ended, and its last words."""
        words = self.last_words
        exits = [self._line(at) for at, _, text in self._log() if _EXITED.search(text)]
        ended = [each for each in self._main if "code=" in each.text] or exits
        return (*self._state, *ended[-1:], *([words] if words else []))

    @property
    def _state(self) -> tuple[Evidence, ...]:
        return tuple(self._beginning("Active: "))[:1]

    @property
    def _main(self) -> tuple[Evidence, ...]:
        return (*self._beginning("Main PID: "), *self._beginning("Process: "))[:1]

    def _beginning(self, start: str) -> Iterator[Evidence]:
        for at, line in enumerate(self.lines):
            if line.startswith(start):
                yield self._line(at)

    def _line(self, at: int) -> Evidence:
        return Evidence(source=self.source, line=at + 1, text=self.lines[at])

    def _log(self) -> Iterator[tuple[int, str, str]]:
        """Yield position, program and message of every log line."""
        for at, line in enumerate(self.lines):
            words = line.split(maxsplit=_LOG_WORDS - 1)
            if len(words) == _LOG_WORDS and words[4].endswith("]:"):
                yield at, words[4].partition("[")[0], words[5]


def unit_status(commands: Sequence[CommandResult], unit: str) -> UnitStatus | None:
    """Return what was last shown of a unit, ``None`` if it was not asked."""
    name = f"{unit.removesuffix('.service')}.service"
    for result in reversed(commands):
        if result.argv[:2] == ("systemctl", "status") and result.argv[-1] == name:
            lines = [line.strip() for line in result.stdout.splitlines()]
            return UnitStatus(source=" ".join(result.argv), lines=lines)
    return None
