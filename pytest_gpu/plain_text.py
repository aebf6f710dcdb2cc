"""Findings as plain text, for messages that are not wrapped: tracebacks, JUnit, Allure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any


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


def encodable(found: Any) -> Any:
    r"""Return a text, or JSON types with texts, that can be written as UTF-8.

    A lone surrogate, from JSON or a file name of a node, becomes ``\ud800``: Allure and xdist
    cannot write it.
    """
    if isinstance(found, str):
        return found.encode(errors="backslashreplace").decode()
    if isinstance(found, dict):
        return {key: encodable(value) for key, value in found.items()}
    return [encodable(each) for each in found] if isinstance(found, list) else found
