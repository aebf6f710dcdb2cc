"""What ``systemctl status`` says of a unit: its state, how it ended, and its last log lines.

Source: systemd ``src/systemctl/systemctl-show.c`` (``print_status_info``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_gpu.causes import Evidence
from pytest_gpu.evidence import CommandResult
from pytest_gpu.stack.host.journal import SYSTEMD, LogLine, log_line, restart_counter

_AUTO_RESTART = "Active: activating (auto-restart"
"""Newer releases of systemd add ``-queued`` for a moment."""

_ERROR = re.compile(r'[EF]\d{4} |panic: |Error: |time="[^"]{1,40}" level=(?:fatal|panic) ')
"""How a message begins that says why a program ends: klog, Go's panic, cobra, logrus."""

_EXIT = re.compile(r"\((?P<how>code=[^()]{1,200})\)")
_EXITED = re.compile(r"Main process exited, (?P<how>code=.{1,200})")
_TOO_OFTEN = re.compile(r"[Ss]tart request repeated too quickly")
_SECONDS_AGO = re.compile(r"; \d{1,3}m?s ago$")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitStatus:
    """What one ``systemctl status`` shows.

    Attributes:
        state: the line that begins with ``Active:``.
        main: the line of its main process, else of another one that ended.
        log: its last log lines.
    """

    state: Evidence | None
    main: Evidence | None
    log: Sequence[LogLine]

    @property
    def restarts(self) -> bool:
        """Whether the unit has ended by itself and waits for systemd to start it again."""
        return self.state is not None and self.state.text.startswith(_AUTO_RESTART)

    @property
    def starting(self) -> bool:
        """Whether the unit was started, and has not told systemd yet that it is ready."""
        return self.state is not None and self.state.text.startswith("Active: activating (start")

    @property
    def failed(self) -> bool:
        """Whether the unit ended by itself and systemd does not start it again."""
        return self.state is not None and self.state.text.startswith("Active: failed")

    @property
    def gave_up(self) -> bool:
        """Whether the unit ended so often that systemd does not start it any more."""
        limit = self.state is not None and "start-limit" in self.state.text
        return self.failed and (limit or any(_TOO_OFTEN.search(line.message) for line in self.log))

    @property
    def just_started(self) -> bool:
        """Whether the unit runs, and was started less than a minute ago."""
        text = self.state.text if self.state else ""
        return "(running)" in text and _SECONDS_AGO.search(text) is not None

    @property
    def counter(self) -> int:
        """How often systemd has started it again since somebody last started it by hand."""
        return restart_counter(self.log)

    @property
    def exit(self) -> str:
        """How its main process ended, such as ``code=exited, status=1/FAILURE``, or empty."""
        match = _EXIT.search(self.main.text) if self.main else None
        logged = [match["how"] for line in self.log if (match := _EXITED.search(line.message))]
        return match["how"] if match else next(reversed(logged), "")

    @property
    def last_words(self) -> Evidence | None:
        """The last error that its program logged, else its last line; ``None`` without any."""
        own = [line for line in self.log if line.program != SYSTEMD]
        errors = [line for line in own if _ERROR.match(line.message)]
        return next((line.evidence for line in reversed(errors or own)), None)

    @property
    def ended(self) -> Evidence | None:
        """The line that says how its main process ended, ``None`` if it did not end by itself."""
        exits = [line.evidence for line in self.log if _EXITED.search(line.message)]
        main = self.main if self.main and "code=" in self.main.text else None
        return main or next(reversed(exits), None)

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """Its state, how its main process ended, and its last words."""
        return tuple(each for each in (self.state, self.ended, self.last_words) if each)


def unit_status(commands: Sequence[CommandResult], unit: str) -> UnitStatus | None:
    """Return what was last shown of a unit, ``None`` if it was not asked."""
    name = f"{unit.removesuffix('.service')}.service"
    for result in reversed(commands):
        if result.argv[:2] == ("systemctl", "status") and result.argv[-1] == name:
            return _read(" ".join(result.argv), result.stdout)
    return None


def _read(source: str, text: str) -> UnitStatus:
    found: dict[str, Evidence] = {}
    log = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split(maxsplit=2)
        if not words:
            continue
        said = Evidence(source=source, line=number, text=line.strip())
        found.setdefault(" ".join(words[:2]) if words[0] == "Main" else words[0], said)
        if logged := log_line(said):
            log.append(logged)
    main = found.get("Main PID:") or found.get("Process:")
    return UnitStatus(state=found.get("Active:"), main=main, log=log)
