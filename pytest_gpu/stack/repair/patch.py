"""Proposed changes to files as commands to copy: a unified diff that ``patch`` takes.

GNU patch refuses absolute names in a diff ("Ignoring potentially dangerous file name"), so that it
is run in ``/`` and takes the first slash off: ``patch -d / -p1``.
"""

from __future__ import annotations

import re

from pytest_gpu.evidence import REDACTED
from pytest_gpu.stack.repair import line_diff
from pytest_gpu.steps import Step, Steps, typed
from pytest_gpu.text.shell import command, with_input

_CONTEXT = 3

_NAME = re.compile(r"/[^\s\"\\]+")
"""Paths that patch reads in the head of a diff as they are."""


def patch(path: str, before: str | None, after: str) -> Steps:
    r"""Return the commands that change a file, or make it where ``before`` is ``None``.

    There are none where nothing changes. A file with
    Windows' line ends gets those of Unix first: a ``\r`` would be lost when the diff is copied.
    Where no diff can be told, because a line to change holds a secret, words say so.
    """
    diff = unified(path, unix(before or ""), unix(after), is_new=before is None)
    if not diff:
        return ()
    if REDACTED in diff:
        said = f"Edit {path} by hand: a line to change has a secret, which was not recorded."
        return (Step("words", said),)
    if not _NAME.fullmatch(path):
        return (Step("words", f"Edit {path!r} by hand so that this diff is applied:\n{diff}"),)
    change = typed("node", with_input(command("sudo patch -d / -p1"), diff))
    if "\r\n" in (before or ""):
        ends = command("sudo sed -i 's/\\r$//' {path}", path=path)
        return (typed("node", ends), change)
    return (change,)


def unix(text: str) -> str:
    """Return a text with Unix' line ends."""
    return text.replace("\r\n", "\n")


def unified(path: str, before: str, after: str, *, is_new: bool = False) -> str:
    """Return a unified diff of two texts, with as much context as holds no redacted secret."""
    diff = ""
    for context in range(_CONTEXT, -1, -1):
        hunks = "".join(map(_ended, line_diff.unified(_lines(before), _lines(after), context)))
        names = f"--- {'/dev/null' if is_new else path}\n+++ {path}\n"
        diff = f"{names}{hunks}" if hunks else ""
        if REDACTED not in diff:
            break
    return diff


def _lines(text: str) -> list[str]:
    """Split at line feeds only, as patch does; ``splitlines`` knows a dozen others."""
    *whole, rest = text.split("\n")
    return [f"{line}\n" for line in whole] + ([rest] if rest else [])


def _ended(line: str) -> str:
    return line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
