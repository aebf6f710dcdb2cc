"""Runs commands in a shell where every program is a stub that only writes down its words."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

SHELLS = [name for name in ("sh", "bash") if shutil.which(name)]

_STUB = """#!/bin/sh
for word in "${0##*/}" "$@"; do printf '%s\\0' "$word"; done > "$SEEN/$$"
if [ "${0##*/}" = reader ]; then { /bin/cat; printf '\\0'; } >> "$SEEN/$$"; fi
"""

# These are part of the shell.
_FUNCTIONS = 'echo() { "$BIN/echo" "$@"; }\nprintf() { "$BIN/printf" "$@"; }\n'

Words = tuple[str, ...]


class Stubs:
    """A folder with stubs, in which commands are run; what a value plants there is seen."""

    def __init__(self, folder: Path, shell: str) -> None:
        self.shell = shutil.which(shell)
        self.bin, self.home, self.seen = folder / "bin", folder / "home", folder / "seen"
        for each in (self.bin, self.home, self.seen):
            each.mkdir(parents=True)
        self._add("touch")
        (self.bin / "touch").write_text('#!/bin/sh\n: > "$1"\n')

    def run(self, commands: Sequence[str], programs: Iterable[str]) -> list[list[Words]]:
        """Return the words of each program that each command started, sorted.

        ``programs`` are the stubs that there are.
        """
        for name in {*programs, "echo", "printf"} - {"touch"}:
            self._add(name)
        lines = [_FUNCTIONS]
        for number, command in enumerate(commands):
            (self.seen / str(number)).mkdir()
            lines.append(f'SEEN="$ALL/{number}"; export SEEN\n{command}')
        self._shell("\n".join(lines))
        return [sorted(self._words(number)) for number in range(len(commands))]

    @property
    def planted(self) -> list[str]:
        """What commands wrote into their folder."""
        return sorted(path.name for path in self.home.rglob("PWN*"))

    def _add(self, name: str) -> None:
        for folder in (self.bin, self.home):
            path = folder / name
            if not path.exists():
                path.write_text(_STUB)
                path.chmod(0o755)

    def _shell(self, script: str) -> None:
        file = self.seen / "script"
        file.write_text(script)
        environment = {"PATH": str(self.bin), "BIN": str(self.bin), "ALL": str(self.seen)}
        assert self.shell
        subprocess.run(
            [self.shell, str(file)],
            cwd=self.home,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=120,
            check=False,
        )

    def _words(self, number: int) -> Iterable[Words]:
        for file in (self.seen / str(number)).iterdir():
            yield tuple(file.read_text().split("\0")[:-1])


def programs_in(commands: Iterable[str]) -> set[str]:
    """Return all words that may be programs."""
    words = {word for command in commands for word in re.split(r"[\s\"'()|;&]+", command)}
    return {word for word in words if re.fullmatch(r"[a-z][\w.-]*", word)}
