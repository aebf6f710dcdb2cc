"""Findings as plain text, for messages that are not wrapped: tracebacks, JUnit, Allure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def evidence_lines(source: str, line: int | None, text: str) -> Iterator[str]:
    """Yield a piece of evidence; a text of several lines stands below its source."""
    where = source if line is None else f"{source}:{line}"
    lines = text.splitlines()
    if len(lines) <= 1:
        yield f"  {where}: {text}"
        return
    yield f"  {where}:"
    yield from (f"    {line}" for line in lines)


def fix_lines(steps: Iterable[str]) -> Iterator[str]:
    """Yield the steps of a fix, as ``as_json`` has them.

    A file, a patch or a command of several lines stands apart and starts in the first column: its
    indentation has a meaning, and a here-document ends only at an unindented word.
    """
    for step in steps:
        if "\n" in step:
            yield from ("", *step.removeprefix("$ ").strip("\n").split("\n"), "")
        else:
            yield f"  {step}"
