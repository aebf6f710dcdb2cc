"""Progress messages for slow waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

PATIENCE = 2.0
"""Seconds before the first message, and between two messages."""

SHOWN = 3
"""Names that a message shows for each state."""


class Progress:
    """Writes progress messages: nothing at first, then a line whenever something has changed.

    Args:
        write: writes one line.
        what: how each line begins, such as ``visiting 4 nodes``.
    """

    def __init__(self, write: Callable[[str], None], what: str) -> None:
        self._write = write
        self._what = what
        self._last = time.monotonic()
        self._text = ""
        self.spoke = False

    def now(self, text: str) -> None:
        """Write the progress, if it is time for a line."""
        if text != self._text and time.monotonic() - self._last >= PATIENCE:
            self._say(text)

    def end(self, text: str) -> None:
        """Write how it ended, if anything was written before."""
        if self.spoke and text != self._text:
            self._say(text)

    def _say(self, text: str) -> None:
        self._last, self._text, self.spoke = time.monotonic(), text, True
        self._write(f"gpu: {self._what}: {text}")


def summed_up(states: Mapping[str, str], done: str = "done") -> str:
    """Return the states of many nodes in one line: how many are done, and the state of others."""
    groups: dict[str, list[str]] = {}
    for name, state in states.items():
        groups.setdefault(state, []).append(name)
    parts = [f"{len(groups.pop(done, ()))} {done}"]
    parts += [f"{_names(names)}: {state}" for state, names in groups.items()]
    return ", ".join(parts)


def _names(names: list[str]) -> str:
    rest = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")
